import type { Db, Statement, Tx } from '../db/db.ts';
import { isUniqueViolation } from '../db/db.ts';
import type { Evidence } from './evidence.ts';
import { type Message, type MessageRequest, type Tenant, UNKNOWN_AUTHOR } from './message.ts';
import { asStatus, rankInSql, terminalStatuses } from './status.ts';

const columns = `uuid, created, created_by_ AS created_by, modified, modified_by_ AS modified_by, sender, receiver, content,
  status, twilio_sid, date_sent, trustomer_code, product_name, error_code, error_message, deleted, redacted`;

const terminal = `status IN (${terminalStatuses.map((status) => `'${status}'`).join(', ')})`;

/** A message that is due at Twilio, without the text: to be looked up or emptied there. */
export type AtTwilio = { readonly uuid: string; readonly twilioSid: string };

/** G1: the row stands, with status `accepted`, before Twilio hears of it. */
export async function insertMessage(
  tx: Tx,
  message: { uuid: string; tenant: Tenant; request: MessageRequest },
): Promise<Message> {
  const { tenant, request } = message;
  const { rows } = await tx.query<Message>({
    name: 'insert-message',
    text: `
      INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status,
                           trustomer_code, product_name, error_code, error_message)
      VALUES ($1, $2, $3, $2, $3, $4, $5, $6, 'accepted', $7, $8, $9, $10)
      RETURNING ${columns}`,
    values: [
      message.uuid,
      tx.now,
      UNKNOWN_AUTHOR,
      request.sender,
      request.receiver,
      request.content,
      tenant.trustomerCode,
      tenant.productName,
      request.errorCode,
      request.errorMessage,
    ],
  });
  return only(rows);
}

// G5: forward only, save that any signed callback replaces a `sent` that the quiet simulator made up.
const movesForward = `(
  (${rankInSql('$3::varchar')} > ${rankInSql('status')})
  OR (placeholder AND status = 'sent' AND $8 AND $3::varchar IS NOT NULL)
)`;
// A code that comes later than its status (a doubled callback that says more) completes the row.
const bringsCode = `($4::varchar IS NOT NULL AND ($3::varchar = status OR ${movesForward}) AND error_code IS DISTINCT FROM $4)`;
// We said that Twilio does not have it; it does, so our reason goes.
const provesUsWrong = `(status = 'error' AND ${movesForward})`;
const bringsDate = '($6::varchar IS NOT NULL AND date_sent IS DISTINCT FROM $6)';

/**
 * The one statement by which Twilio's word reaches a message, whoever brings it: true when it changed the row. The status
 * only moves forward (G5), Twilio's error replaces what an old client sent along, the first SID stays.
 * A row of another SID is left alone. A SID that another of our rows holds is refused with `SidTaken`.
 */
export async function recordEvidence(tx: Tx, uuid: string, evidence: Evidence): Promise<boolean> {
  const statement: Statement = {
    name: 'record-evidence',
    text: `
      UPDATE message SET
        handed_over = CASE WHEN twilio_sid IS NULL THEN $9::timestamp ELSE handed_over END,
        twilio_sid = $2,
        error_message = CASE WHEN ${bringsCode} THEN $5 WHEN ${provesUsWrong} THEN NULL ELSE error_message END,
        error_code = CASE WHEN ${bringsCode} THEN $4 WHEN ${provesUsWrong} THEN NULL ELSE error_code END,
        placeholder = CASE WHEN ${movesForward} THEN $7 ELSE placeholder END,
        status = CASE WHEN ${movesForward} THEN $3 ELSE status END,
        date_sent = coalesce($6, date_sent),
        modified = $9
      WHERE uuid = $1 AND (twilio_sid IS NULL OR twilio_sid = $2)
        AND (twilio_sid IS NULL OR ${movesForward} OR ${bringsCode} OR ${bringsDate})`,
    values: [
      uuid,
      evidence.twilioSid,
      asStatus(evidence.status),
      evidence.errorCode,
      evidence.errorMessage,
      evidence.dateSent,
      evidence.isPlaceholder,
      evidence.source === 'callback',
      tx.now,
    ],
  };
  try {
    const { rowCount } = await tx.query(statement);
    return rowCount === 1;
  } catch (error) {
    if (isUniqueViolation(error)) throw new SidTaken('this SID belongs to another message', { cause: error });
    throw error;
  }
}

/** Twilio answered with a SID that is another message's: what became of ours is unknown. */
export class SidTaken extends Error {
  override name = 'SidTaken';
}

/** Ends a message that Twilio refused or never got, unless there is evidence that Twilio has it after all. */
export async function recordError(
  tx: Tx,
  uuid: string,
  error: { code: string | null; message: string },
): Promise<boolean> {
  const { rowCount } = await tx.query({
    name: 'record-error',
    text: `
      UPDATE message SET status = 'error', error_code = $2, error_message = $3, modified = $4
      WHERE uuid = $1 AND status = 'accepted' AND twilio_sid IS NULL`,
    values: [uuid, error.code, error.message, tx.now],
  });
  return rowCount === 1;
}

