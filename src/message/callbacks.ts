import { type Db, type Tx, utcNow } from '../db/db.ts';
import { evidenceOfCallback, evidenceValues } from './evidence.ts';
import { evidenceGuard, evidenceSets, judgeRow, terminal } from './forward-only.ts';
import type { AtTwilio } from './messages.ts';

/** A callback as it came, kept for good. `parameters` holds all that Twilio sent but text and numbers. */
export type Callback = {
  readonly twilioSid: string;
  readonly messageStatus: string;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  readonly parameters: Readonly<Record<string, string>>;
};

/** The message and attempt that a callback says it is about, by the query of its URL. */
export type Claim = { readonly uuid: string; readonly attempt: number | null };

/** What a callback did; `finished` are the messages whose text Twilio should empty now. */
export type Recorded = {
  /** Messages of its SID, or the one that it told its SID. 0: nobody knows it yet, it is kept. */
  readonly meant: number;
  readonly changed: number;
  /** 1: it proved a second SID for a message that has one (G4), for the first time. */
  readonly duplicates: number;
  readonly duplicateOf: string | null;
  readonly finished: readonly AtTwilio[];
};

/**
 * The whole intake in one statement, hence one snapshot, one round trip and one commit (G6). The callback is about the
 * messages of its SID (several where the Python service recorded a SID twice); else about the one whose id its URL carries,
 * which learns its SID if it has none, and is proved to have been handed over twice if it has another (G4).
 * The rows are locked first: a create answer that is being recorded meanwhile is waited for and seen.
 */
const recordCallbackSql = `
  WITH found AS (
    SELECT *, (twilio_sid = $1) IS TRUE AS is_known FROM message
    WHERE twilio_sid = $1 OR uuid = $8 ORDER BY uuid FOR UPDATE
  ), row AS (
    SELECT * FROM found WHERE is_known OR (twilio_sid IS NULL AND NOT EXISTS (SELECT FROM found WHERE is_known))
  ), ${judgeRow}, changed AS (
    UPDATE message m SET ${evidenceSets} FROM old WHERE m.uuid = old.uuid AND ${evidenceGuard}
    RETURNING m.uuid, m.status, old.brings_sid AS is_adopted
  ), proved AS (
    UPDATE attempt SET closed = coalesce(closed, ${utcNow}), outcome = 'accepted', twilio_sid = $1
    FROM changed WHERE changed.is_adopted AND attempt.message_uuid = changed.uuid AND attempt.n = $9
  ), second AS (
    INSERT INTO duplicate_handover (twilio_sid, message_uuid, attempt, detected)
    SELECT $1, uuid, $9, ${utcNow} FROM found
    WHERE uuid = $8 AND twilio_sid <> $1 AND NOT EXISTS (SELECT FROM found WHERE is_known)
    ON CONFLICT DO NOTHING RETURNING message_uuid
  ), kept AS (
    INSERT INTO callback (received, message_uuid, twilio_sid, message_status, error_code, parameters,
                          claimed_uuid, claimed_attempt, status_before, status_after)
    SELECT ${utcNow}, coalesce((SELECT min(uuid) FROM old), (SELECT uuid FROM found WHERE uuid = $8 AND NOT is_known)), $1, $10,
           $3, $11, $8, $9, (SELECT status FROM old ORDER BY uuid LIMIT 1),
           coalesce((SELECT status FROM changed ORDER BY uuid LIMIT 1), (SELECT status FROM old ORDER BY uuid LIMIT 1))
  )
  SELECT (SELECT count(*) FROM old)::int AS meant, (SELECT count(*) FROM changed)::int AS changed,
         (SELECT count(*) FROM second)::int AS duplicates, (SELECT message_uuid FROM second) AS "duplicateOf",
         (SELECT coalesce(json_agg(json_build_object('uuid', old.uuid, 'twilioSid', $1::varchar)), '[]')
          FROM old LEFT JOIN changed ON changed.uuid = old.uuid
          WHERE old.redacted IS NULL AND coalesce(changed.status, old.status) ${terminal}
            AND NOT EXISTS (SELECT FROM message twin WHERE twin.text_hash = old.text_hash AND twin.unresolved
                            AND twin.uuid <> old.uuid)
         ) AS finished`;

export async function recordCallback(db: Db, callback: Callback, claim: Claim | null): Promise<Recorded> {
  const { rows } = await db.query<Recorded>({
    name: 'record-callback',
    text: recordCallbackSql,
    values: [
      ...evidenceValues(evidenceOfCallback(callback)),
      claim?.uuid ?? null,
      claim?.attempt ?? null,
      callback.messageStatus,
      JSON.stringify(callback.parameters),
    ],
  });
  const [recorded] = rows;
  if (recorded === undefined) throw new Error('the statement returned no row');
  return recorded;
}

/** Joins the callbacks that came before anyone knew their SID to its message, and returns them in the order they came. */
export async function claimCallbacks(tx: Tx, messageUuid: string, twilioSid: string): Promise<Callback[]> {
  const { rows } = await tx.query<Callback>({
    name: 'claim-callbacks',
    text: `
      WITH claimed AS (
        UPDATE callback SET message_uuid = $1 WHERE twilio_sid = $2 AND message_uuid IS NULL RETURNING *
      )
      SELECT twilio_sid AS "twilioSid", message_status AS "messageStatus", error_code AS "errorCode",
             parameters ->> 'ErrorMessage' AS "errorMessage", parameters
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
