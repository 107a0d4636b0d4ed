import { type Db, utcNow } from '../db/db.ts';

/** What the tables hold of a message's life; `history.ts` makes one story of it. */
export type AttemptRow = {
  readonly n: number;
  readonly started: Date;
  readonly deadline: Date;
  readonly closed: Date | null;
  readonly outcome: string | null;
  readonly http_status: number | null;
  readonly error_code: string | null;
  readonly twilio_sid: string | null;
  readonly twilio_status: string | null;
  readonly reason: string | null;
};
export type CallbackRow = {
  readonly received: Date;
  readonly twilio_sid: string;
  readonly message_status: string;
  readonly error_code: string | null;
  readonly parameters: Readonly<Record<string, string>>;
  readonly claimed_attempt: number | null;
  readonly status_before: string | null;
  readonly status_after: string | null;
};
export type EventRow = {
  readonly at: Date;
  readonly kind: string;
  readonly actor: string;
  readonly attempt: number | null;
  readonly status_before: string | null;
  readonly status_after: string | null;
  readonly details: Readonly<Record<string, unknown>>;
};
export type DuplicateRow = { readonly detected: Date; readonly twilio_sid: string; readonly attempt: number | null };

/** More than a life has; a bound all the same. */
const MOST = 1_000;

export async function listAttempts(db: Db, uuid: string): Promise<AttemptRow[]> {
  return list(
    db,
    `SELECT n, started, deadline, closed, outcome, http_status, error_code, twilio_sid, twilio_status, reason
     FROM attempt WHERE message_uuid = $1 ORDER BY n LIMIT $2`,
    uuid,
  );
}

export async function listCallbacks(db: Db, uuid: string): Promise<CallbackRow[]> {
  return list(
    db,
    // Its ErrorMessage is kept for the message's own; in the carriers' words there may be a number.
    `SELECT received, twilio_sid, message_status, error_code, parameters - 'ErrorMessage' AS parameters, claimed_attempt, status_before, status_after
     FROM callback WHERE message_uuid = $1 ORDER BY id LIMIT $2`,
    uuid,
  );
}

export async function listEvents(db: Db, uuid: string): Promise<EventRow[]> {
  return list(
    db,
    `SELECT at, kind, actor, attempt, status_before, status_after, details
     FROM event WHERE message_uuid = $1 ORDER BY id LIMIT $2`,
    uuid,
  );
}

export async function listDuplicates(db: Db, uuid: string): Promise<DuplicateRow[]> {
  return list(
    db,
    `SELECT detected, twilio_sid, attempt FROM duplicate_handover WHERE message_uuid = $1 ORDER BY detected LIMIT $2`,
    uuid,
  );
}

/**
 * Tells in both histories that `again` is `uuid` once more, unless they tell it already. A commit of its own, after the one that
 * recorded `again`: a crash in between loses this note and nothing else, and the same request again, by its idempotency key,
 * writes it then.
 */
export async function recordSentAgain(db: Db, uuid: string, again: string): Promise<void> {
  await db.transaction(async (tx) => {
    // Two requests with one key tell it once: what the second one reads, it reads after the first one's commit.
    await tx.query({ text: 'SELECT FROM message WHERE uuid = $1 FOR NO KEY UPDATE', values: [uuid] });
    await tx.query({
      text: `
        INSERT INTO event (message_uuid, at, kind, actor, details)
        SELECT told.uuid, ${utcNow}, told.kind, 'caller', jsonb_build_object('message_id', told.other)
        FROM (VALUES ($1::varchar, 'sent again', $2::varchar), ($2, 'repeats', $1)) AS told (uuid, kind, other)
        WHERE NOT EXISTS (
          SELECT FROM event WHERE message_uuid = told.uuid AND kind = told.kind AND details ->> 'message_id' = told.other
        )`,
      values: [uuid, again],
    });
  });
}

async function list<Row extends object>(db: Db, text: string, uuid: string): Promise<Row[]> {
  return (await db.query<Row>({ text, values: [uuid, MOST] })).rows;
}
