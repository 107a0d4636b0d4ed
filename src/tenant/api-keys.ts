import { type Db, utcNow } from '../db/db.ts';
import type { Tenant } from '../message/message.ts';
import { type Caller, type Scope, scopes } from './caller.ts';

/** The table of keys: hashes of their secrets, whose they are and what they may do. */

type KeyCaller = Extract<Caller, { kind: 'key' }>;
export type LiveKey = {
  readonly caller: KeyCaller;
  readonly hash: Buffer;
  /** Milliseconds from when the statement ran; null: it does not expire. */
  readonly leftMs: number | null;
};

type LiveRow = KeyColumns & { readonly hash: Buffer; readonly left_ms: number | null };
type KeyColumns = {
  readonly id: string;
  readonly name: string;
  readonly trustomer_code: string | null;
  readonly product_name: string | null;
  readonly scopes: readonly string[];
};

/** All of them are read at once, every other second, by every replica. */
const MOST_KEYS = 10_000;

/** Every key that is neither revoked nor expired, by the database's clock. */
export async function listLiveKeys(db: Db): Promise<LiveKey[]> {
  const { rows } = await db.query<LiveRow>({
    name: 'list-live-keys',
    text: `
      SELECT id, name, hash, trustomer_code, product_name, scopes,
             (extract(epoch FROM expires - ${utcNow}) * 1000)::float8 AS left_ms
      FROM api_key WHERE revoked IS NULL AND (expires IS NULL OR expires > ${utcNow})`,
  });
  return rows.map((row) => ({ caller: asCaller(row), hash: row.hash, leftMs: row.left_ms }));
}

function asCaller({ id, name, trustomer_code, product_name, scopes: words }: KeyColumns): KeyCaller {
  const isBound = trustomer_code !== null && product_name !== null;
  const tenant = isBound ? { trustomerCode: trustomer_code, productName: product_name } : null;
  return { kind: 'key', id, name, tenant, scopes: words.filter(isScope) };
}

export function isScope(word: string): word is Scope {
  return scopes.some((scope) => scope === word);
}

/** At most once a minute over all replicas, whatever they ask. */
export async function noteKeyUsed(db: Db, id: string): Promise<void> {
  await db.query({
    name: 'note-key-used',
    text: `UPDATE api_key SET last_used = ${utcNow}
           WHERE id = $1 AND (last_used IS NULL OR last_used <= ${utcNow} - interval '1 minute')`,
    values: [id],
  });
}

export type NewKey = {
  readonly id: string;
  readonly hash: Buffer;
  readonly name: string;
  readonly tenant: Tenant | null;
  readonly scopes: readonly Scope[];
  /** By the database's clock, from now on; null: it does not expire. */
  readonly days: number | null;
};

/** With its entry in the audit. `operator`: whose name stands there. False: there are too many keys already. */
export async function addKey(db: Db, key: NewKey, operator: string): Promise<boolean> {
  const { rowCount } = await db.query({
    text: `
      WITH made AS (
        INSERT INTO api_key (id, name, hash, trustomer_code, product_name, scopes, created, expires)
        SELECT $1, $2, $3, $4, $5, $6, ${utcNow}, ${utcNow} + $7::float8 * interval '1 day'
        WHERE (SELECT count(*) FROM api_key WHERE revoked IS NULL) < ${MOST_KEYS} RETURNING *
      ), noted AS (
        ${noteOfKey('made', 'key created', '$8')}
      )
      SELECT id FROM made`,
    values: [
      key.id,
      key.name,
      key.hash,
      key.tenant?.trustomerCode ?? null,
      key.tenant?.productName ?? null,
      key.scopes,
      key.days,
      operator,
    ],
  });
  return rowCount === 1;
}

/** From now on it opens nothing; replicas know within 5 s. False: there is no such key, or it was revoked before. */
export async function revokeKey(db: Db, id: string, operator: string): Promise<boolean> {
  const { rowCount } = await db.query({
    text: `
      WITH ended AS (
        UPDATE api_key SET revoked = ${utcNow} WHERE id = $1 AND revoked IS NULL RETURNING *
      ), noted AS (
        ${noteOfKey('ended', 'key revoked', '$2')}
      )
      SELECT id FROM ended`,
    values: [id, operator],
  });
  return rowCount === 1;
}

function noteOfKey(rows: string, action: string, operator: string): string {
  return `
    INSERT INTO audit (at, actor, actor_name, action, trustomer_code, product_name, details)
    SELECT ${utcNow}, 'command line', ${operator}::varchar, '${action}', trustomer_code, product_name,
           jsonb_build_object('key', id, 'name', name, 'scopes', to_jsonb(scopes))
    FROM ${rows}`;
}

export type KeyRow = KeyColumns & {
  readonly created: Date;
  readonly expires: Date | null;
  readonly revoked: Date | null;
  readonly last_used: Date | null;
  readonly state: 'live' | 'expired' | 'revoked';
};

/** All that were ever made, the newest first; never their hashes. */
export async function listKeys(db: Db): Promise<KeyRow[]> {
  const { rows } = await db.query<KeyRow>({
    text: `
      SELECT id, name, trustomer_code, product_name, scopes, created, expires, revoked, last_used,
             CASE WHEN revoked IS NOT NULL THEN 'revoked' WHEN expires <= ${utcNow} THEN 'expired' ELSE 'live' END AS state
      FROM api_key ORDER BY created DESC, id`,
  });
  return rows;
}
