import { utcNow } from '../db/db.ts';
import { rankInSql, terminalStatuses } from './status.ts';

/**
 * How Twilio's word changes a row, in SQL: the one rule (G5) that the answer to a create, callbacks, lists and fetches share.
 * `row` is the locked row together with what Twilio said of it, from parameters or from a list of several:
 *
 *   WITH row AS (SELECT message.*, ${said} FROM message WHERE … FOR UPDATE), ${judgeRow}, changed AS (
 *     UPDATE message m SET ${evidenceSets} FROM old WHERE m.uuid = old.uuid AND ${evidenceGuard} … )
 */

export const terminal = `IN (${terminalStatuses.map((status) => `'${status}'`).join(', ')})`;

/** What Twilio said, from the parameters of `evidenceValues`, which come first. */
const said = `$1::varchar AS said_sid, $2::varchar AS said_status, $3::varchar AS said_code, $4::varchar AS said_message,
  $5::varchar AS said_date, $6::boolean AS said_placeholder, $7::varchar AS said_source`;

/**
 * The row as it stands, locked: who waited for another's transaction sees what that one did. The table itself, asked in the
 * same statement, would show the row as it was when the statement began.
 */
export const lockRow = (name: string, uuid: string) =>
  `${name} AS (SELECT * FROM message WHERE uuid = ${uuid} FOR UPDATE)`;

export const lockRowWithSaid = (uuid: string) =>
  `row AS (SELECT *, ${said} FROM message WHERE uuid = ${uuid} FOR UPDATE)`;

/**
 * `old`: the locked rows of `row`, each with what Twilio's word means for it. Materialised step by step, or PostgreSQL would
 * work the same conditions out dozens of times.
 * - contradicts: two ends that differ; the first one stays until a fetch decides.
 * - moves_forward: a word of higher rank; also any signed callback after a `sent` that the quiet simulator made up.
 * - brings_code: also one that comes later than its status (a doubled callback that says more).
 * - was_wrong: we said that Twilio does not have it, or the first end was the wrong one: its reason goes.
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
  ), old AS MATERIALIZED (
    SELECT *, (contradicts AND said_source <> 'fetch' AND step IS DISTINCT FROM 'verify') AS needs_verifying,
      (said_code IS NOT NULL AND (status = said_status OR moves_forward) AND error_code IS DISTINCT FROM said_code) AS brings_code,
      (moves_forward AND (contradicts OR status IN ('error', 'unconfirmed'))) AS was_wrong,
      (said_date IS NOT NULL AND date_sent IS DISTINCT FROM said_date) AS brings_date,
      (brings_sid AND attempts > 1 AND EXISTS (
        SELECT FROM attempt WHERE message_uuid = uuid AND outcome = 'absent')) AS was_absent
    FROM compared
  )`;

const isNews = '(old.brings_sid OR old.moves_forward OR old.brings_code OR old.brings_date)';

/**
 * With a SID nothing is left to find out or to send; a contradiction is to be looked at; and after a message was sent again
 * Twilio's log is looked at once more, for an earlier attempt that was accepted after all (G4).
 */
export const evidenceSets = `
  handed_over = CASE WHEN old.brings_sid THEN ${utcNow} ELSE m.handed_over END,
  twilio_sid = old.said_sid,
  error_message = CASE WHEN old.brings_code OR old.was_wrong THEN old.said_message ELSE m.error_message END,
  error_code = CASE WHEN old.brings_code OR old.was_wrong THEN old.said_code ELSE m.error_code END,
  placeholder = CASE WHEN old.moves_forward THEN old.said_placeholder ELSE m.placeholder END,
  status = CASE WHEN old.moves_forward THEN old.said_status ELSE m.status END,
  date_sent = coalesce(old.said_date, m.date_sent),
  unresolved = false,
  step = CASE WHEN old.needs_verifying THEN 'verify' WHEN old.was_absent THEN 'look back'
              WHEN old.brings_sid THEN NULL ELSE m.step END,
  due = CASE WHEN old.needs_verifying THEN ${utcNow} WHEN old.was_absent THEN coalesce(m.due, ${utcNow})
             WHEN old.brings_sid THEN NULL ELSE m.due END,
  epoch = m.epoch + CASE WHEN old.needs_verifying OR old.brings_sid THEN 1 ELSE 0 END,
  modified = CASE WHEN ${isNews} THEN ${utcNow} ELSE m.modified END`;

/** The guard: only a row of this SID or of none, and only when the word says something new. */
export const evidenceGuard = `(old.brings_sid OR old.twilio_sid = old.said_sid) AND (${isNews} OR old.needs_verifying)`;
