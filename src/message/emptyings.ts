import { type Db, type Tx, utcNow } from '../db/db.ts';
import { meaningOf } from '../twilio/error-codes.ts';
import type { KeyedHash } from './keyed-hash.ts';
import type { Message } from './message.ts';
import { columns, only } from './messages.ts';
import { toE164 } from './phone-number.ts';

/** Emptying texts and numbers in our own tables: what is due, the one statement that does it, and erasing's lock. */

export type What = 'text' | 'number';

/** What emptying needs to know of a message; `isText`, `isNumber`: what of it is to be emptied now. */
export type ToEmpty = Pick<Message, 'uuid' | 'receiver' | 'receiver_e164' | 'error_code'> & {
  readonly isText: boolean;
  readonly isNumber: boolean;
};

/** While one of these is to come, the text is still needed: to be sent, or to be told apart in Twilio's log. */
const stepsThatNeedIt = ['send', 'resolve', 'look back'] as const;
const isNeeded = `(unresolved OR step IN (${[...stepsThatNeedIt, 'verify'].map((step) => `'${step}'`).join(', ')})) IS TRUE`;

/** Of a callback's parameters those that can hold neither text nor number, whatever Twilio adds one day. */
const safeParameters = [
  'AccountSid',
  'ApiVersion',
  'ChannelInstallSid',
  'ChannelPrefix',
  'ChannelStatusCode',
  'ErrorCode',
  'MessageSid',
  'MessageStatus',
  'MessagingServiceSid',
  'NumSegments',
  'RawDlrDoneDate',
  'SmsSid',
  'SmsStatus',
];
const safeList = `ARRAY[${safeParameters.map((name) => `'${name}'`).join(', ')}]::text[]`;
/** What a callback of an emptied message may keep, in SQL. */
export const onlySafe = (parameters: string) =>
  `(SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(${parameters}) WHERE key = ANY(${safeList}))`;
const holdsMore = (parameters: string) => `(${parameters} - ${safeList}) <> '{}'`;

/** Is text or number of this row empty, in SQL? */
export const isEmptied = (row: string) => `coalesce(${row}.content_emptied, ${row}.number_emptied) IS NOT NULL`;

const HASHED = 'hashed:';
const TWILIO_CODE = /^\d{1,6}$/;

/** What stands in the number's place: the same for every spelling of it, so that it is still counted and found. */
export function emptiedNumber(
  { receiver, receiver_e164 }: Pick<Message, 'receiver' | 'receiver_e164'>,
  hash: KeyedHash,
  countryCode: string,
): string {
  if (receiver.startsWith(HASHED)) return receiver;
  return HASHED + hash('number', [receiver_e164 ?? toE164(receiver, countryCode, 'parsed') ?? receiver]);
}

/**
 * Empties what is asked for, with everything that goes with it: raw callbacks keep safe parameters only; `error_code` and
 * `error_message` may be a caller's own words, so a code of Twilio's stays, with our sentence for it; the hash of text and number
 * goes. Recorded in the history. A message that others hold, that has changed since it was read or whose text is needed is left
 * alone: those it answers were emptied.
 */
