import { type Db, type Tx, utcNow, violatedUniqueness } from '../db/db.ts';
import { noteOfMessages } from '../tenant/audit-entries.ts';
import { licenceFrom } from './attempts.ts';
import type { Key } from './idempotency-keys.ts';
import { type Author, type Message, type MessageRequest, type Tenant, UNKNOWN_AUTHOR } from './message.ts';
import { columns, only } from './messages.ts';
import type { Stored } from './sealing.ts';

/** With the wait for a connection this leaves time to make a recording void, should it break off, before the caller is answered. */
const RECORD_WITHIN_MS = 8_000;
/**
 * A message to be sent later is left to the replica that recorded it for so long: longer than any POST waits, so that a
 * recording that broke off is void before anybody else could send it.
 */
const OTHERS_AFTER_MS = 20_000;

/** What tx 1 records. */
export type Order = {
  readonly uuid: string;
  readonly tenant: Tenant;
  readonly author: Author;
  readonly request: MessageRequest;
  /** Its text as it is stored; absent = in clear. */
  readonly stored?: Stored;
  /** Of sender, number and text: see message_unresolved_twin. */
  readonly textHash: string;
  /** Meant to be the same text once more: the window for duplicates is not for it. */
  readonly isRepeat?: boolean;
  readonly key: Key | null;
  /** Now, with attempt 1, for which there is so much time; or by the claim loop. */
  readonly send: { readonly withinMs: number; readonly settleMs: number } | 'later';
};

export type Inserted =
  | { readonly kind: 'recorded'; readonly message: Message }
  /** Twilio may or may not have an identical text: only one of them at a time may be in that state. */
  | { readonly kind: 'twin' }
  | { readonly kind: 'key taken' };

/**
 * Tx 1 (G1): the message with status `accepted`, the licence for attempt 1, and the key, all or nothing, in one statement.
 * A message that is sent now counts as unresolved from here on, and is looked for at Twilio once its time and the settle
 * time are over: whoever dies in between leaves everything that the resolver needs. One that is sent later belongs to this
 * replica at first: the others take it up when it has not been claimed by then.
 */
export async function recordMessage(db: Db | Tx, order: Order): Promise<Inserted> {
  return inserted(recordMessages(db, [order]).then(only));
}

/** What PostgreSQL's refusal of an order means. */
export async function inserted(recording: Promise<Message>): Promise<Inserted> {
  try {
    return { kind: 'recorded', message: await recording };
  } catch (error) {
    const violated = violatedUniqueness(error);
    if (violated === 'message_unresolved_twin') return { kind: 'twin' };
    // Also the row itself: an earlier try of this very order has been committed meanwhile.
    if (violated === 'idempotency_key_pkey' || violated === 'message_pkey') return { kind: 'key taken' };
    throw error;
  }
}

/** The same for some orders, all or none of them; answers in the order given. No two may share a text or a key. */
export async function recordMessages(db: Db | Tx, orders: readonly Order[]): Promise<Message[]> {
  const { rows } = await db.query<Message>({
    name: 'record-message',
    query_timeout: RECORD_WITHIN_MS,
    text: `
      WITH asked AS MATERIALIZED (
        SELECT * FROM json_to_recordset($1::json) AS asked (
          uuid varchar, sender varchar, receiver varchar, content varchar, content_key_id varchar, trustomer_code varchar, product_name varchar,
          error_code varchar, error_message varchar, receiver_e164 varchar, valid_until timestamp, text_hash varchar,
          is_now boolean, within_ms int, settle_ms int, key_hash varchar, fingerprint varchar,
          author_id varchar, author_name varchar)
      ), recorded AS (
        INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, content_key_id, status,
                             trustomer_code, product_name, error_code, error_message, receiver_e164, valid_until,
                             text_hash, step, due, attempts, unresolved)
        SELECT uuid, ${utcNow}, coalesce(author_name, $2), ${utcNow}, coalesce(author_name, $2), sender, receiver, content, content_key_id, 'accepted', trustomer_code, product_name,
               error_code, error_message, receiver_e164, valid_until, text_hash,
               CASE WHEN is_now THEN 'resolve' ELSE 'send' END,
               ${utcNow} + CASE WHEN is_now THEN within_ms + settle_ms ELSE ${OTHERS_AFTER_MS} END * interval '1 ms',
               CASE WHEN is_now THEN 1 ELSE 0 END, is_now
        FROM asked RETURNING *
      ), licence AS (
        SELECT uuid, 1 AS n, ${utcNow} AS started, ${utcNow} + within_ms * interval '1 ms' AS deadline FROM asked WHERE is_now
      ), licensed AS (
        ${licenceFrom('licence')}
      ), keyed AS (
        INSERT INTO idempotency_key (key_hash, fingerprint, message_uuid, created)
        SELECT key_hash, fingerprint, uuid, ${utcNow} FROM asked WHERE key_hash IS NOT NULL
      ), noted AS (
        ${noteOfMessages('asked', 'sent', { id: 'author_id', name: 'author_name' })}
      )
      SELECT ${columns} FROM recorded`,
    values: [JSON.stringify(orders.map(toJson)), UNKNOWN_AUTHOR],
  });
  return orders.map(({ uuid }) => only(rows.filter((row) => row.uuid === uuid)));
}