/** Twilio's copy is empty, as its answer showed. */
export async function recordRedaction(tx: Tx, uuid: string): Promise<boolean> {
  const { rowCount } = await tx.query({
    name: 'record-redaction',
    text: 'UPDATE message SET redacted = $2, modified = $2 WHERE uuid = $1 AND redacted IS NULL',
    values: [uuid, tx.now],
  });
  return rowCount === 1;
}

/** A message of another tenant is left alone and so is one that is deleted already. */
export async function markDeleted(tx: Tx, uuid: string, tenant: Tenant): Promise<Message | null> {
  const { rows } = await tx.query<Message>({
    name: 'mark-deleted',
    text: `
      UPDATE message SET deleted = $2, modified = $2
      WHERE uuid = $1 AND deleted IS NULL AND trustomer_code = $3 AND product_name = $4
      RETURNING ${columns}`,
    values: [uuid, tx.now, tenant.trustomerCode, tenant.productName],
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

/** Newest first; `receiver` as stored; `limit` null = all of them. */
export async function listMessages(
  db: Db,
  filter: { tenant: Tenant; receiver: string | null; limit: number | null },
): Promise<Message[]> {
  const { rows } = await db.query<Message>({
    text: `
      SELECT ${columns} FROM message
      WHERE trustomer_code = $1 AND product_name = $2 AND deleted IS NULL AND ($3::varchar IS NULL OR receiver = $3)
      ORDER BY created DESC, uuid
      LIMIT $4`,
    values: [filter.tenant.trustomerCode, filter.tenant.productName, filter.receiver, filter.limit],
  });
  return rows;
}

/** Of these messages the ones that have ended and whose text Twilio still holds. */
export async function finishedAmong(tx: Tx, uuids: readonly string[]): Promise<AtTwilio[]> {
  const { rows } = await tx.query<AtTwilio>({
    name: 'finished-among',
    text: `
      SELECT uuid, twilio_sid AS "twilioSid" FROM message
      WHERE uuid = ANY($1) AND twilio_sid IS NOT NULL AND redacted IS NULL AND ${terminal}`,
    values: [uuids],
  });
  return rows;
}

/**
 * The messages that a callback is about: those of its SID (several where the Python service recorded a SID twice), else
 * the one whose id it carries, when that one waits to hear its SID. One statement, hence one snapshot: asked one after the
 * other, a create answer recorded in between would make both say no.
 */
export async function findByCallback(tx: Tx, twilioSid: string, claimedUuid: string | null): Promise<string[]> {
  const { rows } = await tx.query<{ uuid: string; isKnown: boolean }>({
    name: 'find-by-callback',
    text: `
      SELECT uuid, twilio_sid IS NOT NULL AS "isKnown" FROM message
      WHERE twilio_sid = $1 OR (uuid = $2 AND twilio_sid IS NULL)`,
    values: [twilioSid, claimedUuid],
  });
  const known = rows.filter((row) => row.isKnown);
  return (known.length > 0 ? known : rows).map((row) => row.uuid);
}

const isNoHistory = 'created >= (SELECT history_before FROM installation)';

/** Messages of the last 7 days that Twilio has and whose end we do not know, in the order of uuid, from `after` on. */
export async function listUnfinished(db: Db, since: Date, after: string, limit: number): Promise<AtTwilio[]> {
  const { rows } = await db.query<AtTwilio>({
    text: `
      SELECT uuid, twilio_sid AS "twilioSid" FROM message
      WHERE created >= $1 AND uuid > $2 AND twilio_sid IS NOT NULL AND (status IS NULL OR NOT ${terminal})
        AND ${isNoHistory}
      ORDER BY uuid LIMIT $3`,
    values: [since, after, limit],
  });
  return rows;
}

/** Messages that ended before `before` and whose text Twilio still holds, in the order of uuid, from `after` on. */
export async function listUnredacted(db: Db, before: Date, after: string, limit: number): Promise<AtTwilio[]> {
  const { rows } = await db.query<AtTwilio>({
    text: `
      SELECT uuid, twilio_sid AS "twilioSid" FROM message
      WHERE redacted IS NULL AND uuid > $2 AND twilio_sid IS NOT NULL AND ${terminal}
        AND greatest(created, modified) <= $1 AND ${isNoHistory}
      ORDER BY uuid LIMIT $3`,
    values: [before, after, limit],
  });
  return rows;
}

/** Counts by UTC day and status, both ends included, without deleted messages; null = every trust or product. */
export async function countByDayAndStatus(
  db: Db,
  filter: { start: string; end: string; trustomerCode: string | null; productName: string | null },
): Promise<{ day: string; status: string; count: number }[]> {
  const { rows } = await db.query<{ day: string; status: string; count: string }>({
    text: `
      SELECT to_char(created, 'YYYY-MM-DD') AS day, coalesce(status, 'null') AS status, count(*) AS count
      FROM message
      WHERE created >= $1::timestamptz AT TIME ZONE 'utc' AND created <= $2::timestamptz AT TIME ZONE 'utc'
        AND deleted IS NULL
        AND ($3::varchar IS NULL OR trustomer_code = $3) AND ($4::varchar IS NULL OR product_name = $4)
      GROUP BY 1, 2 ORDER BY 1, 2`,
    values: [filter.start, filter.end, filter.trustomerCode, filter.productName],
  });
  return rows.map((row) => ({ ...row, count: Number(row.count) }));
}

function only<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error('the statement returned no row');
  return row;
}