export async function emptyMessages(
  db: Db | Tx,
  messages: readonly ToEmpty[],
  how: { hash: KeyedHash; countryCode: string; actor: 'service' | 'caller'; why: 'retention' | 'erase' },
): Promise<{ uuid: string; isText: boolean; isNumber: boolean }[]> {
  const { rows } = await db.query<{ uuid: string; isText: boolean; isNumber: boolean }>({
    name: `empty-messages-${how.why}`,
    text: `
      WITH asked AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset($1::jsonb) AS asked (
          uuid varchar, old_receiver varchar, old_e164 varchar, old_code varchar, hashed varchar, code varchar,
          sentence varchar, is_text boolean, is_number boolean)
      ), ready AS MATERIALIZED (
        SELECT asked.* FROM asked JOIN message USING (uuid)
        WHERE receiver = old_receiver AND receiver_e164 IS NOT DISTINCT FROM old_e164
          AND error_code IS NOT DISTINCT FROM old_code
          AND (content_emptied IS NULL OR NOT is_text) AND (number_emptied IS NULL OR NOT is_number)
          AND NOT ${how.why === 'retention' ? isNeeded : isNeededToErase}
        ORDER BY uuid FOR UPDATE OF message SKIP LOCKED
      ), emptied AS (
        UPDATE message m SET
          content = CASE WHEN is_text THEN '' ELSE content END,
          content_key_id = CASE WHEN NOT is_text THEN content_key_id END,
          content_emptied = CASE WHEN is_text THEN ${utcNow} ELSE content_emptied END,
          receiver = CASE WHEN is_number THEN hashed ELSE receiver END,
          receiver_e164 = CASE WHEN is_number THEN hashed ELSE receiver_e164 END,
          number_emptied = CASE WHEN is_number THEN ${utcNow} ELSE number_emptied END,
          text_hash = NULL, error_code = code, error_message = sentence
        FROM ready WHERE m.uuid = ready.uuid RETURNING m.uuid, is_text, is_number
      ), callbacks AS (
        UPDATE callback SET parameters = ${onlySafe('parameters')}
        FROM emptied WHERE message_uuid = emptied.uuid AND ${holdsMore('parameters')}
      ), told AS (
        INSERT INTO event (message_uuid, at, kind, actor, details)
        SELECT uuid, ${utcNow}, 'emptied', $2, jsonb_build_object('why', $3::varchar, 'what',
          CASE WHEN is_text AND is_number THEN 'text and number' WHEN is_text THEN 'text' ELSE 'number' END)
        FROM emptied
      )
      SELECT uuid, is_text AS "isText", is_number AS "isNumber" FROM emptied`,
    values: [JSON.stringify(messages.map((message) => toJson(message, how))), how.actor, how.why],
  });
  return rows;
}

function toJson(message: ToEmpty, { hash, countryCode }: { hash: KeyedHash; countryCode: string }): object {
  const code = message.error_code !== null && TWILIO_CODE.test(message.error_code) ? message.error_code : null;
  return {
    uuid: message.uuid,
    old_receiver: message.receiver,
    old_e164: message.receiver_e164,
    old_code: message.error_code,
    hashed: message.isNumber ? emptiedNumber(message, hash, countryCode) : null,
    code,
    sentence: meaningOf(code),
    is_text: message.isText,
    is_number: message.isNumber,
  };
}

/** Verifying asks Twilio by SID: it can do without the text that its owner wants gone. */
const isNeededToErase = `(unresolved OR step IN (${stepsThatNeedIt.map((step) => `'${step}'`).join(', ')})) IS TRUE`;

/**
 * Some messages with `created` after `after` and not after `upTo`, the oldest first, without those of `skipped`, of which
 * `what` is still here. `waits`: it is still needed. Moments are texts in UTC: rows of others hold microseconds.
 */
export async function listToEmpty(
  db: Db,
  part: { what: What; after: string; upTo: string; over: Over; skipped: readonly string[]; limit: number },
): Promise<(ToEmpty & { readonly waits: boolean })[]> {
  const { rows } = await db.query<ToEmpty & { readonly waits: boolean }>({
    text: `
      SELECT uuid, receiver, receiver_e164, error_code, ${isNeeded} AS waits,
        (content_emptied IS NULL AND created <= $3::timestamp) IS TRUE AS "isText",
        (number_emptied IS NULL AND created <= $4::timestamp) IS TRUE AS "isNumber"
      FROM message
      WHERE created > $1::timestamp AND created <= $2::timestamp AND uuid <> ALL($5::varchar[])
        AND ${part.what === 'text' ? 'content_emptied' : 'number_emptied'} IS NULL
      ORDER BY created LIMIT $6`,
    values: [part.after, part.upTo, part.over.text, part.over.number, part.skipped, part.limit],
  });
  return rows;
}

