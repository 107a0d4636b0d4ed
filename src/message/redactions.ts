import { type Db, utcNow } from '../db/db.ts';
import { terminal } from './forward-only.ts';
import type { Reach } from './message.ts';
import { type AtTwilio, isWithin, only, reachValues } from './messages.ts';

/**
 * The queue of texts that have ended and that Twilio still holds: rows with step 'redact', each due when it is to be tried. It is
 * filled by the statement that records the end (forward-only.ts), and for what the platform's own SQL ends by a trigger, a minute
 * later (CONTRACT.md: its tests read such a row unredacted first).
 */

/** Twilio's copy is empty, as its answer showed; also a second copy's. */
export async function recordRedaction(db: Db, { uuid, twilioSid }: AtTwilio): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'record-redaction',
    text: `
      WITH emptied AS (
        UPDATE message SET redacted = ${utcNow}, modified = ${utcNow},
          step = CASE WHEN step = 'redact' THEN NULL ELSE step END, due = CASE WHEN step = 'redact' THEN NULL ELSE due END
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

/** Rows from before the take-over are left alone (CONTRACT.md, The database). */
const isNoHistory = 'created >= (SELECT history_before FROM installation)';

/** Twilio may or may not have the same text once more, and its log must be able to show it (TWILIO.md 17). */
const hasNoOpenTwin = `NOT EXISTS (
  SELECT FROM message twin WHERE twin.text_hash = m.text_hash AND twin.unresolved AND twin.uuid <> m.uuid)`;

const claimed = `
  UPDATE message m SET due = ${utcNow} + $2::int * interval '1 ms' FROM ready WHERE m.uuid = ready.uuid
  RETURNING m.uuid, m.twilio_sid AS "twilioSid"`;

/** Claims what is due; a claimer that dies loses its turn after `leaseMs`. Emptying twice is harmless. */
export async function claimToRedact(
  db: Db,
  { limit, leaseMs }: { limit: number; leaseMs: number },
): Promise<AtTwilio[]> {
  const { rows } = await db.query<AtTwilio>({
    name: 'claim-to-redact',
    text: `
      WITH ready AS (
        SELECT uuid FROM message m WHERE step = 'redact' AND due <= ${utcNow} AND ${hasNoOpenTwin}
        ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
      ) ${claimed}`,
    values: [limit, leaseMs],
  });
  return rows;
}

/** A place in the queue, by age; to the microsecond, as the platform's own SQL may write it. */
export type Place = { readonly created: string; readonly uuid: string };

/**
 * The same whether due or not, from `after` on, in the order of age: also what a claim loop has in hand at this moment, for whoever
 * asks for all wants to wait for it, too.
 */
export async function claimNextToRedact(
  db: Db,
  { limit, leaseMs, after }: { limit: number; leaseMs: number; after: Place | null },
): Promise<{ batch: AtTwilio[]; last: Place | null }> {
  const { rows } = await db.query<{ uuid: string; twilioSid: string | null; created: string }>({
    name: 'claim-next-to-redact',
    text: `
      WITH next AS MATERIALIZED (
        SELECT uuid, created FROM message m
        WHERE step = 'redact' AND ${hasNoOpenTwin}
          AND ($3::timestamp IS NULL OR (created >= $3 AND (created, uuid) > ($3, $4)))
        ORDER BY created, uuid LIMIT $1
      ), ready AS (
        SELECT uuid FROM message WHERE uuid IN (SELECT uuid FROM next) AND step = 'redact' ORDER BY uuid FOR UPDATE
      ), claimed AS (${claimed})
      SELECT next.uuid, claimed."twilioSid", next.created::text AS created FROM next LEFT JOIN claimed USING (uuid)
      ORDER BY next.created, next.uuid`,
    values: [limit, leaseMs, after?.created ?? null, after?.uuid ?? null],
  });
  const batch = rows.flatMap(({ uuid, twilioSid }) => (twilioSid === null ? [] : [{ uuid, twilioSid }]));
  return { batch, last: rows.at(-1) ?? null };
}

/**
 * Not emptied this time. For a reason of this message's own: again after 20 s, 40 s, … at most six hours. Because Twilio as a whole
 * did not answer: in 10 to 20 seconds.
 */
export async function putRedactionOff(db: Db, uuid: string, isItsOwnFault: boolean): Promise<void> {
  await db.query({
    name: 'put-redaction-off',
    text: `
      UPDATE message SET redaction_tries = redaction_tries + CASE WHEN $2 THEN 1 ELSE 0 END,
        due = ${utcNow} + CASE WHEN $2 THEN least(interval '6 hours', interval '20 seconds' * 2 ^ least(redaction_tries, 20))
                          ELSE (10 + random() * 10) * interval '1 second' END
      WHERE uuid = $1 AND redacted IS NULL AND step = 'redact'`,
    values: [uuid, isItsOwnFault],
  });
}

/** How old the oldest message is that has ended and whose text Twilio still holds, in seconds; 0 without one. */
export async function oldestUnredactedS(db: Db): Promise<number> {
  const { rows } = await db.query<{ age: number }>({
    name: 'oldest-unredacted',
    text: `
      WITH oldest AS (
        SELECT min(created) AS created FROM message WHERE step = 'redact'
        UNION ALL
        SELECT min(created) FROM message WHERE step IN ('verify', 'look back') AND redacted IS NULL AND status ${terminal}
      )
      SELECT coalesce(extract(epoch FROM ${utcNow} - min(created)), 0)::float8 AS age FROM oldest`,
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

/** What became of the texts of one tenant, or of all tenants, of all the messages recorded in a time, deleted ones included. */
export type RedactionCounts = {
  /** Twilio had it, and it has ended: `emptiedAtTwilio` + `outstanding` + `leftAlone`. */
  readonly finished: number;
  readonly emptiedAtTwilio: number;
  readonly outstanding: number;
  /** When the oldest outstanding one was recorded. */
  readonly oldestOutstanding: Date | null;
  /** Twilio has it, and it has not ended: only then may it be emptied there. */
  readonly unfinished: number;
  /** Ended before the take-over from the Python service, and not touched since. */
  readonly leftAlone: number;
  readonly emptiedHere: number;
  readonly numbersEmptiedHere: number;
};

/** Every row is read, and most have been emptied at Twilio: each condition begins with what is quickly told of those. */
export async function countRedactions(
  db: Db,
  { reach, from, to }: { reach: Reach; from: string; to: string },
): Promise<RedactionCounts> {
  const isFinished = `twilio_sid IS NOT NULL AND status ${terminal}`;
  const isOutstanding = `redacted IS NULL AND ${isFinished} AND ${isNoHistory}`;
  const { rows } = await db.query<RedactionCounts>({
    text: `
      WITH counted AS (
        SELECT count(twilio_sid) AS with_sid,
               count(*) FILTER (WHERE redacted IS NOT NULL AND ${isFinished}) AS emptied,
               count(*) FILTER (WHERE ${isOutstanding}) AS outstanding,
               min(created) FILTER (WHERE ${isOutstanding}) AS oldest,
               count(*) FILTER (WHERE redacted IS NULL AND ${isFinished} AND NOT ${isNoHistory}) AS left_alone,
               count(content_emptied) AS emptied_here, count(number_emptied) AS numbers_emptied_here
        FROM message
        WHERE ${isWithin('$1', '$2')}
          AND created >= $3::timestamptz AT TIME ZONE 'utc' AND created <= $4::timestamptz AT TIME ZONE 'utc'
      )
      SELECT (emptied + outstanding + left_alone)::int AS finished, emptied::int AS "emptiedAtTwilio", outstanding::int,
             oldest AS "oldestOutstanding", (with_sid - emptied - outstanding - left_alone)::int AS unfinished,
             left_alone::int AS "leftAlone", emptied_here::int AS "emptiedHere",
             numbers_emptied_here::int AS "numbersEmptiedHere"
      FROM counted`,
    values: [...reachValues(reach), from, to],
  });
  return only(rows);
}
