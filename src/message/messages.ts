import { type Db, type Tx, utcNow } from '../db/db.ts';
import { noteOfMessages } from '../tenant/audit-entries.ts';
import type { Author, Message, Reach, Tenant } from './message.ts';

/** What callers see of a row, and what sending needs. */
export const columns = `uuid, created, created_by_ AS created_by, modified, modified_by_ AS modified_by, sender, receiver, content, content_key_id,
  status, twilio_sid, date_sent, trustomer_code, product_name, error_code, error_message, deleted, redacted,
  receiver_e164, valid_until, attempts, content_emptied, number_emptied`;

/** A message that is due at Twilio, without the text: to be looked up or emptied there. */
export type AtTwilio = { readonly uuid: string; readonly twilioSid: string };

/**
 * Hides a message. One that waits to be sent, claimed by nobody and provably not at Twilio, is cancelled by it. A message of
 * another tenant is left alone and so is one that is deleted already.
 */
export async function markDeleted(db: Db | Tx, uuid: string, tenant: Tenant, author: Author): Promise<Message | null> {
  const { rows } = await db.query<Message>({
    name: 'mark-deleted',
    text: `
      WITH old AS (
        SELECT uuid, status, step FROM message
        WHERE uuid = $1 AND deleted IS NULL AND trustomer_code = $2 AND product_name = $3 FOR UPDATE
      ), hidden AS (
        UPDATE message m SET deleted = ${utcNow}, modified = ${utcNow}, modified_by_ = coalesce($5::varchar, m.modified_by_),
          status = CASE WHEN old.step = 'send' THEN 'canceled' ELSE m.status END,
          ended = CASE WHEN old.step = 'send' THEN ${utcNow} ELSE m.ended END,
          due = CASE WHEN old.step = 'send' THEN NULL ELSE m.due END,
          step = CASE WHEN old.step = 'send' THEN NULL ELSE m.step END,
          epoch = m.epoch + CASE WHEN old.step = 'send' THEN 1 ELSE 0 END
        FROM old WHERE m.uuid = old.uuid RETURNING m.*, old.status AS status_before
      ), told AS (
        INSERT INTO event (message_uuid, at, kind, actor, status_before, status_after)
        SELECT uuid, ${utcNow}, 'deleted', 'caller', status_before, status FROM hidden
      ), noted AS (
        ${noteOfMessages('hidden', 'deleted', { id: '$4::varchar', name: '$5::varchar' })}
      )
      SELECT ${columns} FROM hidden`,
    values: [uuid, tenant.trustomerCode, tenant.productName, author?.id ?? null, author?.name ?? null],
  });
  return rows[0] ?? null;
}

/** Also a deleted one: it is hidden from callers, not from the rest of its life. */
export async function getMessage(db: Db | Tx, uuid: string): Promise<Message | null> {
  const { rows } = await db.query<Message>({
    name: 'get-message',
    text: `SELECT ${columns} FROM message WHERE uuid = $1`,
    values: [uuid],
  });
  return rows[0] ?? null;
}

/** The same for a caller: a message out of reach is not there. */
export async function getMessageWithin(db: Db, uuid: string, reach: Reach): Promise<Message | null> {
  const { rows } = await db.query<Message>({
    name: 'get-message-within',
    text: `SELECT ${columns} FROM message WHERE uuid = $1 AND ${isWithin('$2', '$3')}`,
    values: [uuid, ...reachValues(reach)],
  });
  return rows[0] ?? null;
}

/** Whose a message within reach is, also a deleted one; null: nobody's. Its text is not read. */
export async function getOwnerWithin(db: Db, uuid: string, reach: Reach): Promise<Tenant | null> {
  const { rows } = await db.query<Tenant>({
    name: 'get-owner-within',
    text: `
      SELECT trustomer_code AS "trustomerCode", product_name AS "productName" FROM message
      WHERE uuid = $1 AND ${isWithin('$2', '$3')}`,
    values: [uuid, ...reachValues(reach)],
  });
  return rows[0] ?? null;
}

/** Of a row of `message`, in SQL; the parameters are those of `reachValues`. */
export function isWithin(trustomerCode: string, productName: string): string {
  return `(${trustomerCode}::varchar IS NULL OR (trustomer_code = ${trustomerCode} AND product_name = ${productName}))`;
}

export function reachValues(reach: Reach): [string | null, string | null] {
  return reach === 'all tenants' ? [null, null] : [reach.trustomerCode, reach.productName];
}

/** Also whether a call to Twilio for it is under way: its latest attempt is open and its time not over. */
export async function getEarlier(db: Db, uuid: string): Promise<{ message: Message; isRunning: boolean } | null> {
  const { rows } = await db.query<Message & { isRunning: boolean }>({
    name: 'get-earlier',
    text: `
      SELECT ${columns}, EXISTS (
        SELECT FROM attempt WHERE message_uuid = uuid AND n = attempts AND closed IS NULL AND deadline > ${utcNow}
      ) AS "isRunning"
      FROM message WHERE uuid = $1`,
    values: [uuid],
  });
  const [row] = rows;
  if (row === undefined) return null;
  return { message: row, isRunning: row.isRunning };
}

/** May Twilio have a text of this hash, or not? */
export async function isUnresolved(db: Db, textHash: string): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'is-unresolved',
    text: 'SELECT FROM message WHERE text_hash = $1 AND unresolved',
    values: [textHash],
  });
  return rowCount > 0;
}

/** May Twilio have, or not, another message with the text of this one? */
export async function hasOpenTwin(db: Db, uuid: string): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'has-open-twin',
    text: `SELECT FROM message m JOIN message twin ON twin.text_hash = m.text_hash
           WHERE m.uuid = $1 AND twin.unresolved AND twin.uuid <> $1`,
    values: [uuid],
  });
  return rowCount > 0;
}

/**
 * Of these SIDs those that we know to be another message's, or a second copy that is recorded already. `ofOtherTexts` are
 * on rows of another text: what Twilio's log shows under such a SID contradicts what is on record.
 */
export async function sidsOfOthers(
  db: Db,
  sids: readonly string[],
  uuid: string,
): Promise<{ taken: Set<string>; ofOtherTexts: Set<string> }> {
  const { rows } = await db.query<{ sid: string; isOther: boolean }>({
    name: 'sids-of-others',
    text: `
      SELECT o.twilio_sid AS sid, coalesce(o.text_hash <> m.text_hash, false) AS "isOther"
      FROM message o, message m WHERE o.twilio_sid = ANY($1) AND o.uuid <> $2 AND m.uuid = $2
      UNION SELECT twilio_sid, false FROM duplicate_handover WHERE twilio_sid = ANY($1)`,
    values: [sids, uuid],
  });
  const sidsWhere = (isOther: boolean) => new Set(rows.filter((row) => row.isOther === isOther).map(({ sid }) => sid));
  return { taken: sidsWhere(false), ofOtherTexts: sidsWhere(true) };
}

/** How long the message whose fate has been unknown longest has been so, in seconds; 0 without one. */
export async function oldestUnresolvedS(db: Db): Promise<number> {
  const { rows } = await db.query<{ age: number }>({
    name: 'oldest-unresolved',
    text: `SELECT coalesce(extract(epoch FROM ${utcNow} - min(created)), 0)::float8 AS age FROM message WHERE unresolved`,
  });
  return rows[0]?.age ?? 0;
}

export function only<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error('the statement returned no row');
  return row;
}
