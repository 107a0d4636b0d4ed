import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { within } from '../clock.ts';
import type { LimitsConfig } from '../config-limits.ts';
import { DatabaseUnavailable, type Db, type Tx } from '../db/db.ts';
import type { Log } from '../log.ts';
import { type CountToday, lockTenant, recipientWaitS, type Today } from './allowances.ts';
import { findKey, keyOf, keyToSendAgain, type SendAgain } from './idempotency-keys.ts';
import type { KeyedHash } from './keyed-hash.ts';
import type { Author, Message, MessageRequest, Tenant } from './message.ts';
import { getEarlier, isUnresolved } from './messages.ts';
import {
  findRepeated,
  type Inserted,
  inserted,
  keepKey,
  lockText,
  type Order,
  recordMessage,
  voidMessage,
} from './orders.ts';
import { dailyCapOf, type Refused, ruleAgainst } from './permitted.ts';
import type { Sealing } from './sealing.ts';

export type AcceptDeps = {
  readonly db: Db;
  readonly log: Log;
  /** Tx 1, which may share its commit with other orders. */
  readonly record: (order: Order) => Promise<Message>;
  readonly hash: KeyedHash;
  readonly seal: Sealing['seal'];
  /** GUARANTEES: how long after an attempt's deadline Twilio's log is believed to be complete. */
  readonly settleMs: number;
  /** For so long the same text to the same number is the same message; 0 = never. */
  readonly duplicateWindowS: number;
  readonly limits: LimitsConfig;
  readonly countToday: CountToday;
};

export type SendOrder = {
  readonly tenant: Tenant;
  readonly author: Author;
  readonly request: MessageRequest;
  /** As the caller gave it. */
  readonly idempotencyKey: string | null;
  /** The message that is to be sent again, if one is. */
  readonly repeats: string | null;
  /** The time for attempt 1, or not now but by the claim loop. */
  readonly send: { readonly withinMs: number } | 'later';
  /** Until then the caller waits, in milliseconds of `performance.now`. */
  readonly answerBy: number;
};

export type Accepted =
  /** Recorded, with the licence for attempt 1 unless it is sent later. */
  | { readonly kind: 'recorded'; readonly message: Message }
  /** The key, or the window for duplicates, says that this is an earlier message. */
  | { readonly kind: 'repeated'; readonly uuid: string }
  | { readonly kind: 'key of another request' }
  /** A limit stands against it: nothing was recorded, its key is free. */
  | ({ readonly kind: 'refused' } & Refused)
  /** An identical text, of this hash, may or may not be at Twilio: nothing was recorded. */
  | { readonly kind: 'twin'; readonly textHash: string }
  /** The database broke off: the message was not and will not be sent. */
  | { readonly kind: 'voided'; readonly uuid: string }
  /** The database broke off and did not come back in time: whether the message is recorded, nobody can say. */
  | { readonly kind: 'nobody knows' };
export type Repeated = Extract<Accepted, { kind: 'repeated' }>;

/**
 * A request becomes a recorded message and its first attempt, in one statement (G1, G7). When this answers `recorded`, they are
 * committed; whatever else it answers or throws, nothing of this order will be sent.
 */
export async function acceptMessage(deps: AcceptDeps, asked: SendOrder): Promise<Accepted> {
  const order = orderOf(deps, asked);
  const earlier = await findEarlier(deps, order);
  if (earlier !== null) return earlier;
  const refused = ruleAgainst(deps.limits, order);
  if (refused !== null) return { kind: 'refused', ...refused };
  try {
    const result = await recordWithinLimits(deps, order);
    if (result.kind !== 'key taken' && result.kind !== 'twin') return result;
  } catch (error) {
    if (!(error instanceof DatabaseUnavailable) || !error.mayBeCommitted) throw error;
    const known =
      asked.send === 'later' ? insist(deps, order, asked.answerBy) : voidRecording(deps, order, asked.answerBy);
    return await known;
  }
  // Another request with this key was a moment faster; its text is the twin of this one.
  return (await findEarlier(deps, order)) ?? { kind: 'twin', textHash: order.textHash };
}

function orderOf(
  { hash, seal, settleMs }: AcceptDeps,
  { tenant, author, request, idempotencyKey, repeats, send }: SendOrder,
): Order {
  const { sender, to, content, errorCode, errorMessage, validUntil } = request;
  const meaning = [sender, to, content, errorCode, errorMessage, validUntil?.toISOString() ?? null];
  const uuid = randomUUID();
  return {
    uuid,
    tenant,
    author,
    request,
    stored: seal(uuid, content),
    textHash: hash('text', [sender, to, content]),
    isRepeat: repeats !== null,
    key:
      repeats === null
        ? keyOf(hash, { tenant, idempotencyKey, route: 'POST /dhos/v1/sms' }, meaning)
        : keyToSendAgain(hash, { tenant, idempotencyKey, repeats }),
    send: send === 'later' ? 'later' : { ...send, settleMs },
  };
}

/**
 * The new message, if this request has sent `repeats` again before (G7). Asked before `repeats` is looked at, which may have been
 * emptied or deleted since.
 */
export async function findSentAgain(deps: Pick<AcceptDeps, 'db' | 'hash'>, asked: SendAgain): Promise<Repeated | null> {
  const earlier = await findEarlier(deps, { key: keyToSendAgain(deps.hash, asked) });
  return earlier?.kind === 'repeated' ? earlier : null;
}

type OfKey = Repeated | Extract<Accepted, { kind: 'key of another request' }>;

