import { type Db, type Tx, utcNow, violatedUniqueness } from '../db/db.ts';
import { licenceFrom } from './attempts.ts';
import { terminal } from './forward-only.ts';
import { type Message, type MessageRequest, type Tenant, UNKNOWN_AUTHOR } from './message.ts';

/** What callers see of a row, and what sending needs. */
export const columns = `uuid, created, created_by_ AS created_by, modified, modified_by_ AS modified_by, sender, receiver, content,
  status, twilio_sid, date_sent, trustomer_code, product_name, error_code, error_message, deleted, redacted,
  receiver_e164, valid_until, attempts`;

/** A message that is due at Twilio, without the text: to be looked up or emptied there. */
export type AtTwilio = { readonly uuid: string; readonly twilioSid: string };

/** What tx 1 records. */
export type Order = {
  readonly uuid: string;
  readonly tenant: Tenant;
  readonly request: MessageRequest;
  /** Of sender, number and text: see message_unresolved_twin. */
  readonly textHash: string;
  readonly key: { readonly hash: string; readonly fingerprint: string } | null;
  /** Now, with attempt 1, for which there is so much time; or later, by the claim loop. */
  readonly send: { readonly withinMs: number; readonly settleMs: number } | 'later';
};

export type Inserted =
  | { readonly kind: 'recorded'; readonly message: Message }
  /** Twilio may or may not have an identical text: only one of them at a time may be in that state. */
  | { readonly kind: 'twin' }
  | { readonly kind: 'key taken' };

/**
 * Tx 1 (G1): the message with status `accepted`, the licence for attempt 1, and the key, all or nothing, in one statement.
 * A message that is sent now counts as unresolved from here on, and is looked for at Twilio once its time and the settle
 * time are over: whoever dies in between leaves everything that the resolver needs.
 */
export async function recordMessage(db: Db | Tx, order: Order): Promise<Inserted> {
  const { tenant, request, send, key } = order;
  const isNow = send !== 'later';
  try {
    const { rows } = await db.query<Message>({
      name: 'record-message',
      text: `
        WITH recorded AS (
          INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status,
                               trustomer_code, product_name, error_code, error_message, receiver_e164, valid_until,
                               text_hash, step, due, attempts, unresolved)
          VALUES ($1, ${utcNow}, $2, ${utcNow}, $2, $3, $4, $5, 'accepted', $6, $7, $8, $9, $10, $11, $12,
                  CASE WHEN $13::boolean THEN 'resolve' ELSE 'send' END,
                  ${utcNow} + ($14::int + $15::int) * interval '1 ms',
                  CASE WHEN $13 THEN 1 ELSE 0 END, $13)
          RETURNING *
        ), licence AS (
          SELECT uuid, 1 AS n, created AS started, created + $14::int * interval '1 ms' AS deadline FROM recorded WHERE $13::boolean
        ), licensed AS (
          ${licenceFrom('licence')}
        ), keyed AS (
          INSERT INTO idempotency_key (key_hash, fingerprint, message_uuid, created)
          SELECT $16, $17, uuid, created FROM recorded WHERE $16::varchar IS NOT NULL
        )
        SELECT ${columns} FROM recorded`,
      values: [
        order.uuid,
        UNKNOWN_AUTHOR,
        request.sender,
        request.receiver,
        request.content,
        tenant.trustomerCode,
        tenant.productName,
        request.errorCode,
        request.errorMessage,
        request.to,
        request.validUntil,
        order.textHash,
        isNow,
        isNow ? send.withinMs : 0,
        isNow ? send.settleMs : 0,
        key?.hash ?? null,
        key?.fingerprint ?? null,
      ],
    });
    return { kind: 'recorded', message: only(rows) };
  } catch (error) {
    const violated = violatedUniqueness(error);
    if (violated === 'message_unresolved_twin') return { kind: 'twin' };
    if (violated === 'idempotency_key_pkey') return { kind: 'key taken' };
    throw error;
  }
}

