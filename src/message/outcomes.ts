import { type Db, type Tx, utcNow, violatedUniqueness } from '../db/db.ts';
import { type Closing, closeAttempt, licenceFrom } from './attempts.ts';
import { type Evidence, evidenceValues } from './evidence.ts';
import { evidenceGuard, evidenceSets, judgeRow, lockRow, lockRowWithSaid, terminal } from './forward-only.ts';
import type { Message } from './message.ts';
import { columns, only } from './messages.ts';
import { asStatus } from './status.ts';

/** What becomes of a message when an attempt has ended or Twilio was asked: tx 2. Each is one statement with its guard. */

/** Which attempt an outcome is about. */
export type AttemptId = { readonly uuid: string; readonly n: number };

export type EvidenceRecorded = {
  readonly message: Message;
  readonly isChanged: boolean;
  /** The message had another SID already: this one was proved to be a second copy, for the first time (G4). */
  readonly isDuplicate: boolean;
  /** It has ended and its text is still at Twilio. */
  readonly isFinished: boolean;
  /** Callbacks of this SID came before anyone knew it. */
  readonly hasKept: boolean;
};

/** Twilio answered with the SID of another message: what became of ours is unknown. */
export class SidTaken extends Error {
  override name = 'SidTaken';
}

/**
 * Twilio's word about a message, other than by a callback: the status moves forward only (G5), the first SID stays, a second
 * one is kept apart (G4). `attempt` is the one that is proved to have been accepted by it. Refuses with `SidTaken`.
 */
export async function recordEvidence(
  db: Db | Tx,
  uuid: string,
  evidence: Evidence,
  attempt: number | null,
): Promise<EvidenceRecorded> {
  const text = `
    WITH ${lockRowWithSaid('$8')}, ${judgeRow}, changed AS (
      UPDATE message m SET ${evidenceSets} FROM old WHERE m.uuid = old.uuid AND ${evidenceGuard}
      RETURNING m.*, old.status AS status_before
    ), second AS (
      INSERT INTO duplicate_handover (twilio_sid, message_uuid, attempt, detected)
      SELECT $1, uuid, $9, ${utcNow} FROM old
      WHERE twilio_sid <> $1 AND NOT EXISTS (SELECT FROM message other WHERE other.twilio_sid = $1)
        AND ($7 <> 'list' OR NOT EXISTS (
          SELECT FROM message twin WHERE twin.text_hash = old.text_hash AND twin.unresolved AND twin.uuid <> old.uuid
        ))
      ON CONFLICT DO NOTHING RETURNING message_uuid
    ), proved AS (
      UPDATE attempt SET closed = coalesce(closed, ${utcNow}), outcome = 'accepted', twilio_sid = $1,
        twilio_status = CASE WHEN $7 = 'answer' THEN $10 ELSE twilio_status END,
        http_status = CASE WHEN $7 = 'answer' THEN 201 ELSE http_status END
      WHERE message_uuid = $8 AND n = $9
        AND EXISTS (SELECT FROM changed UNION ALL SELECT FROM second UNION ALL SELECT FROM old WHERE twilio_sid = $1)
    ), told AS (
      INSERT INTO event (message_uuid, at, kind, actor, attempt, status_before, status_after, details)
      SELECT uuid, ${utcNow}, CASE $7 WHEN 'callback' THEN 'joined' WHEN 'list' THEN 'found' ELSE 'fetched' END, 'service', $9,
             status_before, status, jsonb_build_object('twilio_sid', $1::varchar, 'said', $10::varchar)
      FROM changed WHERE $7 <> 'answer'
    )
    SELECT ${columns}, true AS "isChanged", false AS "isDuplicate", ${isFinished}, ${hasKept} FROM changed
    UNION ALL
    SELECT ${columns}, false, EXISTS (SELECT FROM second), ${isFinished}, ${hasKept} FROM old
    WHERE NOT EXISTS (SELECT FROM changed)`;
  const name = evidence.source === 'answer' ? 'record-accepted' : 'record-evidence';
  const values = [...evidenceValues(evidence), uuid, attempt, evidence.status];
  try {
    const { rows } = await db.query<Message & Omit<EvidenceRecorded, 'message'>>({ name, text, values });
    const { isChanged, isDuplicate, isFinished, hasKept, ...message } = only(rows);
    return { message, isChanged, isDuplicate, isFinished, hasKept };
  } catch (error) {
    if (violatedUniqueness(error) === 'message_twilio_sid_once') {
      throw new SidTaken('this SID belongs to another message', { cause: error });
    }
    throw error;
  }
}

/** Twilio's 201 to an attempt. */
export type Answer = { readonly attempt: AttemptId; readonly evidence: Evidence };