/** A part of the table that can be walked through in one go: some `rows` of it after `after`. Answers its last moment. */
export async function endOfPart(db: Db, part: { after: string; upTo: string; rows: number }): Promise<string> {
  const { rows } = await db.query<{ end: string }>({
    text: `
      SELECT coalesce((
        SELECT created FROM message WHERE created > $1::timestamp AND created <= $2::timestamp ORDER BY created OFFSET $3 LIMIT 1
      ), $2::timestamp)::text AS end`,
    values: [part.after, part.upTo, part.rows],
  });
  return rows[0]?.end ?? part.upTo;
}

/** What was created at this moment or earlier has had its days; null: it is kept for good. */
export type Over = { readonly text: string | null; readonly number: string | null };

/** By the database's clock; `days` 0 = for good. `isNewDay`: the walk that began at `began` did so a day ago or more. */
export async function whatIsOver(
  db: Db,
  days: { text: number; number: number },
  began: string | null,
): Promise<Over & { isNewDay: boolean; now: string }> {
  const { rows } = await db.query<Over & { isNewDay: boolean; now: string }>({
    text: `
      SELECT (${utcNow} - nullif($1::int, 0) * interval '1 day')::text AS text,
             (${utcNow} - nullif($2::int, 0) * interval '1 day')::text AS number,
             coalesce($3::timestamp <= ${utcNow} - interval '1 day', true) AS "isNewDay", ${utcNow}::text AS now`,
    values: [days.text, days.number, began],
  });
  return only(rows);
}

/** Where a walk through the kept callbacks has come to. */
export type KeptPosition = { readonly sid: string; readonly id: string };

/** Callbacks that were received by `upTo` and have found no message keep safe parameters only. `next` null: that was the last part. */
export async function emptyKeptCallbacks(
  db: Db,
  part: { after: KeptPosition; upTo: string; limit: number },
): Promise<{ emptied: number; next: KeptPosition | null }> {
  const { rows } = await db.query<{ emptied: number; sid: string | null; id: string; walked: number }>({
    text: `
      WITH walked AS MATERIALIZED (
        SELECT id, twilio_sid, received, parameters FROM callback
        WHERE message_uuid IS NULL AND (twilio_sid, id) > ($1, $2::bigint) ORDER BY twilio_sid, id LIMIT $4
      ), ready AS MATERIALIZED (
        SELECT callback.id FROM callback JOIN walked USING (id)
        WHERE callback.message_uuid IS NULL AND callback.received <= $3::timestamp AND ${holdsMore('callback.parameters')}
        FOR UPDATE OF callback SKIP LOCKED
      ), emptied AS (
        UPDATE callback SET parameters = ${onlySafe('parameters')} FROM ready WHERE callback.id = ready.id RETURNING callback.id
      )
      SELECT (SELECT count(*) FROM emptied)::int AS emptied, (SELECT count(*) FROM walked)::int AS walked,
             last.twilio_sid AS sid, last.id
      FROM (SELECT 1) one LEFT JOIN LATERAL (
        SELECT twilio_sid, id FROM walked ORDER BY twilio_sid DESC, id DESC LIMIT 1) last ON true`,
    values: [part.after.sid, part.after.id, part.upTo, part.limit],
  });
  const [row] = rows;
  const isLast = row === undefined || row.sid === null || row.walked < part.limit;
  return { emptied: row?.emptied ?? 0, next: isLast || row.sid === null ? null : { sid: row.sid, id: row.id } };
}

/** The message as it stands, held until the transaction ends: nobody sends it, and nothing is recorded of it meanwhile. */
export async function lockToErase(tx: Tx, uuid: string): Promise<(Message & { readonly isNeeded: boolean }) | null> {
  const { rows } = await tx.query<Message & { readonly isNeeded: boolean }>({
    name: 'lock-to-erase',
    text: `
      SELECT ${columns},
        (unresolved OR step IN ('resolve', 'look back') OR (step = 'send' AND deleted IS NOT NULL)) IS TRUE AS "isNeeded"
      FROM message WHERE uuid = $1 FOR UPDATE`,
    values: [uuid],
  });
  return rows[0] ?? null;
}
