import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseUnavailable, type Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import { findKey } from './idempotency-keys.ts';
import type { KeyedHash } from './keyed-hash.ts';
import type { Message, MessageRequest, Tenant } from './message.ts';
import { getEarlier, isUnresolved } from './messages.ts';
import { findRepeated, type Inserted, keepKey, type Order, recordMessage, voidMessage } from './orders.ts';

export type AcceptDeps = {
  readonly db: Db;
  readonly log: Log;
  readonly hash: KeyedHash;
  /** GUARANTEES: how long after an attempt's deadline Twilio's log is believed to be complete. */
  readonly settleMs: number;
  /** For so long the same text to the same number is the same message; 0 = never. */
  readonly duplicateWindowS: number;
};

export type SendOrder = {
  readonly tenant: Tenant;
  readonly request: MessageRequest;
  /** As the caller gave it. */
  readonly idempotencyKey: string | null;
  /** The time for attempt 1, or not now but by the claim loop. */
  readonly send: { readonly withinMs: number } | 'later';
};

export type Accepted =
  /** Recorded, with the licence for attempt 1 unless it is sent later. */
  | { readonly kind: 'recorded'; readonly message: Message }
  /** The key, or the window for duplicates, says that this is an earlier message. */
  | { readonly kind: 'repeated'; readonly uuid: string }
  | { readonly kind: 'key of another request' }
  /** An identical text, of this hash, may or may not be at Twilio: nothing was recorded. */
  | { readonly kind: 'twin'; readonly textHash: string }
  /** The database broke off: the message was not and will not be sent. */
  | { readonly kind: 'voided'; readonly uuid: string };

/**
 * A request becomes a recorded message and its first attempt, in one statement (G1, G7). When this answers `recorded`, they are
 * committed; whatever else it answers or throws, nothing of this order will be sent.
 */
export async function acceptMessage(deps: AcceptDeps, asked: SendOrder): Promise<Accepted> {
  const order = orderOf(deps, asked);
  const earlier = await findEarlier(deps, order);
  if (earlier !== null) return earlier;
  try {
    const inserted =
      deps.duplicateWindowS === 0 ? await recordMessage(deps.db, order) : await recordUnlessRepeated(deps, order);
    if (inserted.kind !== 'key taken' && inserted.kind !== 'twin') return inserted;
  } catch (error) {
    if (!(error instanceof DatabaseUnavailable) || !error.mayBeCommitted) throw error;
    return await voidRecording(deps, order);
  }
  // Another request with this key was a moment faster; its text is the twin of this one.
  return (await findEarlier(deps, order)) ?? { kind: 'twin', textHash: order.textHash };
}

function orderOf({ hash, settleMs }: AcceptDeps, { tenant, request, idempotencyKey, send }: SendOrder): Order {
  const { sender, to, content, errorCode, errorMessage, validUntil } = request;
  const owner = [tenant.trustomerCode, tenant.productName];
  const meaning = [...owner, sender, to, content, errorCode, errorMessage, validUntil?.toISOString() ?? null];
  return {
    uuid: randomUUID(),
    tenant,
    request,
    textHash: hash('text', [sender, to, content]),
    key:
      idempotencyKey === null
        ? null
        : {
            hash: hash('idempotency key', [...owner, 'POST /dhos/v1/sms', idempotencyKey]),
            fingerprint: hash('request', meaning),
          },
    send: send === 'later' ? 'later' : { ...send, settleMs },
  };
}

async function findEarlier({ db }: AcceptDeps, { key }: Order): Promise<Accepted | null> {
  const used = key === null ? null : await findKey(db, key.hash);
  if (key === null || used === null) return null;
  if (used.fingerprint !== key.fingerprint) return { kind: 'key of another request' };
  return { kind: 'repeated', uuid: used.messageUuid };
}

async function recordUnlessRepeated(
  { db, duplicateWindowS }: AcceptDeps,
  order: Order,
): Promise<Inserted | Extract<Accepted, { kind: 'repeated' }>> {
  return db.transaction(async (tx) => {
    const repeated = await findRepeated(tx, order, duplicateWindowS);
    if (repeated === null) return recordMessage(tx, order);
    await keepKey(tx, order, repeated);
    return { kind: 'repeated', uuid: repeated };
  });
}

const VOID_WITHIN_MS = 10_000;
const VOID_PAUSE_MS = 200;

/**
 * The connection broke while PostgreSQL was committing: the row may stand, and would be sent once its settle time is over.
 * The caller must not be told that it was not sent before that is certain, so it is made certain.
 */
async function voidRecording(deps: AcceptDeps, order: Order): Promise<Accepted> {
  const { uuid } = order;
  const giveUpAt = performance.now() + Math.max(VOID_WITHIN_MS, deps.settleMs);
  const voiding = voidUntil(deps, order, giveUpAt);
  const first = await Promise.race([voiding, delay(VOID_WITHIN_MS, 'pending' as const, { ref: false })]);
  if (first === 'in life') return { kind: 'repeated', uuid };
  // Still pending: it goes on in the background, for as long as nobody else may touch the row.
  return { kind: 'voided', uuid };
}

async function voidUntil({ db, log }: AcceptDeps, order: Order, giveUpAt: number): Promise<'voided' | 'in life'> {
  for (;;) {
    try {
      const isVoid = await db.transaction((tx) => voidMessage(tx, order, 'Recording it broke off: it was never sent.'));
      log.warn({ messageId: order.uuid, isVoid }, 'a recording broke off');
      return isVoid ? 'voided' : 'in life';
    } catch (error) {
      if (performance.now() > giveUpAt) {
        log.error({ err: error, messageId: order.uuid }, 'a recording broke off and could not be made void');
        return 'voided';
      }
      await delay(VOID_PAUSE_MS);
    }
  }
}

const TWIN_PAUSE_MS = 100;

/** Waits until no text of this hash is unresolved. False: that had not come by `until` (milliseconds of `performance.now`). */
export async function awaitTwin({ db }: Pick<AcceptDeps, 'db'>, textHash: string, until: number): Promise<boolean> {
  while (await isUnresolved(db, textHash)) {
    if (performance.now() + TWIN_PAUSE_MS > until) return false;
    await delay(TWIN_PAUSE_MS);
  }
  return true;
}

/** How an earlier message stands, for the one who asked for it again. */
export type Earlier = { readonly kind: 'known'; readonly message: Message } | { readonly kind: 'still running' };

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 400;

/** Waits while a call to Twilio for it is under way, until `until` (milliseconds of `performance.now`). */
export async function awaitEarlier(
  { db }: Pick<AcceptDeps, 'db'>,
  uuid: string,
  until: number,
): Promise<Earlier | null> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const earlier = await getEarlier(db, uuid);
    if (earlier === null) return null;
    if (!earlier.isRunning) return { kind: 'known', message: earlier.message };
    if (performance.now() + pauseMs > until) return { kind: 'still running' };
    await delay(pauseMs);
  }
}