/** The same for Twilio's answers to some creates, each of another message, in one statement. Refuses with `SidTaken`. */
export async function recordAnswers(db: Db, answers: readonly Answer[]): Promise<EvidenceRecorded[]> {
  const text = `
    WITH said AS MATERIALIZED (
      SELECT *, 'answer'::varchar AS said_source FROM jsonb_to_recordset($1::jsonb) AS said (
        i int, said_uuid varchar, said_n int, said_sid varchar, word varchar, said_status varchar, said_code varchar,
        said_message varchar, said_date varchar, said_placeholder boolean)
    ), row AS (
      SELECT message.*, said.* FROM said JOIN message ON uuid = said_uuid ORDER BY uuid FOR UPDATE OF message
    ), ${judgeRow}, changed AS (
      UPDATE message m SET ${evidenceSets} FROM old WHERE m.uuid = old.uuid AND ${evidenceGuard}
      RETURNING m.*, old.i, old.said_sid
    ), second AS (
      INSERT INTO duplicate_handover (twilio_sid, message_uuid, attempt, detected)
      SELECT said_sid, uuid, said_n, ${utcNow} FROM old
      WHERE twilio_sid <> said_sid AND NOT EXISTS (SELECT FROM message other WHERE other.twilio_sid = said_sid)
      ON CONFLICT DO NOTHING RETURNING message_uuid
    ), proved AS (
      UPDATE attempt SET closed = coalesce(closed, ${utcNow}), outcome = 'accepted', twilio_sid = said_sid,
        twilio_status = word, http_status = 201
      FROM old WHERE message_uuid = old.uuid AND n = said_n
        AND (old.twilio_sid = said_sid OR old.i IN (SELECT i FROM changed) OR old.uuid IN (SELECT message_uuid FROM second))
    )
    SELECT ${columns}, i, true AS "isChanged", false AS "isDuplicate", ${isFinished}, ${hasKeptOf('said_sid')} FROM changed
    UNION ALL
    SELECT ${columns}, i, false, uuid IN (SELECT message_uuid FROM second), ${isFinished}, ${hasKeptOf('said_sid')} FROM old
    WHERE i NOT IN (SELECT i FROM changed)`;
  try {
    const { rows } = await db.query<Message & Omit<EvidenceRecorded, 'message'> & { i: number }>({
      name: 'record-accepted',
      text,
      values: [JSON.stringify(answers.map(toJson))],
    });
    return answers.map((_, n) => {
      const { i: _i, isChanged, isDuplicate, isFinished, hasKept, ...message } = only(rows.filter(({ i }) => i === n));
      return { message, isChanged, isDuplicate, isFinished, hasKept };
    });
  } catch (error) {
    if (violatedUniqueness(error) === 'message_twilio_sid_once') {
      throw new SidTaken('this SID belongs to another message', { cause: error });
    }
    throw error;
  }
}

function toJson({ attempt, evidence }: Answer, i: number): object {
  return {
    i,
    said_uuid: attempt.uuid,
    said_n: attempt.n,
    said_sid: evidence.twilioSid,
    word: evidence.status,
    said_status: asStatus(evidence.status),
    said_code: evidence.errorCode,
    said_message: evidence.errorMessage,
    said_date: evidence.dateSent,
    said_placeholder: evidence.isPlaceholder,
  };
}

const isFinished = `(redacted IS NULL AND status ${terminal}) IS TRUE AS "isFinished"`;
const hasKeptOf = (sid: string) =>
  `EXISTS (SELECT FROM callback WHERE callback.twilio_sid = ${sid} AND message_uuid IS NULL) AS "hasKept"`;
const hasKept = hasKeptOf('$1');

const closing = closeAttempt({ uuid: '$1', n: '$2', outcome: '$3', httpStatus: '$4', errorCode: '$5', reason: '$6' });
const closingValues = ({ uuid, n }: AttemptId, closed: Closing) => [
  uuid,
  n,
  closed.outcome,
  closed.httpStatus,
  closed.errorCode,
  closed.reason,
];

/** Only while this is the latest attempt and nothing proves that Twilio has it. */
const isStillOurs = `m.uuid = old.uuid AND old.attempts = $2 AND old.status = 'accepted' AND old.twilio_sid IS NULL`;
/** The row after the statement, be it changed or not. */
const eitherWay = (changed: string) => `
  SELECT ${columns} FROM ${changed} UNION ALL SELECT ${columns} FROM old WHERE NOT EXISTS (SELECT FROM ${changed})`;

/**
 * Ends a message that Twilio refused or never got, unless there is evidence that Twilio has it after all. `freesKey`: it may
 * be taken later, so its caller is told 503 and the key may be used again (G7); not so when somebody has found meanwhile that
 * it is to be sent again.
 */