async function findEarlier({ db }: Pick<AcceptDeps, 'db'>, { key }: Pick<Order, 'key'>): Promise<OfKey | null> {
  const used = key === null ? null : await findKey(db, key.hash);
  if (key === null || used === null) return null;
  if (used.fingerprint !== key.fingerprint) return { kind: 'key of another request' };
  return { kind: 'repeated', uuid: used.messageUuid };
}

type Recorded = Inserted | Repeated | Extract<Accepted, { kind: 'refused' }>;

/** As long as a tenant has more left than this, its requests are recorded side by side: see overCap. */
const CLOSE_TO_CAP = 200;

/** What asks for earlier texts asks in the transaction that records, and others with this text wait for it. */
async function recordWithinLimits(deps: AcceptDeps, order: Order): Promise<Recorded> {
  const { db, limits, duplicateWindowS } = deps;
  const asksForTexts = duplicateWindowS > 0 || limits.recipient !== null;
  const cap = dailyCapOf(limits, order.tenant);
  if (!asksForTexts) {
    if (cap === null) return inserted(deps.record(order));
    const today = await deps.countToday(db, order.tenant, cap - CLOSE_TO_CAP);
    if (today.used >= cap) return usedUp(today);
    if (today.used < cap - CLOSE_TO_CAP) return inserted(deps.record(order));
  }
  return db.transaction(async (tx) => {
    if (asksForTexts) await lockText(tx, order);
    const repeated = duplicateWindowS === 0 || order.isRepeat ? null : await findRepeated(tx, order, duplicateWindowS);
    if (repeated !== null) {
      await keepKey(tx, order, repeated);
      return { kind: 'repeated', uuid: repeated };
    }
    const waitS = limits.recipient === null ? null : await recipientWaitS(tx, order, limits.recipient);
    if (waitS !== null) return { kind: 'refused', rule: 'recipient limit', retryAfterS: waitS };
    const over = cap === null ? null : await overCap(deps, tx, order.tenant, cap);
    return over ?? (await recordMessage(tx, order));
  });
}

/**
 * Close to the cap the tenant's requests are recorded one after the other, over all replicas, so that it is kept to the message.
 * Farther away they are not, and it is overshot only by what more than CLOSE_TO_CAP of them record in the same moment.
 */
async function overCap(deps: AcceptDeps, tx: Tx, tenant: Tenant, cap: number): Promise<Recorded | null> {
  const before = await deps.countToday(tx, tenant, cap - CLOSE_TO_CAP);
  if (before.used >= cap) return usedUp(before);
  if (before.used < cap - CLOSE_TO_CAP) return null;
  await lockTenant(tx, tenant);
  const today = await deps.countToday(tx, tenant, cap - CLOSE_TO_CAP);
  return today.used >= cap ? usedUp(today) : null;
}

function usedUp({ untilMidnightS }: Today): Recorded {
  return { kind: 'refused', rule: 'daily cap', retryAfterS: untilMidnightS };
}

const PAUSE_MS = 200;
/** Of the time in which the caller waits, what the answer itself may need. */
const ANSWER_MS = 300;
/** How long a recording that nobody was told of is still made void; the settle time guards it as long. */
const VOID_WITHIN_MS = 10 * 60_000;

/**
 * The connection broke while PostgreSQL was committing: the row may stand, and would be sent once its settle time is over.
 * The caller is told that it was not sent only when that is certain, so it is made certain. Who sends it later waits for the
 * settle time and two looks; until then this goes on, also without a caller.
 */
async function voidRecording({ db, log }: AcceptDeps, order: Order, answerBy: number): Promise<Accepted> {
  const { uuid } = order;
  const reason = 'Recording it broke off: it was never sent.';
  const voiding = untilItWorks(performance.now() + VOID_WITHIN_MS, async (): Promise<Accepted> => {
    const isVoid = await db.transaction((tx) => voidMessage(tx, order, reason));
    log.warn({ messageId: uuid, isVoid }, 'a recording broke off');
    return isVoid ? { kind: 'voided', uuid } : { kind: 'repeated', uuid };
  });
  const result = await within(answerBy - ANSWER_MS - performance.now(), voiding);
  return result === 'too late' || result === null ? { kind: 'nobody knows' } : result;
}

/**
 * The same for a message that is sent later: any replica may send it as soon as it is due, so it cannot be taken back for
 * certain. It is recorded instead, unless it is already; for as long as the caller waits.
 */
async function insist({ db, log }: AcceptDeps, order: Order, answerBy: number): Promise<Accepted> {
  const insisting = untilItWorks(answerBy - ANSWER_MS, async (): Promise<Accepted> => {
    const standing = await getEarlier(db, order.uuid);
    if (standing !== null) return { kind: 'recorded', message: standing.message };
    log.warn({ messageId: order.uuid }, 'a recording broke off and is tried again');
    const result = await recordMessage(db, order);
    // With the row that was being committed at this moment, or with another request of this key.
    if (result.kind !== 'recorded') throw new DatabaseUnavailable(new Error('the recording is not over'));
    return result;
  });
  return (await insisting) ?? { kind: 'nobody knows' };
}

/** Again and again while the database is away; null when it stays away. */
async function untilItWorks<T>(giveUpAt: number, work: () => Promise<T>): Promise<T | null> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error;
      if (performance.now() + PAUSE_MS > giveUpAt) return null;
      await delay(PAUSE_MS, undefined, { ref: false });
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
