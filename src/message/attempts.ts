import type { Tx } from '../db/db.ts';

/** How an attempt to hand a message to Twilio ended. Without an outcome it is under way, or its process died. */
export type Outcome = 'accepted' | 'refused' | 'not processed' | 'unknown';

/** The licence to call Twilio once: committed before the socket opens (G1, G3). */
export async function insertAttempt(tx: Tx, attempt: { uuid: string; n: number; deadline: Date }): Promise<void> {
  await tx.query({
    name: 'insert-attempt',
    text: 'INSERT INTO attempt (message_uuid, n, started, deadline) VALUES ($1, $2, $3, $4)',
    values: [attempt.uuid, attempt.n, tx.now, attempt.deadline],
  });
}

export async function closeAttempt(
  tx: Tx,
  attempt: { uuid: string; n: number; outcome: Outcome; httpStatus: number | null; errorCode: string | null },
): Promise<void> {
  await tx.query({
    name: 'close-attempt',
    text: `
      UPDATE attempt SET closed = $3, outcome = $4, http_status = $5, error_code = $6
      WHERE message_uuid = $1 AND n = $2 AND closed IS NULL`,
    values: [attempt.uuid, attempt.n, tx.now, attempt.outcome, attempt.httpStatus, attempt.errorCode],
  });
}
