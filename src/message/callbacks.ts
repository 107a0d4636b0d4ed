import { type Db, type Tx, utcNow } from '../db/db.ts';
import { isEmptied, onlySafe } from './emptyings.ts';
import { evidenceColumns, evidenceOfCallback, evidenceRow } from './evidence.ts';
import { evidenceGuard, evidenceSets, judgeRow, terminal } from './forward-only.ts';
import { type AtTwilio, only } from './messages.ts';

/** A callback as it came, kept for good. `parameters` holds all that Twilio sent but text and numbers. */
export type Callback = {
  readonly twilioSid: string;
  readonly messageStatus: string;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  readonly parameters: Readonly<Record<string, string>>;
};

export type KeptCallback = Callback & { readonly received: Date };

/** The message and attempt that a callback says it is about, by the query of its URL. */
export type Claim = { readonly uuid: string; readonly attempt: number | null };

/** What a callback did; `finished` are the messages whose text Twilio should empty now. */
export type Recorded = {
  /** Messages of its SID, or the one that it told its SID. 0: nobody knows it yet, it is kept. */
  readonly meant: number;
  readonly changed: number;
  /** The message that it proved, for the first time, to have a second SID (G4). */
  readonly duplicateOf: string | null;
  readonly finished: readonly AtTwilio[];
};

/** A callback and what its URL claims. */
export type ToRecord = { readonly callback: Callback; readonly claim: Claim | null };

/**
 * The whole intake of some callbacks in one statement, hence one snapshot, one round trip and one commit (G6). Each is about
 * the messages of its SID (several where the Python service recorded a SID twice); else about the one whose id its URL
 * carries, which learns its SID if it has none, and is proved to have been handed over twice if it has another (G4). No two
 * of them may be about one message, for a statement changes a row once: see `aboutOf`.
 * The rows are locked first, in the order of their ids: a create answer that is being recorded meanwhile is waited for and
 * seen, and two replicas do not wait for each other.
 */
const recordCallbacksSql = `
  WITH said AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS said (
      i int, ${evidenceColumns}, claimed_uuid varchar, claimed_attempt int, parameters jsonb)
  ), found AS (
    SELECT message.*, said.*, (twilio_sid = said_sid) IS TRUE AS is_known
    FROM said JOIN message ON twilio_sid = said_sid OR uuid = claimed_uuid ORDER BY uuid FOR UPDATE OF message
  ), known AS (
    SELECT i FROM found WHERE is_known
  ), row AS (
    SELECT * FROM found WHERE is_known OR (twilio_sid IS NULL AND i NOT IN (SELECT i FROM known))
  ), ${judgeRow}, changed AS (
    UPDATE message m SET ${evidenceSets} FROM old WHERE m.uuid = old.uuid AND ${evidenceGuard}
    RETURNING old.i, m.uuid, m.status, old.brings_sid AS is_adopted, old.claimed_attempt, old.said_sid
  ), proved AS (
    UPDATE attempt SET closed = coalesce(closed, ${utcNow}), outcome = 'accepted', twilio_sid = said_sid
    FROM changed WHERE is_adopted AND attempt.message_uuid = changed.uuid AND attempt.n = changed.claimed_attempt
  ), second AS (
    INSERT INTO duplicate_handover (twilio_sid, message_uuid, attempt, detected)
    SELECT said_sid, uuid, claimed_attempt, ${utcNow} FROM found
    WHERE uuid = claimed_uuid AND twilio_sid <> said_sid AND i NOT IN (SELECT i FROM known)
    ON CONFLICT DO NOTHING RETURNING twilio_sid, message_uuid
  ), kept AS (
    INSERT INTO callback (received, message_uuid, twilio_sid, message_status, error_code, parameters,
                          claimed_uuid, claimed_attempt, status_before, status_after)
    SELECT DISTINCT ON (said.i) ${utcNow}, coalesce(old.uuid, claimed.uuid), said.said_sid, said.word, said.said_code,
           CASE WHEN ${isEmptied('old')} OR ${isEmptied('claimed')} THEN ${onlySafe('said.parameters')} ELSE said.parameters END,
           said.claimed_uuid, said.claimed_attempt, old.status, coalesce(changed.status, old.status)
    FROM said LEFT JOIN old ON old.i = said.i LEFT JOIN changed ON changed.i = old.i AND changed.uuid = old.uuid
      LEFT JOIN found claimed ON claimed.i = said.i AND claimed.uuid = said.claimed_uuid AND NOT claimed.is_known
    ORDER BY said.i, old.uuid
  )
  SELECT said.i, old.uuid, said.said_sid AS "twilioSid", changed.uuid IS NOT NULL AS "isChanged",
         second.message_uuid AS "duplicateOf",
         (old.redacted IS NULL AND coalesce(changed.status, old.status) ${terminal}
          AND NOT EXISTS (SELECT FROM message twin WHERE twin.text_hash = old.text_hash AND twin.unresolved
                          AND twin.uuid <> old.uuid)) IS TRUE AS "isFinished"
  FROM said LEFT JOIN old ON old.i = said.i LEFT JOIN changed ON changed.i = old.i AND changed.uuid = old.uuid
    LEFT JOIN second ON second.twilio_sid = said.said_sid`;

