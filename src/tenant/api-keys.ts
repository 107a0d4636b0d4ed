import { type Db, utcNow } from '../db/db.ts';
import type { Tenant } from '../message/message.ts';
import { type Caller, type Scope, scopes } from './caller.ts';

/** The table of keys: hashes of their secrets, whose they are and what they may do. */

type KeyCaller = Extract<Caller, { kind: 'key' }>;
export type LiveKey = {
  /** In what is shown: the key's own, or a session's. */
  readonly id: string;
  readonly caller: KeyCaller;
  readonly hash: Buffer;
  /** Milliseconds from when the statement ran; null: it does not expire. */
  readonly leftMs: number | null;
};

type LiveRow = KeyColumns & {
  readonly shown_id: string;
  readonly hash: Buffer;
  readonly session_ends: Date | null;
  readonly left_ms: number | null;
};
type KeyColumns = {
  readonly id: string;
  readonly name: string;
  readonly trustomer_code: string | null;
  readonly product_name: string | null;
  readonly scopes: readonly string[];
};

/** All of them are read at once, every other second, by every replica. */
const MOST_KEYS = 10_000;

/**
 * Every key that is neither revoked nor expired, by the database's clock, and every session: that is whom its key is, may do
 * what its key may, and ends with it.
 */
export async function listLiveKeys(db: Db): Promise<LiveKey[]> {
  const { rows } = await db.query<LiveRow>({
    name: 'list-live-keys',
    text: `
      SELECT shown.id AS shown_id, shown.hash, key.id, key.name, key.trustomer_code, key.product_name, key.scopes,
             CASE WHEN shown.session_of IS NOT NULL THEN shown.expires END AS session_ends,
             (extract(epoch FROM least(shown.expires, key.expires) - ${utcNow}) * 1000)::float8 AS left_ms
      FROM api_key shown JOIN api_key key ON key.id = coalesce(shown.session_of, shown.id) AND key.session_of IS NULL
      WHERE shown.revoked IS NULL AND (shown.expires IS NULL OR shown.expires > ${utcNow})
        AND key.revoked IS NULL AND (key.expires IS NULL OR key.expires > ${utcNow})`,
  });
  return rows.map((row) => ({ id: row.shown_id, caller: asCaller(row), hash: row.hash, leftMs: row.left_ms }));
}

function asCaller({
  id,
  name,
  trustomer_code,
  product_name,
  scopes: words,
  shown_id,
  session_ends,
}: LiveRow): KeyCaller {
  const isBound = trustomer_code !== null && product_name !== null;
  const tenant = isBound ? { trustomerCode: trustomer_code, productName: product_name } : null;
  const key = { kind: 'key', id, name, tenant, scopes: words.filter(isScope) } as const;
  return session_ends === null ? key : { ...key, session: { id: shown_id, expires: session_ends } };
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
        WHERE (SELECT count(*) FROM api_key WHERE revoked IS NULL AND session_of IS NULL) < ${MOST_KEYS} RETURNING *
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

/** From now on neither it nor its sessions open anything; replicas know within 5 s. False: there is no such key, or it was revoked before. */
export async function revokeKey(db: Db, id: string, operator: string): Promise<boolean> {
  const { rowCount } = await db.query({
    text: `
      WITH ended AS (
        UPDATE api_key SET revoked = ${utcNow} WHERE id = $1 AND session_of IS NULL AND revoked IS NULL RETURNING *
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
  /** How many are signed in to the console with it. */
  readonly sessions: number;
};

/** All that were ever made, the newest first; never their hashes. */
export async function listKeys(db: Db): Promise<KeyRow[]> {
  const { rows } = await db.query<KeyRow>({
    text: `
      SELECT id, name, trustomer_code, product_name, scopes, created, expires, revoked, last_used, state,
             (SELECT count(*)::int FROM api_key session
              WHERE session_of = key.id AND session.expires > ${utcNow} AND state = 'live') AS sessions
      FROM (
        SELECT *, CASE WHEN revoked IS NOT NULL THEN 'revoked' WHEN expires <= ${utcNow} THEN 'expired' ELSE 'live' END AS state
        FROM api_key WHERE session_of IS NULL) key
      ORDER BY created DESC, id`,
  });
  return rows;
}