/** What an order may collide with: no two with one of these in common are recorded together. */
export function collisionsOf({ textHash, key }: Order): string[] {
  return key === null ? [textHash] : [textHash, key.hash];
}

function toJson({ uuid, tenant, author, request, stored, textHash, send, key }: Order): object {
  const isNow = send !== 'later';
  return {
    uuid,
    sender: request.sender,
    receiver: request.receiver,
    content: stored?.content ?? request.content,
    content_key_id: stored?.keyId ?? null,
    trustomer_code: tenant.trustomerCode,
    product_name: tenant.productName,
    error_code: request.errorCode,
    error_message: request.errorMessage,
    receiver_e164: request.to,
    // Without its Z: the column holds UTC without a zone.
    valid_until: request.validUntil?.toISOString().slice(0, -1) ?? null,
    text_hash: textHash,
    is_now: isNow,
    within_ms: isNow ? send.withinMs : 0,
    settle_ms: isNow ? send.settleMs : 0,
    key_hash: key?.hash ?? null,
    fingerprint: key?.fingerprint ?? null,
    author_id: author?.id ?? null,
    author_name: author?.name ?? null,
  };
}

/**
 * Makes sure that a message whose recording broke off is never sent: a row that stands, or that is being committed at
 * this moment, ends as `error`; one that is not there is recorded as ended, so that it cannot turn up later. Its only
 * attempt never began; false: there is a second one, its life goes on.
 */
export async function voidMessage(tx: Tx, order: Order, reason: string): Promise<boolean> {
  const { tenant, request } = order;
  const { rowCount } = await tx.query({
    text: `
      INSERT INTO message AS m (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status,
                                trustomer_code, product_name, error_message, receiver_e164, text_hash, content_key_id)
      VALUES ($1, ${utcNow}, $2, ${utcNow}, $2, $3, $4, $5, 'error', $6, $7, $8, $9, $10, $11)
      ON CONFLICT (uuid) DO UPDATE SET status = 'error', error_code = NULL, error_message = $8, modified = ${utcNow},
        step = NULL, due = NULL, unresolved = false, epoch = m.epoch + 1
      WHERE m.twilio_sid IS NULL AND m.status = 'accepted' AND m.attempts <= 1`,
    values: [
      order.uuid,
      order.author?.name ?? UNKNOWN_AUTHOR,
      request.sender,
      request.receiver,
      order.stored?.content ?? request.content,
      tenant.trustomerCode,
      tenant.productName,
      reason,
      request.to,
      order.textHash,
      order.stored?.keyId ?? null,
    ],
  });
  // A statement of its own: it sees the key of a row that was committed while the first one waited for it.
  await tx.query({
    text: "DELETE FROM idempotency_key WHERE message_uuid IN (SELECT uuid FROM message WHERE uuid = $1 AND status = 'error')",
    values: [order.uuid],
  });
  return rowCount === 1;
}

/**
 * Two requests with one text at once ask one after the other: the lock lasts until the transaction has recorded what the
 * answers made it record.
 */
export async function lockText(tx: Tx, { textHash }: Order): Promise<void> {
  await tx.query({ text: 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', values: [textHash] });
}

/** The first message of the same tenant, sender, number and text within the last seconds that was not refused; behind `lockText`. */
export async function findRepeated(tx: Tx, order: Order, windowS: number): Promise<string | null> {
  const { rows } = await tx.query<{ uuid: string }>({
    name: 'find-repeated',
    text: `
      SELECT uuid FROM message
      WHERE trustomer_code = $1 AND product_name = $2 AND created > ${utcNow} - $3::int * interval '1 second'
        AND text_hash = $4 AND deleted IS NULL AND status <> 'error'
      ORDER BY created LIMIT 1`,
    values: [order.tenant.trustomerCode, order.tenant.productName, windowS, order.textHash],
  });
  return rows[0]?.uuid ?? null;
}

/** A key that is answered with an earlier message stands for it from then on (G7). */
export async function keepKey(tx: Tx, { key }: Order, uuid: string): Promise<void> {
  if (key === null) return;
  await tx.query({
    text: `INSERT INTO idempotency_key (key_hash, fingerprint, message_uuid, created) VALUES ($1, $2, $3, ${utcNow})
           ON CONFLICT DO NOTHING`,
    values: [key.hash, key.fingerprint, uuid],
  });
}
