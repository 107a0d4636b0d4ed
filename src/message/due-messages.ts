import { type Db, utcNow, violatedUniqueness } from '../db/db.ts';
import { licenceFrom } from './attempts.ts';
import { terminal } from './forward-only.ts';
import type { Message } from './message.ts';
import { columns } from './messages.ts';
import { firstPoll } from './poll-schedule.ts';

/**
 * What is due, claimed by one replica at a time: `FOR UPDATE SKIP LOCKED` lets several claim at once, `due` moves into the
 * future so that a claimer who dies loses its turn, and `epoch` goes up so that one who merely slept cannot act on an old claim.
 */

/** A message to send now, with the licence for this attempt. */
export type ToSend = { readonly message: Message; readonly n: number };

/**
 * Claims messages that are ready and licenses their next attempt, in one commit before any socket opens (G1). Of identical
 * texts one at a time: while Twilio may or may not have one, the others wait their turn. `own`: messages that this
 * replica has just recorded; they need not become due first.
 */
export async function claimToSend(
  db: Db,
  claim: { limit: number; withinMs: number; settleMs: number; own: readonly string[] },
): Promise<ToSend[]> {
  try {
    const { rows } = await db.query<Message>({
      name: 'claim-to-send',
      text: `
        WITH ready AS (
          SELECT uuid, text_hash FROM message m
          WHERE step = 'send' AND status = 'accepted' AND (due <= ${utcNow} OR uuid = ANY($4))
            AND ${horizon('m')} > ${utcNow}
            AND NOT EXISTS (SELECT FROM message twin WHERE twin.text_hash = m.text_hash AND twin.unresolved)
          ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
        ), once AS (
          SELECT DISTINCT ON (text_hash) uuid FROM ready ORDER BY text_hash, uuid
        ), claimed AS (
          UPDATE message m SET step = 'resolve', due = ${utcNow} + ($2::int + $3::int) * interval '1 ms', unresolved = true,
            attempts = attempts + 1, epoch = epoch + 1
          FROM once WHERE m.uuid = once.uuid RETURNING m.*
        ), licence AS (
          SELECT uuid, attempts AS n, ${utcNow} AS started, ${utcNow} + $2::int * interval '1 ms' AS deadline FROM claimed
        ), licensed AS (
          ${licenceFrom('licence')}
        )
        SELECT ${columns} FROM claimed`,
      values: [claim.limit, claim.withinMs, claim.settleMs, claim.own],
    });
    return rows.map((message) => ({ message, n: message.attempts }));
  } catch (error) {
    // A twin became unresolved at this very moment; the next claim sees it.
    if (violatedUniqueness(error) === 'message_unresolved_twin') return [];
    throw error;
  }
}

/** Without a time limit of its own a message that nobody took is given up after a day. */
export const horizon = (m: string) => `coalesce(${m}.valid_until, ${m}.created + interval '24 hours')`;

/**
 * Rows that the platform's own SQL has ended (CONTRACT.md: such a row counts from then on) have no next step any more.
 * Answers how many there were.
 */
export async function releaseEnded(db: Db, limit: number): Promise<number> {
  const { rowCount } = await db.query({
    name: 'release-ended',
    text: `
      WITH ended AS (
        SELECT uuid FROM message WHERE step IN ('send', 'resolve') AND due <= ${utcNow} AND status IS DISTINCT FROM 'accepted'
        LIMIT $1 FOR UPDATE SKIP LOCKED
      )
      UPDATE message m SET step = NULL, due = NULL, unresolved = false, epoch = epoch + 1
      FROM ended WHERE m.uuid = ended.uuid`,
    values: [limit],
  });
  return rowCount;
}

