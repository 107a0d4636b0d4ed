import { type Db, type Tx, utcNow, violatedUniqueness } from '../db/db.ts';
import { noteOfMessages } from '../tenant/audit-entries.ts';
import { type Closing, closeAttempt, licenceFrom } from './attempts.ts';
import { type Evidence, evidenceColumns, evidenceRow } from './evidence.ts';
import { evidenceGuard, evidenceSets, judgeRow, lockRow, terminal } from './forward-only.ts';
import type { Author, Message, Reach } from './message.ts';
import { columns, isWithin, only, reachValues } from './messages.ts';

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

/** Twilio's word about a message, and the attempt that is proved by it to have been accepted. */
export type Said = { readonly uuid: string; readonly attempt: number | null; readonly evidence: Evidence };

/**
 * Twilio's word about some messages, each another one, other than by callbacks: the answer to a create, its log, or what it said
 * when asked. The status moves forward only (G5), the first SID stays, a second one is kept apart (G4): from the log only when
 * no twin is unresolved, whose copy it could be. Answers in the order given. Refuses with `SidTaken`.
 */
export async function recordEvidences(db: Db | Tx, said: readonly Said[]): Promise<EvidenceRecorded[]> {
  const text = `
    WITH said AS MATERIALIZED (
      SELECT * FROM jsonb_to_recordset($1::jsonb) AS said (i int, said_uuid varchar, said_n int, ${evidenceColumns})
    ), row AS (
      SELECT message.*, said.* FROM said JOIN message ON uuid = said_uuid ORDER BY uuid FOR UPDATE OF message
    ), ${judgeRow}, changed AS (
      UPDATE message m SET ${evidenceSets} FROM old WHERE m.uuid = old.uuid AND ${evidenceGuard}
      RETURNING m.*, old.i, old.said_sid, old.said_n, old.said_source, old.word, old.status AS status_before
    ), second AS (
      INSERT INTO duplicate_handover (twilio_sid, message_uuid, attempt, detected)
      SELECT said_sid, uuid, said_n, ${utcNow} FROM old
      WHERE twilio_sid <> said_sid AND NOT EXISTS (SELECT FROM message other WHERE other.twilio_sid = said_sid)
        AND (said_source <> 'list' OR NOT EXISTS (
          SELECT FROM message twin WHERE twin.text_hash = old.text_hash AND twin.unresolved AND twin.uuid <> old.uuid
        ))
      ON CONFLICT DO NOTHING RETURNING message_uuid
    ), proved AS (
      UPDATE attempt SET closed = coalesce(closed, ${utcNow}), outcome = 'accepted', twilio_sid = said_sid,
        twilio_status = CASE said_source WHEN 'answer' THEN word ELSE twilio_status END,
        http_status = CASE said_source WHEN 'answer' THEN 201 ELSE http_status END
      FROM old WHERE message_uuid = old.uuid AND n = said_n
        AND (old.twilio_sid = said_sid OR old.i IN (SELECT i FROM changed) OR old.uuid IN (SELECT message_uuid FROM second))
    ), told AS (
      INSERT INTO event (message_uuid, at, kind, actor, attempt, status_before, status_after, details)
      SELECT uuid, ${utcNow}, CASE said_source WHEN 'callback' THEN 'joined' WHEN 'list' THEN 'found' ELSE 'fetched' END,
             'service', said_n, status_before, status, jsonb_build_object('twilio_sid', said_sid, 'said', word)
      FROM changed WHERE said_source <> 'answer'
    )
    SELECT ${columns}, i, true AS "isChanged", false AS "isDuplicate", ${isFinished}, ${hasKept} FROM changed
    UNION ALL
    SELECT ${columns}, i, false, uuid IN (SELECT message_uuid FROM second), ${isFinished}, ${hasKept} FROM old
    WHERE i NOT IN (SELECT i FROM changed)`;
  try {
    const { rows } = await db.query<Message & Omit<EvidenceRecorded, 'message'> & { i: number }>({
      name: 'record-evidence',
      text,
      values: [JSON.stringify(said.map(toJson))],
    });
    const byPlace = new Map(rows.map((row) => [row.i, row]));
    return said.map((_, place) => asRecorded(only([byPlace.get(place)].filter((row) => row !== undefined))));
  } catch (error) {
    if (violatedUniqueness(error) === 'message_twilio_sid_once') {
      throw new SidTaken('this SID belongs to another message', { cause: error });
    }
    throw error;
  }
}

/** The same for one message. */
export async function recordEvidence(
  db: Db | Tx,
  uuid: string,
  evidence: Evidence,
  attempt: number | null,
): Promise<EvidenceRecorded> {
  return only(await recordEvidences(db, [{ uuid, evidence, attempt }]));
}

function toJson({ uuid, attempt, evidence }: Said, i: number): object {
  return { i, said_uuid: uuid, said_n: attempt, ...evidenceRow(evidence) };
}

function asRecorded(row: Message & Omit<EvidenceRecorded, 'message'> & { i: number }): EvidenceRecorded {
  const { isChanged, isDuplicate, isFinished, hasKept } = row;
  // The row itself: to copy it would be to read a text that perhaps cannot be opened.
  return { message: row, isChanged, isDuplicate, isFinished, hasKept };
}

const isFinished = `(redacted IS NULL AND status ${terminal}) IS TRUE AS "isFinished"`;
const hasKept =
  'EXISTS (SELECT FROM callback WHERE callback.twilio_sid = said_sid AND message_uuid IS NULL) AS "hasKept"';

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
          ended = CASE WHEN old.deleted IS NULL THEN m.ended ELSE ${utcNow} END,
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
export async function recordSettled(
  db: Db,
  uuid: string,
  settled: { readonly outcome: 'sent' | 'not-sent'; readonly reach: Reach; readonly author: Author },
): Promise<Message | null> {
  const { outcome, reach, author } = settled;
  const { rows } = await db.query<Message>({
    text: `
      WITH settled AS (
        UPDATE message SET status = CASE $2::varchar WHEN 'sent' THEN 'sent' ELSE 'error' END, modified = ${utcNow},
          modified_by_ = coalesce($6::varchar, modified_by_),
          error_message = CASE $2::varchar WHEN 'sent' THEN NULL ELSE 'An operator found that it was not sent.' END
        WHERE uuid = $1 AND status = 'unconfirmed' AND deleted IS NULL AND ${isWithin('$3', '$4')} RETURNING *
      ), told AS (
        INSERT INTO event (message_uuid, at, kind, actor, status_before, status_after, details)
        SELECT uuid, ${utcNow}, 'settled', 'operator', 'unconfirmed', status, jsonb_build_object('outcome', $2::varchar)
        FROM settled
      ), noted AS (
        ${noteOfMessages('settled', 'settled', { id: '$5::varchar', name: '$6::varchar' })}
      )
      SELECT ${columns} FROM settled`,
    values: [uuid, outcome, ...reachValues(reach), author?.id ?? null, author?.name ?? null],
  });
  return rows[0] ?? null;
}