export async function recordRefused(
  db: Db,
  attempt: AttemptId,
  closed: Closing,
  error: { code: string | null; message: string; freesKey: boolean },
): Promise<Message> {
  const { rows } = await db.query<Message>({
    name: 'record-refused',
    text: `
      WITH ${lockRow('old', '$1')}, closed AS (${closing}), ended AS (
        UPDATE message m SET status = 'error', error_code = $5, error_message = $7, modified = ${utcNow},
          unresolved = false, step = NULL, due = NULL, epoch = m.epoch + 1
        FROM old WHERE ${isStillOurs} AND (old.step = 'resolve' OR NOT $8::boolean) RETURNING m.*
      ), freed AS (
        DELETE FROM idempotency_key USING ended WHERE $8::boolean AND message_uuid = ended.uuid
      ) ${eitherWay('ended')}`,
    values: [...closingValues(attempt, closed), error.message, error.freesKey],
  });
  return only(rows);
}

/** It was provably not processed, and nobody waits for an answer: it is tried again after a pause, unless it was deleted. */
export async function recordPutBack(db: Db, attempt: AttemptId, closed: Closing, afterMs: number): Promise<Message> {
  const { rows } = await db.query<Message>({
    name: 'record-put-back',
    text: `
      WITH ${lockRow('old', '$1')}, closed AS (${closing}), back AS (
        UPDATE message m SET step = CASE WHEN old.deleted IS NULL THEN 'send' END,
          status = CASE WHEN old.deleted IS NULL THEN m.status ELSE 'canceled' END,
          due = CASE WHEN old.deleted IS NULL THEN least(${utcNow} + $7::int * interval '1 ms', m.valid_until) END,
          unresolved = false, epoch = m.epoch + 1
        FROM old WHERE ${isStillOurs} AND old.step = 'resolve' RETURNING m.*
      ) ${eitherWay('back')}`,
    values: [...closingValues(attempt, closed), afterMs],
  });
  return only(rows);
}

/** Attempt n was provably not processed: closes it and gives out the licence for n + 1, if this is still ours to send. */
export async function recordRetry(
  db: Db,
  attempt: AttemptId,
  closed: Closing,
  next: { withinMs: number; settleMs: number },
): Promise<'licensed' | 'no longer ours'> {
  const { rowCount } = await db.query({
    name: 'record-retry',
    text: `
      WITH ${lockRow('old', '$1')}, closed AS (${closing}), again AS (
        UPDATE message m SET attempts = m.attempts + 1, due = ${utcNow} + ($7::int + $8::int) * interval '1 ms',
          epoch = m.epoch + 1
        FROM old WHERE ${isStillOurs} AND old.step = 'resolve' RETURNING m.uuid, m.attempts
      ), licence AS (
        SELECT uuid, attempts AS n, ${utcNow} AS started, ${utcNow} + $7::int * interval '1 ms' AS deadline FROM again
      ), licensed AS (
        ${licenceFrom('licence')} RETURNING n
      ) SELECT n FROM licensed`,
    values: [...closingValues(attempt, closed), next.withinMs, next.settleMs],
  });
  return rowCount === 1 ? 'licensed' : 'no longer ours';
}

/** Twilio may or may not have it. When it is looked for stands in the row since the attempt was licensed. */
export async function recordUnknown(db: Db, attempt: AttemptId, closed: Closing): Promise<Message> {
  const { rows } = await db.query<Message>({
    name: 'record-unknown',
    text: `WITH ${lockRow('old', '$1')}, closed AS (${closing}) SELECT ${columns} FROM old`,
    values: closingValues(attempt, closed),
  });
  return only(rows);
}

/** An operator has found out what nobody else could. Twilio's word, should it come, still wins over it (G5). */
export async function recordSettled(db: Db, uuid: string, outcome: 'sent' | 'not-sent'): Promise<Message | null> {
  const { rows } = await db.query<Message>({
    text: `
      WITH settled AS (
        UPDATE message SET status = CASE $2::varchar WHEN 'sent' THEN 'sent' ELSE 'error' END, modified = ${utcNow},
          error_message = CASE $2::varchar WHEN 'sent' THEN NULL ELSE 'An operator found that it was not sent.' END
        WHERE uuid = $1 AND status = 'unconfirmed' AND deleted IS NULL RETURNING *
      ), told AS (
        INSERT INTO event (message_uuid, at, kind, actor, status_before, status_after, details)
        SELECT uuid, ${utcNow}, 'settled', 'operator', 'unconfirmed', status, jsonb_build_object('outcome', $2::varchar)
        FROM settled
      )
      SELECT ${columns} FROM settled`,
    values: [uuid, outcome],
  });
  return rows[0] ?? null;
}