/** Ends what was not sent in time; says which. */
export async function expireMessages(db: Db, limit: number): Promise<string[]> {
  const { rows } = await db.query<{ uuid: string }>({
    name: 'expire',
    text: `
      WITH late AS (
        SELECT uuid FROM message m
        WHERE step = 'send' AND status = 'accepted' AND due <= ${utcNow} AND ${horizon('m')} <= ${utcNow}
        ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
      ), ended AS (
        UPDATE message m SET status = 'error', error_code = NULL, error_message = 'It could not be sent in time: expired.',
          modified = ${utcNow}, step = NULL, due = NULL, epoch = epoch + 1
        FROM late WHERE m.uuid = late.uuid RETURNING m.uuid
      )
      INSERT INTO event (message_uuid, at, kind, actor, status_before, status_after)
      SELECT uuid, ${utcNow}, 'expired', 'service', 'accepted', 'error' FROM ended RETURNING message_uuid AS uuid`,
    values: [limit],
  });
  return rows.map(({ uuid }) => uuid);
}

/** A message of which nobody knows whether Twilio has it, claimed to be looked for in Twilio's log. */
export type ToResolve = {
  readonly uuid: string;
  readonly epoch: number;
  readonly sender: string;
  readonly to: string;
  readonly content: string;
  /** When each attempt that Twilio may have accepted began, the first one first. */
  readonly attempts: readonly { readonly n: number; readonly started: string }[];
  /** Complete looks since the latest attempt, which showed nothing. */
  readonly looks: number;
};

export async function claimToResolve(db: Db, claim: { limit: number; leaseMs: number }): Promise<ToResolve[]> {
  const { rows } = await db.query<ToResolve>({
    name: 'claim-to-resolve',
    text: wantedSql('resolve'),
    values: [claim.limit, claim.leaseMs],
  });
  return rows;
}

/** What it takes to look for a claimed message in Twilio's log. */
function wantedSql(step: 'resolve' | 'look back'): string {
  return `
    WITH ${claimed(step)}
    SELECT uuid, epoch, sender, receiver_e164 AS "to", content, content_key_id,
      (SELECT json_agg(json_build_object('n', n, 'started', started || 'Z') ORDER BY n) FROM attempt
       WHERE message_uuid = uuid AND outcome IS DISTINCT FROM 'refused' AND outcome IS DISTINCT FROM 'not processed') AS attempts,
      (SELECT looks FROM attempt WHERE message_uuid = uuid AND n = claimed.attempts) AS looks
    FROM claimed`;
}

/** A message that two callbacks gave different ends: Twilio is asked. */
export type ToVerify = { readonly uuid: string; readonly epoch: number; readonly twilioSid: string };

/** A message that was sent again after it was found absent: has an earlier attempt been accepted late (G4)? */
export async function claimToLookBack(db: Db, claim: { limit: number; leaseMs: number }): Promise<ToResolve[]> {
  const { rows } = await db.query<ToResolve>({
    name: 'claim-to-look-back',
    text: wantedSql('look back'),
    values: [claim.limit, claim.leaseMs],
  });
  return rows;
}

export async function claimToVerify(db: Db, claim: { limit: number; leaseMs: number }): Promise<ToVerify[]> {
  const { rows } = await db.query<ToVerify>({
    name: 'claim-to-verify',
    text: `WITH ${claimed('verify')} SELECT uuid, epoch, twilio_sid AS "twilioSid" FROM claimed`,
    values: [claim.limit, claim.leaseMs],
  });
  return rows;
}

/** A CTE: rows that are due for this step, now this claimer's for $2 ms; at most $1 of them. */
function claimed(step: 'resolve' | 'verify' | 'look back'): string {
  return `ready AS (
      SELECT uuid FROM message
      WHERE step = '${step}' AND due <= ${utcNow}${step === 'resolve' ? " AND status = 'accepted'" : ''}
      ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
    ), claimed AS (
      UPDATE message m SET due = ${utcNow} + $2::int * interval '1 ms', epoch = epoch + 1
      FROM ready WHERE m.uuid = ready.uuid RETURNING m.*
    )`;
}

