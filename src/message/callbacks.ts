import type { Db, Tx } from '../db/db.ts';

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

export async function insertCallback(
  tx: Tx,
  callback: Callback,
  messageUuid: string | null,
  claim: Claim | null,
): Promise<void> {
  await tx.query({
    name: 'insert-callback',
    text: `
      INSERT INTO callback (received, message_uuid, twilio_sid, message_status, error_code, parameters,
                            claimed_uuid, claimed_attempt)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    values: [
      tx.now,
      messageUuid,
      callback.twilioSid,
      callback.messageStatus,
      callback.errorCode,
      JSON.stringify(callback.parameters),
      claim?.uuid ?? null,
      claim?.attempt ?? null,
    ],
  });
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
export async function listJoinable(db: Db, limit: number): Promise<{ uuid: string; twilioSid: string }[]> {
  const { rows } = await db.query<{ uuid: string; twilioSid: string }>({
    text: `
      SELECT DISTINCT message.uuid, message.twilio_sid AS "twilioSid"
      FROM callback JOIN message ON message.twilio_sid = callback.twilio_sid
      WHERE callback.message_uuid IS NULL ORDER BY message.uuid LIMIT $1`,
    values: [limit],
  });
  return rows;
}
