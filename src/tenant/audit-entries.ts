import { type Db, type Tx, utcNow } from '../db/db.ts';
import type { Author, Reach, Tenant } from '../message/message.ts';

/** The audit: who did what. Entries are added, never changed; no statement here does anything else to them. */

export type Action =
  | 'sent'
  | 'read'
  | 'listed'
  | 'searched'
  | 'deleted'
  | 'erased'
  | 'settled'
  | 'polled'
  | 'bulk update'
  | 'audit read';

/** Part of a statement that changes messages: an entry for each of `rows`, unless nobody is named. */
export function noteOfMessages(rows: string, action: Action, actor: { id: string; name: string }): string {
  return `
    INSERT INTO audit (at, actor, actor_name, action, message_uuid, trustomer_code, product_name)
    SELECT ${utcNow}, ${actor.id}, ${actor.name}, '${action}', uuid, trustomer_code, product_name
    FROM ${rows} WHERE ${actor.id} IS NOT NULL`;
}

export type Entry = {
  readonly actor: NonNullable<Author>;
  readonly action: Action;
  readonly messageUuid: string | null;
  readonly tenant: Tenant | null;
  /** Names, kinds and counts: neither text nor number. */
  readonly details: Readonly<Record<string, unknown>>;
};

/** All of them in one commit; when this answers they stand. */
export async function addEntries(db: Db | Tx, entries: readonly Entry[]): Promise<undefined[]> {
  await db.query({
    name: 'add-audit-entries',
    text: `
      INSERT INTO audit (at, actor, actor_name, action, message_uuid, trustomer_code, product_name, details)
      SELECT ${utcNow}, * FROM json_to_recordset($1::json) AS noted (
        actor varchar, actor_name varchar, action varchar, message_uuid varchar, trustomer_code varchar, product_name varchar,
        details jsonb)`,
    values: [
      JSON.stringify(
        entries.map(({ actor, action, messageUuid, tenant, details }) => ({
          actor: actor.id,
          actor_name: actor.name,
          action,
          message_uuid: messageUuid,
          trustomer_code: tenant?.trustomerCode ?? null,
          product_name: tenant?.productName ?? null,
          details,
        })),
      ),
    ],
  });
  return entries.map(() => undefined);
}

export type AuditRow = {
  readonly id: string;
  readonly at: Date;
  readonly actor: string;
  readonly actor_name: string;
  readonly action: string;
  readonly message_uuid: string | null;
  readonly trustomer_code: string | null;
  readonly product_name: string | null;
  readonly details: Readonly<Record<string, unknown>>;
};

export type AuditList = {
  readonly reach: Reach;
  /** RFC 3339, with a zone, both themselves included. */
  readonly from: string | null;
  readonly to: string | null;
  readonly messageUuid: string | null;
  /** Only what was noted before this entry. */
  readonly before: string | null;
  readonly limit: number;
};

const rowColumns = 'id, at, actor, actor_name, action, message_uuid, trustomer_code, product_name, details';

/** The newest first. */
export async function listEntries(db: Db, list: AuditList): Promise<AuditRow[]> {
  const values: unknown[] = [];
  const conditions: string[] = [];
  const where = (given: unknown, condition: (parameter: string) => string) => {
    if (given !== null) conditions.push(condition(`$${values.push(given)}`));
  };
  if (list.reach !== 'all tenants') {
    where(list.reach.trustomerCode, (p) => `trustomer_code = ${p}`);
    where(list.reach.productName, (p) => `product_name = ${p}`);
  }
  where(list.from, (p) => `at >= ${p}::timestamptz AT TIME ZONE 'utc'`);
  where(list.to, (p) => `at <= ${p}::timestamptz AT TIME ZONE 'utc'`);
  where(list.messageUuid, (p) => `message_uuid = ${p}`);
  where(list.before, (p) => `id < ${p}::bigint`);
  const { rows } = await db.query<AuditRow>({
    text: `
      SELECT ${rowColumns} FROM audit ${conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`}
      ORDER BY id DESC LIMIT $${values.push(list.limit)}`,
    values,
  });
  return rows;
}

/** More than a message has in years; a bound all the same. */
const MOST = 1_000;

/** What was done to one message, the oldest first. */
export async function listEntriesOf(db: Db, uuid: string): Promise<AuditRow[]> {
  const { rows } = await db.query<AuditRow>({
    text: `SELECT ${rowColumns} FROM audit WHERE message_uuid = $1 ORDER BY id LIMIT $2`,
    values: [uuid, MOST],
  });
  return rows;
}