type Row = {
  readonly i: number;
  readonly uuid: string | null;
  readonly twilioSid: string;
  readonly isChanged: boolean;
  readonly duplicateOf: string | null;
  readonly isFinished: boolean;
};

/** What each of them did, in the order given. */
export async function recordCallbacks(db: Db, callbacks: readonly ToRecord[]): Promise<Recorded[]> {
  const { rows } = await db.query<Row>({
    name: 'record-callback',
    text: recordCallbacksSql,
    values: [JSON.stringify(callbacks.map(toJson))],
  });
  return callbacks.map((_, i) => readRecorded(rows.filter((row) => row.i === i)));
}

/** One by itself. */
export async function recordCallback(db: Db, callback: Callback, claim: Claim | null): Promise<Recorded> {
  return only(await recordCallbacks(db, [{ callback, claim }]));
}

/** What a callback may be about: no two with one of these in common are recorded together. */
export function aboutOf({ callback, claim }: ToRecord): string[] {
  return claim === null ? [callback.twilioSid] : [callback.twilioSid, claim.uuid];
}

function toJson({ callback, claim }: ToRecord, i: number): object {
  return {
    i,
    ...evidenceRow(evidenceOfCallback(callback)),
    claimed_uuid: claim?.uuid ?? null,
    claimed_attempt: claim?.attempt ?? null,
    parameters: callback.parameters,
  };
}

function readRecorded(rows: readonly Row[]): Recorded {
  const finished = rows.flatMap(({ uuid, twilioSid, isFinished }) =>
    uuid !== null && isFinished ? [{ uuid, twilioSid }] : [],
  );
  return {
    meant: rows.filter(({ uuid }) => uuid !== null).length,
    changed: rows.filter(({ isChanged }) => isChanged).length,
    duplicateOf: rows[0]?.duplicateOf ?? null,
    finished,
  };
}

/** Joins the callbacks that came before anyone knew their SID to its message, and returns them in the order they came. */
export async function claimCallbacks(tx: Tx, messageUuid: string, twilioSid: string): Promise<KeptCallback[]> {
  const { rows } = await tx.query<KeptCallback>({
    name: 'claim-callbacks',
    text: `
      WITH claimed AS (
        UPDATE callback SET message_uuid = $1::varchar, parameters = CASE
          WHEN EXISTS (SELECT FROM message m WHERE m.uuid = $1::varchar AND ${isEmptied('m')})
          THEN ${onlySafe('parameters')} ELSE parameters END
        WHERE twilio_sid = $2 AND message_uuid IS NULL RETURNING *
      )
      SELECT twilio_sid AS "twilioSid", message_status AS "messageStatus", error_code AS "errorCode",
             parameters ->> 'ErrorMessage' AS "errorMessage", parameters, received
      FROM claimed ORDER BY id`,
    values: [messageUuid, twilioSid],
  });
  return rows;
}

/** Kept callbacks whose message has turned up since. */
export async function listJoinable(db: Db, limit: number): Promise<AtTwilio[]> {
  const { rows } = await db.query<AtTwilio>({
    text: `
      SELECT DISTINCT message.uuid, message.twilio_sid AS "twilioSid"
      FROM callback JOIN message ON message.twilio_sid = callback.twilio_sid
      WHERE callback.message_uuid IS NULL ORDER BY message.uuid LIMIT $1`,
    values: [limit],
  });
  return rows;
}
