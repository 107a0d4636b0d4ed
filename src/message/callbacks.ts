import type { Tx } from '../db/db.ts';

/** A callback as it came, kept for good. `parameters` holds everything Twilio sent but the text. */
export type Callback = {
  readonly twilioSid: string;
  readonly messageStatus: string;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  readonly parameters: Readonly<Record<string, string>>;
};

export async function insertCallback(tx: Tx, callback: Callback, messageUuid: string | null): Promise<void> {
  await tx.query({
    name: 'insert-callback',
    text: `
      INSERT INTO callback (received, message_uuid, twilio_sid, message_status, error_code, parameters)
      VALUES ($1, $2, $3, $4, $5, $6)`,
    values: [
      tx.now,
      messageUuid,
      callback.twilioSid,
      callback.messageStatus,
      callback.errorCode,
      JSON.stringify(callback.parameters),
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
export async function listJoinable(tx: Tx, limit: number): Promise<{ uuid: string; twilioSid: string }[]> {
  const { rows } = await tx.query<{ uuid: string; twilioSid: string }>({
    text: `
      SELECT DISTINCT message.uuid, message.twilio_sid AS "twilioSid"
      FROM callback JOIN message ON message.twilio_sid = callback.twilio_sid
      WHERE callback.message_uuid IS NULL LIMIT $1`,
    values: [limit],
  });
  return rows;
}
