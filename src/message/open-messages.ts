import { type Db, utcNow } from '../db/db.ts';
import { terminal } from './forward-only.ts';
import type { Reach } from './message.ts';
import { type AtTwilio, isWithin, reachValues } from './messages.ts';
import { pauseAfterPoll, SILENT_AT_POLL } from './poll-schedule.ts';

/**
 * Messages that Twilio has and whose end we do not know: followed by callbacks, and polled when those stay away. Rows that the platform's own SQL
 * has written are among them: a trigger gives them their step.
 */
export type OpenMessage = AtTwilio & { readonly created: Date };

/** Where a list of them goes on; to the microsecond, as the platform's own SQL may write it. */
export type OpenPlace = { readonly createdText: string; readonly uuid: string };

/** The bulk update of the Python service looks back this far. */
const WINDOW = "interval '7 days'";
const isOpen = `(status IS NULL OR status NOT ${terminal})`;

/**
 * Messages that were there before this service followed any, of a take-over those that are no history: each gets its step, a few
 * minutes apart. Once they all have it, this looks at no row any more. Says how many got theirs.
 */
export async function takeUp(db: Db, limit: number): Promise<number> {
  const { rows } = await db.query<{ count: number }>({
    name: 'take-up',
    text: `
      WITH missing AS MATERIALIZED (
        SELECT message.uuid FROM message, installation
        WHERE NOT taken_up AND created >= history_before AND step IS NULL AND twilio_sid IS NOT NULL AND redacted IS NULL
          AND (status ${terminal} OR created >= ${utcNow} - ${WINDOW})
        LIMIT $1 FOR UPDATE OF message
      ), taken AS (
        UPDATE message m SET step = CASE WHEN status ${terminal} THEN 'redact' ELSE 'poll' END,
          due = ${utcNow} + (1 + 4 * random()) * interval '1 minute'
        FROM missing WHERE m.uuid = missing.uuid RETURNING m.uuid
      ), all_taken AS (
        UPDATE installation SET taken_up = true WHERE NOT taken_up AND NOT EXISTS (SELECT FROM missing)
      )
      SELECT count(*)::int AS count FROM taken`,
    values: [limit],
  });
  return rows[0]?.count ?? 0;
}

/** Those of the last 7 days, the newest first, older than `before`. */
export async function listOpen(db: Db, before: OpenPlace | null, limit: number): Promise<(OpenMessage & OpenPlace)[]> {
  const { rows } = await db.query<OpenMessage & OpenPlace>({
    name: 'list-open',
    text: `
      SELECT uuid, twilio_sid AS "twilioSid", created, created::text AS "createdText" FROM message
      WHERE step IN ('poll', 'verify', 'look back') AND twilio_sid IS NOT NULL AND ${isOpen}
        AND created >= ${utcNow} - ${WINDOW}
        AND ($1::timestamp IS NULL OR (created, uuid) < ($1, $2))
      ORDER BY created DESC, uuid DESC LIMIT $3`,
    values: [before?.createdText ?? null, before?.uuid ?? null, limit],
  });
  return rows;
}

/** How many messages were recorded since then, as the account's list will show them all. */
export async function countSince(db: Db, since: Date): Promise<number> {
  const { rows } = await db.query<{ count: number }>({
    name: 'count-since',
    text: 'SELECT count(*)::int AS count FROM message WHERE created >= $1',
    values: [since],
  });
  return rows[0]?.count ?? 0;
}

/** A message that has been quiet for so long that Twilio is asked about it. */
export type ToPoll = OpenMessage & { readonly epoch: number };

export async function claimToPoll(db: Db, { limit, leaseMs }: { limit: number; leaseMs: number }): Promise<ToPoll[]> {
  const { rows } = await db.query<ToPoll>({
    name: 'claim-to-poll',
    text: `
      WITH ready AS (
        SELECT uuid FROM message WHERE step = 'poll' AND due <= ${utcNow} AND ${isOpen}
        ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
      )
      UPDATE message m SET due = ${utcNow} + $2::int * interval '1 ms', epoch = epoch + 1
      FROM ready WHERE m.uuid = ready.uuid RETURNING m.uuid, m.twilio_sid AS "twilioSid", m.created, m.epoch`,
    values: [limit, leaseMs],
  });
  return rows;
}

/** A message that somebody wants Twilio to be asked about; without a SID it cannot be. */
export type Pollable = Omit<ToPoll, 'twilioSid'> & { readonly twilioSid: string | null };

export async function findToPoll(db: Db, uuid: string, reach: Reach): Promise<Pollable | null> {
  const { rows } = await db.query<Pollable>({
    name: 'find-to-poll',
    text: `
      SELECT uuid, twilio_sid AS "twilioSid", created, epoch FROM message
      WHERE uuid = $1 AND deleted IS NULL AND ${isWithin('$2', '$3')}`,
    values: [uuid, ...reachValues(reach)],
  });
  return rows[0] ?? null;
}

/** What a poll came to: no news; Twilio has it no more; or nobody knows. */
export type Polled = { readonly uuid: string; readonly epoch: number; readonly result: 'no news' | 'gone' | 'failed' };

/** Where Twilio was not reached: again in about five minutes. */
const AGAIN_AFTER = "interval '4 minutes' + random() * interval '2 minutes'";

/**
 * Puts polls that brought no news into the history, and says when the next one comes, if any. What has changed meanwhile, by
 * the poll itself or by a callback, has another epoch and is left alone. Answers how many have been silent for 72 hours by now.
 */
export async function recordPolled(db: Db, polled: readonly Polled[]): Promise<number> {
  const { rows } = await db.query<{ silent: number }>({
    name: 'record-polled',
    text: `
      WITH polled AS (
        SELECT * FROM jsonb_to_recordset($1::jsonb) AS polled (uuid varchar, epoch int, result varchar)
      ), old AS (
        SELECT m.uuid, m.polls, m.status, polled.result FROM polled JOIN message m ON m.uuid = polled.uuid
        WHERE m.epoch = polled.epoch AND m.step = 'poll' ORDER BY m.uuid FOR UPDATE OF m
      ), changed AS (
        UPDATE message m SET polls = old.polls + CASE WHEN old.result = 'failed' THEN 0 ELSE 1 END,
          step = CASE WHEN old.result = 'failed' THEN 'poll'
                      WHEN old.result = 'no news' AND ${pauseAfterPoll('(old.polls + 1)')} IS NOT NULL THEN 'poll' END,
          due = CASE old.result WHEN 'failed' THEN ${utcNow} + ${AGAIN_AFTER}
                                WHEN 'no news' THEN ${utcNow} + ${pauseAfterPoll('(old.polls + 1)')} END,
          epoch = m.epoch + 1
        FROM old WHERE m.uuid = old.uuid RETURNING m.uuid, m.status, m.polls, old.result
      ), told AS (
        INSERT INTO event (message_uuid, at, kind, actor, status_before, status_after, details)
        SELECT uuid, ${utcNow}, CASE WHEN result = 'gone' THEN 'gone' WHEN polls = ${SILENT_AT_POLL} THEN 'silent' ELSE 'polled' END,
               'service', status, status, jsonb_build_object('poll', polls)
        FROM changed WHERE result <> 'failed'
      )
      SELECT (count(*) FILTER (WHERE result = 'no news' AND polls = ${SILENT_AT_POLL}))::int AS silent FROM changed`,
    values: [JSON.stringify(polled)],
  });
  return rows[0]?.silent ?? 0;
}
