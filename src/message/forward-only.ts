import { utcNow } from '../db/db.ts';
import { firstPoll } from './poll-schedule.ts';
import { rankInSql, terminalStatuses } from './status.ts';

/**
 * How Twilio's word changes a row, in SQL: the one rule (G5) that the answer to a create, callbacks, lists and fetches share.
 * `row` is the locked row together with what Twilio said of it, with the columns said_sid, said_status, said_code, …:
 *
 *   WITH row AS (SELECT message.*, said.* FROM said JOIN message … FOR UPDATE OF message), ${judgeRow}, changed AS (
 *     UPDATE message m SET ${evidenceSets} FROM old WHERE m.uuid = old.uuid AND ${evidenceGuard} … )
 */

/** As long as a redaction may wait for its turn, and take. */
const othersRedactAfter = "interval '25 seconds'";

export const terminal = `IN (${terminalStatuses.map((status) => `'${status}'`).join(', ')})`;

/**
 * The row as it stands, locked: who waited for another's transaction sees what that one did. The table itself, asked in the
 * same statement, would show the row as it was when the statement began.
 */
export const lockRow = (name: string, uuid: string) =>
  `${name} AS (SELECT * FROM message WHERE uuid = ${uuid} FOR UPDATE)`;

/**
 * `old`: the locked rows of `row`, each with what Twilio's word means for it. Materialised step by step, or PostgreSQL would
 * work the same conditions out dozens of times.
 * - contradicts: two ends that differ; the first one stays until a fetch decides.
 * - moves_forward: a word of higher rank; also any signed callback after a `sent` that the quiet simulator made up.
 * - brings_code: also one that comes later than its status (a doubled callback that says more).
 * - was_wrong: we said that Twilio does not have it, or the first end was the wrong one: its reason goes.
 * - next_step, next_due: a contradiction is to be looked at; after a message was sent again Twilio's log is looked at once
 *   more, for an earlier attempt that was accepted after all (G4), unless its text is emptied here; else what has ended is redacted and what has not is polled.
 *   What ended by a callback is redacted by the replica that took it, and by all when that has not come to pass in time.
 */
export const judgeRow = `
  ranked AS MATERIALIZED (
    SELECT *, ${rankInSql('status')} AS rank, ${rankInSql('said_status')} AS said_rank, twilio_sid IS NULL AS brings_sid,
      (said_status ${terminal} AND status ${terminal} AND status <> said_status) AS differs
    FROM row
  ), compared AS MATERIALIZED (
    SELECT *, (differs AND rank = said_rank) AS contradicts,
      (said_rank > rank OR (differs AND rank = said_rank AND said_source = 'fetch')
       OR (placeholder AND status = 'sent' AND said_source = 'callback' AND said_status IS NOT NULL)) AS moves_forward
    FROM ranked
  ), weighed AS MATERIALIZED (
    SELECT *, (contradicts AND said_source <> 'fetch' AND step IS DISTINCT FROM 'verify') AS needs_verifying,
      (said_code IS NOT NULL AND (status = said_status OR moves_forward) AND error_code IS DISTINCT FROM said_code) AS brings_code,
      (moves_forward AND (contradicts OR status IN ('error', 'unconfirmed'))) AS was_wrong,
      (said_date IS NOT NULL AND date_sent IS DISTINCT FROM said_date) AS brings_date,
      (brings_sid AND attempts > 1 AND content_emptied IS NULL AND number_emptied IS NULL AND EXISTS (
        SELECT FROM attempt WHERE message_uuid = uuid AND outcome = 'absent')) AS was_absent,
      (CASE WHEN moves_forward THEN said_status ELSE status END) ${terminal} AS has_ended
    FROM compared
  ), old AS MATERIALIZED (
    SELECT *,
      CASE WHEN needs_verifying THEN 'verify' WHEN was_absent THEN 'look back' WHEN step IN ('verify', 'look back') THEN step
           WHEN NOT (brings_sid OR moves_forward) THEN step WHEN has_ended IS NOT TRUE THEN 'poll'
           WHEN redacted IS NULL THEN 'redact' END AS next_step,
      CASE WHEN needs_verifying THEN ${utcNow} WHEN was_absent THEN coalesce(due, ${utcNow})
           WHEN step IN ('verify', 'look back') OR NOT (brings_sid OR moves_forward) THEN due
           WHEN has_ended IS NOT TRUE THEN ${utcNow} + ${firstPoll}
           WHEN redacted IS NULL THEN ${utcNow} + CASE said_source WHEN 'callback' THEN ${othersRedactAfter} ELSE interval '0' END
      END AS next_due
    FROM weighed
  )`;

const isNews = '(old.brings_sid OR old.moves_forward OR old.brings_code OR old.brings_date)';

/**
 * When Twilio's word came to us: a kept callback came before it was joined to its message, and of the end that a fetch has
 * decided for a callback may have told long before.
 */
const whenItEnded = `coalesce(old.said_at, CASE WHEN old.contradicts THEN (
      SELECT min(received) FROM callback
      WHERE message_uuid = m.uuid AND callback.twilio_sid = old.said_sid AND message_status = old.said_status
    ) END, ${utcNow})`;

/** With a SID nothing is left to find out or to send. What an older claim leads to has no effect any more. */
export const evidenceSets = `
  handed_over = CASE WHEN old.brings_sid THEN ${utcNow} ELSE m.handed_over END,
  twilio_sid = old.said_sid,
  error_message = CASE WHEN NOT (old.brings_code OR old.was_wrong) THEN m.error_message
    WHEN coalesce(old.content_emptied, old.number_emptied) IS NULL THEN old.said_message END,
  error_code = CASE WHEN old.brings_code OR old.was_wrong THEN old.said_code ELSE m.error_code END,
  placeholder = CASE WHEN old.moves_forward THEN old.said_placeholder ELSE m.placeholder END,
  status = CASE WHEN old.moves_forward THEN old.said_status ELSE m.status END,
  ended = CASE WHEN NOT old.moves_forward OR (old.status = 'delivered' AND old.said_status = 'read') THEN m.ended
    WHEN old.said_status ${terminal} THEN ${whenItEnded} END,
  date_sent = coalesce(old.said_date, m.date_sent),
  unresolved = false,
  step = old.next_step,
  due = old.next_due,
  polls = CASE WHEN old.brings_sid OR old.moves_forward THEN 0 ELSE m.polls END,
  epoch = m.epoch + CASE WHEN old.needs_verifying OR old.brings_sid
    OR (old.moves_forward AND old.step IS DISTINCT FROM 'verify' AND old.step IS DISTINCT FROM 'look back') THEN 1 ELSE 0 END,
  modified = CASE WHEN ${isNews} THEN ${utcNow} ELSE m.modified END`;

/** The guard: only a row of this SID or of none, and only when the word says something new. */
export const evidenceGuard = `(old.brings_sid OR old.twilio_sid = old.said_sid) AND (${isNews} OR old.needs_verifying)`;