/** What is to become of a claimed message: looked at again later, sent again, or left as `unconfirmed`. One that was deleted meanwhile is not sent again. */
export type Conclusion =
  | { readonly kind: 'look again'; readonly afterMs: number; readonly looks: number }
  | { readonly kind: 'send again' }
  | { readonly kind: 'unconfirmed' };

/** Records a look that found nothing, or could not look (`isTold` false: not for the history). False: somebody else was faster, and it counts for nothing. */
export async function recordLook(
  db: Db,
  look: { uuid: string; epoch: number; n: number; conclusion: Conclusion; details: object; isTold: boolean },
): Promise<boolean> {
  const { conclusion } = look;
  const { rowCount } = await db.query({
    name: 'record-look',
    text: `
      WITH concluded AS (
        UPDATE message SET
          step = CASE WHEN $4 = 'look again' THEN 'resolve' WHEN $4 = 'send again' AND deleted IS NULL THEN 'send' END,
          due = CASE WHEN $4 = 'look again' OR ($4 = 'send again' AND deleted IS NULL)
                THEN ${utcNow} + $5::int * interval '1 ms' END,
          unresolved = ($4 = 'look again'),
          status = CASE WHEN $4 = 'unconfirmed' THEN 'unconfirmed' WHEN $4 = 'send again' AND deleted IS NOT NULL
                   THEN 'canceled' ELSE status END,
          ended = CASE WHEN $4 = 'send again' AND deleted IS NOT NULL THEN ${utcNow} ELSE ended END,
          modified = CASE WHEN $4 = 'look again' THEN modified ELSE ${utcNow} END,
          epoch = epoch + 1
        WHERE uuid = $1 AND epoch = $2 AND step = 'resolve' AND status = 'accepted' AND twilio_sid IS NULL
        RETURNING uuid, status
      ), looked AS (
        UPDATE attempt SET looks = coalesce($6::int, looks), closed = coalesce(closed, ${utcNow}),
          outcome = CASE $4::varchar WHEN 'send again' THEN 'absent' ELSE coalesce(outcome, 'unknown') END
        FROM concluded WHERE message_uuid = concluded.uuid AND n = $3
      ), told AS (
        INSERT INTO event (message_uuid, at, kind, actor, attempt, status_before, status_after, details)
        SELECT uuid, ${utcNow}, CASE $4::varchar WHEN 'unconfirmed' THEN 'unconfirmed' ELSE 'looked' END, 'service', $3,
               'accepted', status, $7::jsonb FROM concluded WHERE $8::boolean
      )
      SELECT uuid FROM concluded`,
    values: [
      look.uuid,
      look.epoch,
      look.n,
      conclusion.kind,
      conclusion.kind === 'look again' ? conclusion.afterMs : 0,
      conclusion.kind === 'look again' ? conclusion.looks : null,
      JSON.stringify(look.details),
      look.isTold,
    ],
  });
  return rowCount === 1;
}

/** Ends a claim to verify or to look back, or puts it off. What has ended is redacted next, what has not is polled. */
export async function recordChecked(
  db: Db,
  claim: { uuid: string; epoch: number; againAfterMs: number | null },
): Promise<void> {
  await db.query({
    name: 'record-checked',
    text: `
      WITH old AS (
        SELECT *, CASE WHEN status ${terminal} IS NOT TRUE THEN 'poll' WHEN redacted IS NULL THEN 'redact' END AS next_step
        FROM message WHERE uuid = $1 AND epoch = $2 AND step IN ('verify', 'look back') FOR UPDATE
      )
      UPDATE message m SET step = CASE WHEN $3::int IS NULL THEN old.next_step ELSE m.step END,
        due = CASE WHEN $3::int IS NOT NULL THEN ${utcNow} + $3::int * interval '1 ms'
                   WHEN old.next_step = 'poll' THEN ${utcNow} + ${firstPoll} WHEN old.next_step = 'redact' THEN ${utcNow} END,
        epoch = m.epoch + 1
      FROM old WHERE m.uuid = old.uuid`,
    values: [claim.uuid, claim.epoch, claim.againAfterMs],
  });
}
