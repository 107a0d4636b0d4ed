import { type Db, type Tx, utcNow } from '../db/db.ts';
import { terminal } from './forward-only.ts';
import type { Message, Tenant } from './message.ts';

/** What callers see of a row, and what sending needs. */
export const columns = `uuid, created, created_by_ AS created_by, modified, modified_by_ AS modified_by, sender, receiver, content,
  status, twilio_sid, date_sent, trustomer_code, product_name, error_code, error_message, deleted, redacted,
  receiver_e164, valid_until, attempts`;

/** A message that is due at Twilio, without the text: to be looked up or emptied there. */
export type AtTwilio = { readonly uuid: string; readonly twilioSid: string };

/** Twilio's copy is empty, as its answer showed; also a second copy's. */
export async function recordRedaction(db: Db, { uuid, twilioSid }: AtTwilio): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'record-redaction',
    text: `
      WITH emptied AS (
        UPDATE message SET redacted = ${utcNow}, modified = ${utcNow}
        WHERE uuid = $1 AND twilio_sid = $2 AND redacted IS NULL RETURNING uuid
      ), second AS (
        UPDATE duplicate_handover SET redacted = ${utcNow} WHERE twilio_sid = $2 AND redacted IS NULL
        RETURNING message_uuid AS uuid
      )
      INSERT INTO event (message_uuid, at, kind, actor, details)
      SELECT uuid, ${utcNow}, 'redacted', 'service', jsonb_build_object('twilio_sid', $2::varchar)
      FROM (SELECT uuid FROM emptied UNION ALL SELECT uuid FROM second) both_copies`,
    values: [uuid, twilioSid],
  });
  return rowCount > 0;
}

/**
 * Hides a message. One that waits to be sent, claimed by nobody and provably not at Twilio, is cancelled by it. A message of
 * another tenant is left alone and so is one that is deleted already.
 */
export async function markDeleted(db: Db, uuid: string, tenant: Tenant): Promise<Message | null> {
  const { rows } = await db.query<Message>({
    name: 'mark-deleted',
    text: `
      WITH old AS (
        SELECT uuid, status, step FROM message
        WHERE uuid = $1 AND deleted IS NULL AND trustomer_code = $2 AND product_name = $3 FOR UPDATE
      ), hidden AS (
        UPDATE message m SET deleted = ${utcNow}, modified = ${utcNow},
          status = CASE WHEN old.step = 'send' THEN 'canceled' ELSE m.status END,
          due = CASE WHEN old.step = 'send' THEN NULL ELSE m.due END,
          step = CASE WHEN old.step = 'send' THEN NULL ELSE m.step END,
          epoch = m.epoch + CASE WHEN old.step = 'send' THEN 1 ELSE 0 END
        FROM old WHERE m.uuid = old.uuid RETURNING m.*, old.status AS status_before
      ), told AS (
        INSERT INTO event (message_uuid, at, kind, actor, status_before, status_after)
        SELECT uuid, ${utcNow}, 'deleted', 'caller', status_before, status FROM hidden
      )
      SELECT ${columns} FROM hidden`,
    values: [uuid, tenant.trustomerCode, tenant.productName],
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
  const { isRunning, ...message } = row;
  return { message, isRunning };
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

const isNoHistory = 'created >= (SELECT history_before FROM installation)';

/** Messages of the last 7 days that Twilio has and whose end we do not know, in the order of uuid, from `after` on. */
export async function listUnfinished(db: Db, since: Date, after: string, limit: number): Promise<AtTwilio[]> {
  const { rows } = await db.query<AtTwilio>({
    text: `
      SELECT uuid, twilio_sid AS "twilioSid" FROM message
      WHERE created >= $1 AND uuid > $2 AND twilio_sid IS NOT NULL AND (status IS NULL OR status NOT ${terminal})
        AND ${isNoHistory}
      ORDER BY uuid LIMIT $3`,
    values: [since, after, limit],
  });
  return rows;
}

/** Messages that ended before `before` and whose text Twilio still holds, in the order of uuid, from `after` on. */
export async function listUnredacted(
  db: Db,
  { before, after, limit, isPatient }: { before: Date; after: string; limit: number; isPatient: boolean },
): Promise<AtTwilio[]> {
  const { rows } = await db.query<AtTwilio>({
    text: `
      SELECT uuid, twilio_sid AS "twilioSid" FROM message
      WHERE redacted IS NULL AND uuid > $2 AND twilio_sid IS NOT NULL AND status ${terminal}
        AND greatest(created, modified) <= $1 AND ${isNoHistory}
        AND (NOT $4 OR redact_after IS NULL OR redact_after <= ${utcNow})
        AND NOT EXISTS (SELECT FROM message twin WHERE twin.text_hash = message.text_hash AND twin.unresolved)
      ORDER BY uuid LIMIT $3`,
    values: [before, after, limit, isPatient],
  });
  return rows;
}

/** Twilio would not empty this text for a reason of its own: it is asked again after 20 s, 40 s, … at most six hours. */
export async function putRedactionOff(db: Db, uuid: string): Promise<void> {
  await db.query({
    name: 'put-redaction-off',
    text: `
      UPDATE message SET redaction_tries = redaction_tries + 1,
        redact_after = ${utcNow} + least(interval '6 hours', interval '20 seconds' * 2 ^ least(redaction_tries, 20))
      WHERE uuid = $1 AND redacted IS NULL`,
    values: [uuid],
  });
}

/** How long the text that has waited longest to be emptied has been finished, in seconds; 0 without one. */
export async function oldestUnredactedS(db: Db): Promise<number> {
  const { rows } = await db.query<{ age: number }>({
    name: 'oldest-unredacted',
    text: `
      SELECT coalesce(extract(epoch FROM ${utcNow} - min(greatest(created, modified))), 0)::float8 AS age FROM message
      WHERE redacted IS NULL AND twilio_sid IS NOT NULL AND status ${terminal} AND ${isNoHistory}`,
  });
  return rows[0]?.age ?? 0;
}

/** How long the message whose fate has been unknown longest has been so, in seconds; 0 without one. */
export async function oldestUnresolvedS(db: Db): Promise<number> {
  const { rows } = await db.query<{ age: number }>({
    name: 'oldest-unresolved',
    text: `SELECT coalesce(extract(epoch FROM ${utcNow} - min(created)), 0)::float8 AS age FROM message WHERE unresolved`,
  });
  return rows[0]?.age ?? 0;
}

/** Second copies whose text Twilio still holds. Whether they have ended, Twilio says. */
export async function listUnredactedDuplicates(db: Db, limit: number): Promise<AtTwilio[]> {
  const { rows } = await db.query<AtTwilio>({
    text: `
      SELECT message_uuid AS uuid, twilio_sid AS "twilioSid" FROM duplicate_handover
      WHERE redacted IS NULL ORDER BY detected LIMIT $1`,
    values: [limit],
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

export function only<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error('the statement returned no row');
  return row;
}