/**
 * Makes sure that a message whose recording broke off is never sent: a row that stands, or that is being committed at
 * this moment, ends as `error`; one that is not there is recorded as ended, so that it cannot turn up later. False: too
 * late, its life goes on.
 */
export async function voidMessage(tx: Tx, order: Order, reason: string): Promise<boolean> {
  const { tenant, request } = order;
  const { rowCount } = await tx.query({
    text: `
      INSERT INTO message AS m (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status,
                                trustomer_code, product_name, error_message, receiver_e164, text_hash)
      VALUES ($1, ${utcNow}, $2, ${utcNow}, $2, $3, $4, $5, 'error', $6, $7, $8, $9, $10)
      ON CONFLICT (uuid) DO UPDATE SET status = 'error', error_code = NULL, error_message = $8, modified = ${utcNow},
        step = NULL, due = NULL, unresolved = false, epoch = m.epoch + 1
      WHERE m.twilio_sid IS NULL AND m.status = 'accepted' AND m.epoch = 0`,
    values: [
      order.uuid,
      UNKNOWN_AUTHOR,
      request.sender,
      request.receiver,
      request.content,
      tenant.trustomerCode,
      tenant.productName,
      reason,
      request.to,
      order.textHash,
    ],
  });
  // A statement of its own: it sees the key of a row that was committed while the first one waited for it.
  await tx.query({
    text: "DELETE FROM idempotency_key WHERE message_uuid IN (SELECT uuid FROM message WHERE uuid = $1 AND status = 'error')",
    values: [order.uuid],
  });
  return rowCount === 1;
}

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

/**
 * The first message of the same tenant, sender, number and text within the last seconds that was not refused. Two requests
 * at once ask one after the other: the lock lasts until the transaction has recorded what the answer made it record.
 */
export async function findRepeated(tx: Tx, order: Order, windowS: number): Promise<string | null> {
  await tx.query({ text: 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', values: [order.textHash] });
  const { rows } = await tx.query<{ uuid: string }>({
    name: 'find-repeated',
    text: `
      SELECT uuid FROM message
      WHERE receiver_e164 = $1 AND created > ${utcNow} - $2::int * interval '1 second' AND text_hash = $3
        AND trustomer_code = $4 AND product_name = $5 AND deleted IS NULL AND status <> 'error'
      ORDER BY created LIMIT 1`,
    values: [order.request.to, windowS, order.textHash, order.tenant.trustomerCode, order.tenant.productName],
  });
  return rows[0]?.uuid ?? null;
}

/** Of these SIDs those that we know to be another message's, or a second copy that is recorded already. */
export async function sidsOfOthers(db: Db, sids: readonly string[], uuid: string): Promise<Set<string>> {
  const { rows } = await db.query<{ sid: string }>({
    name: 'sids-of-others',
    text: `
      SELECT twilio_sid AS sid FROM message WHERE twilio_sid = ANY($1) AND uuid <> $2
      UNION SELECT twilio_sid FROM duplicate_handover WHERE twilio_sid = ANY($1)`,
    values: [sids, uuid],
  });
  return new Set(rows.map(({ sid }) => sid));
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
export async function listUnredacted(db: Db, before: Date, after: string, limit: number): Promise<AtTwilio[]> {
  const { rows } = await db.query<AtTwilio>({
    text: `
      SELECT uuid, twilio_sid AS "twilioSid" FROM message
      WHERE redacted IS NULL AND uuid > $2 AND twilio_sid IS NOT NULL AND status ${terminal}
        AND greatest(created, modified) <= $1 AND ${isNoHistory}
        AND NOT EXISTS (SELECT FROM message twin WHERE twin.text_hash = message.text_hash AND twin.unresolved)
      ORDER BY uuid LIMIT $3`,
    values: [before, after, limit],
  });
  return rows;
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
