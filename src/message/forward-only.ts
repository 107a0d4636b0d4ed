import { utcNow } from '../db/db.ts';
import { rankInSql, terminalStatuses } from './status.ts';

/**
 * How Twilio's word changes a row, in SQL: the one rule (G5) that the answer to a create, callbacks, lists and fetches share.
 * Written for `UPDATE message m … FROM old WHERE m.uuid = old.uuid AND …`, where `old` is the row as it stands, locked.
 * The first parameters of such a statement are those of `evidenceValues`:
 * $1 SID, $2 status or NULL, $3 error code, $4 error message, $5 date_sent, $6 placeholder?, $7 source.
 */

export const terminal = `IN (${terminalStatuses.map((status) => `'${status}'`).join(', ')})`;

/** Two ends that differ: the first stays until a fetch decides. */
const isContradiction = `($2::varchar ${terminal} AND old.status ${terminal} AND old.status <> $2 AND ${rankInSql('$2::varchar')} = ${rankInSql('old.status')})`;
/** Any signed callback replaces a `sent` that the quiet simulator made up. */
const replacesPlaceholder = `(old.placeholder AND old.status = 'sent' AND $7 = 'callback' AND $2::varchar IS NOT NULL)`;
const isDecided = `($7 = 'fetch' AND ${isContradiction})`;
const movesForward = `(${rankInSql('$2::varchar')} > ${rankInSql('old.status')} OR ${replacesPlaceholder} OR ${isDecided})`;
/** A code that comes later than its status (a doubled callback that says more) completes the row. */
const bringsCode = `($3::varchar IS NOT NULL AND ($2::varchar = old.status OR ${movesForward}) AND old.error_code IS DISTINCT FROM $3)`;
/** We said that Twilio does not have it, or the first end was the wrong one: its reason goes. */
const provesUsWrong = `((old.status IN ('error', 'unconfirmed') AND ${movesForward}) OR ${isDecided})`;
const bringsDate = `($5::varchar IS NOT NULL AND old.date_sent IS DISTINCT FROM $5)`;
const bringsSid = '(old.twilio_sid IS NULL)';
const needsVerifying = `(${isContradiction} AND $7 <> 'fetch' AND old.step IS DISTINCT FROM 'verify')`;

/** It was sent again although Twilio may still take an earlier attempt: its log is looked at once more (G4). */
const wasAbsent = `(m.attempts > 1 AND EXISTS (SELECT FROM attempt WHERE message_uuid = m.uuid AND outcome = 'absent'))`;
const isNews = `(${bringsSid} OR ${movesForward} OR ${bringsCode} OR ${bringsDate})`;

/** With a SID nothing is left to find out or to send; a contradiction is to be looked at. */
export const evidenceSets = `
  handed_over = CASE WHEN ${bringsSid} THEN ${utcNow} ELSE m.handed_over END,
  twilio_sid = $1,
  error_message = CASE WHEN ${bringsCode} OR ${provesUsWrong} THEN $4 ELSE m.error_message END,
  error_code = CASE WHEN ${bringsCode} OR ${provesUsWrong} THEN $3 ELSE m.error_code END,
  placeholder = CASE WHEN ${movesForward} THEN $6 ELSE m.placeholder END,
  status = CASE WHEN ${movesForward} THEN $2 ELSE m.status END,
  date_sent = coalesce($5, m.date_sent),
  unresolved = false,
  step = CASE WHEN ${needsVerifying} THEN 'verify' WHEN ${bringsSid} AND ${wasAbsent} THEN 'look back'
              WHEN ${bringsSid} THEN NULL ELSE m.step END,
  due = CASE WHEN ${needsVerifying} THEN ${utcNow} WHEN ${bringsSid} AND ${wasAbsent} THEN coalesce(m.due, ${utcNow})
             WHEN ${bringsSid} THEN NULL ELSE m.due END,
  epoch = m.epoch + CASE WHEN ${needsVerifying} OR ${bringsSid} THEN 1 ELSE 0 END,
  modified = CASE WHEN ${isNews} THEN ${utcNow} ELSE m.modified END`;

/** The guard: only a row of this SID or of none, and only when the word says something new. */
export const evidenceGuard = `(old.twilio_sid IS NULL OR old.twilio_sid = $1)
  AND (${isNews} OR ${needsVerifying})`;

/**
 * The row as it stands, locked: who waited for another's transaction sees what that one did. The table itself, asked in the
 * same statement, would show the row as it was when the statement began.
 */
export const lockRow = (uuid: string) => `old AS (SELECT * FROM message WHERE uuid = ${uuid} FOR UPDATE)`;
