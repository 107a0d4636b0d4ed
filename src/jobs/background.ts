import type { Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import {
  claimToLookBack,
  claimToResolve,
  claimToSend,
  claimToVerify,
  expireMessages,
  releaseEnded,
  type ToResolve,
  type ToSend,
  type ToVerify,
} from '../message/due-messages.ts';
import type { AtTwilio } from '../message/messages.ts';
import { claimToPoll, type ToPoll } from '../message/open-messages.ts';
import { pollQuiet, type ReconcileDeps } from '../message/reconcile.ts';
import type { Redactor } from '../message/redact.ts';
import { lookBack, type ResolveDeps, resolveMessage } from '../message/resolve.ts';
import type { Licence, Sent } from '../message/send.ts';
import { verifyMessage } from '../message/verify.ts';
import { BACKGROUND_CONCURRENCY } from '../twilio/for-each.ts';
import { makePace, type Pace } from '../twilio/pace.ts';
import type { Slots } from '../twilio/slots.ts';
import { type DueLoop, startDueLoop } from './due.ts';

export type BackgroundDeps = {
  readonly db: Db;
  readonly log: Log;
  /** Shared with the requests that send: TWILIO_MAX_CONCURRENCY is for both. */
  readonly slots: Slots;
  readonly pace: Pace;
  readonly callWithinMs: number;
  readonly settleMs: number;
  readonly send: (licence: Licence) => Promise<Sent>;
  readonly resolve: ResolveDeps;
  readonly reconcile: ReconcileDeps;
  readonly redactor: Redactor;
  readonly onExpired: (count: number) => void;
  /** Aborted when the service stops: nothing more is claimed. */
  readonly stopping: AbortSignal;
};

/** Quiet messages that are asked about together: one page of Twilio's list can show them all. */
const POLLS_AT_ONCE = 1_000;
/** As long as asking about each of them by itself can take, while Twilio answers. */
const POLL_LEASE_MS = 10 * 60_000;
const EXPIRE_AT_ONCE = 500;
/** After that what this replica has recorded is due for every replica: OTHERS_AFTER_MS of orders.ts. */
const OWN_FOR_MS = 20_000;
const OFFERED_MORE = 20;
/**
 * As long as a look can take: a list of three calls (see listFrom), one for the sample, and the database. A claimer that dies
 * gives its turn back after that; one that takes longer loses it, and what it concludes counts for nothing.
 */
const lookLeaseMs = ({ callWithinMs }: BackgroundDeps) => 4 * callWithinMs + 5_000;

export type Background = {
  /** This replica has just recorded a message to be sent later: it need not become due first. */
  ready(uuid: string): void;
  /** Claims nothing more and waits for what is under way. */
  stop(): Promise<void>;
};

/**
 * What runs without anybody waiting for it: sends what is ready, resolves what is unknown, settles contradictions, polls what has
 * gone quiet, redacts what has ended.
 */
export function startBackground(deps: BackgroundDeps): Background {
  const own = new Map<string, number>();
  const sending = startSending(deps, own);
  const loops = [
    sending,
    startResolving(deps),
    startVerifying(deps),
    startLookingBack(deps),
    startExpiring(deps),
    startPolling(deps),
    startRedacting(deps),
  ];
  return {
    ready: (uuid) => {
      own.set(uuid, performance.now() + OWN_FOR_MS);
      sending.kick();
    },
    stop: async () => {
      await Promise.all(loops.map((loop) => loop.stop()));
    },
  };
}

type Licensed = ToSend & { readonly giveUpAt: number; readonly release: () => void };

function startSending(deps: BackgroundDeps, own: Map<string, number>): DueLoop {
  const { db, slots, pace } = deps;

  /**
   * Offered until it is claimed, or becomes due like everybody's. What cannot be claimed now (its twin is under way, or it was
   * deleted) goes to the end, so that it keeps no other back.
   */
  function offerOwn(limit: number): string[] {
    const now = performance.now();
    const offered = [...own.entries().take(limit + OFFERED_MORE)];
    for (const [uuid, until] of offered) {
      own.delete(uuid);
      if (until > now) own.set(uuid, until);
    }
    return offered.map(([uuid]) => uuid);
  }

  /** Takes the places first: what is licensed is called at once. */
  async function claim(limit: number): Promise<Licensed[]> {
    const places = Array.from({ length: limit }, () => slots.tryTake()).filter((release) => release !== null);
    const began = performance.now();
    const claimed: ToSend[] = [];
    try {
      const { callWithinMs: withinMs, settleMs } = deps;
      if (places.length > 0)
        claimed.push(...(await claimToSend(db, { limit: places.length, withinMs, settleMs, own: offerOwn(limit) })));
    } finally {
      for (const release of places.slice(claimed.length)) release();
    }
    for (const { message } of claimed) own.delete(message.uuid);
    if (own.size > 0 && claimed.length > 0) loop.kick();
    const giveUpAt = began + deps.callWithinMs;
    return claimed.map((one, at) => ({ ...one, giveUpAt, release: places[at] ?? (() => {}) }));
  }

  const run = ({ message, n, giveUpAt, release }: Licensed) =>
    deps.send({ message, n, giveUpAt, isAwaited: false }).finally(release);
  const capacity = () => pace.limit(slots.free());
  const loop = startDueLoop({ name: 'send', capacity, claim, run }, deps.log, deps.stopping);
  return loop;
}

function startResolving(deps: BackgroundDeps): DueLoop {
  const { db, log, stopping, resolve } = deps;
  return startBounded<ToResolve>('resolve', BACKGROUND_CONCURRENCY, {
    claim: (limit) => claimToResolve(db, { limit, leaseMs: lookLeaseMs(deps) }),
    run: (claim) => resolveMessage(resolve, claim),
    log,
    stopping,
  });
}

function startVerifying(deps: BackgroundDeps): DueLoop {
  const { db, log, stopping, resolve } = deps;
  return startBounded<ToVerify>('verify', BACKGROUND_CONCURRENCY, {
    claim: (limit) => claimToVerify(db, { limit, leaseMs: lookLeaseMs(deps) }),
    run: (claim) => verifyMessage(resolve, claim),
    log,
    stopping,
  });
}

function startLookingBack(deps: BackgroundDeps): DueLoop {
  const { db, log, stopping, resolve } = deps;
  return startBounded<ToResolve>('look back', BACKGROUND_CONCURRENCY, {
    claim: (limit) => claimToLookBack(db, { limit, leaseMs: lookLeaseMs(deps) }),
    run: (claim) => lookBack(resolve, claim),
    log,
    stopping,
  });
}

/** All that is due, up to a page of Twilio's list, is one piece of work. */
function startPolling({ db, log, stopping, reconcile }: BackgroundDeps): DueLoop {
  const pace = makePace(() => performance.now(), Math.random);
  let underWay = 0;
  return startDueLoop<readonly ToPoll[]>(
    {
      name: 'poll',
      capacity: () => pace.limit(1) - underWay,
      claim: async () => {
        const quiet = await claimToPoll(db, { limit: POLLS_AT_ONCE, leaseMs: POLL_LEASE_MS });
        return quiet.length === 0 ? [] : [quiet];
      },
      run: async (quiet) => {
        underWay += 1;
        try {
          const { isComplete, retryAfterS } = await pollQuiet(reconcile, quiet);
          pace.note({ isTrouble: !isComplete, retryAfterS });
        } finally {
          underWay -= 1;
        }
      },
    },
    log,
    stopping,
  );
}

/** What was not redacted by the replica that saw its end, or not at the first try. */
function startRedacting({ log, stopping, redactor }: BackgroundDeps): DueLoop {
  return startDueLoop<AtTwilio>(
    { name: 'redact', capacity: redactor.capacity, claim: redactor.claimDue, run: redactor.redact },
    log,
    stopping,
  );
}

function startExpiring({ db, log, stopping, onExpired }: BackgroundDeps): DueLoop {
  return startBounded<string>('expire', EXPIRE_AT_ONCE, {
    claim: async (limit) => {
      await releaseEnded(db, limit);
      const expired = await expireMessages(db, limit);
      onExpired(expired.length);
      return expired;
    },
    run: async (messageId) => log.error({ messageId }, 'a message could not be sent in time and will not be sent'),
    log,
    stopping,
  });
}

function startBounded<Item>(
  name: string,
  atOnce: number,
  work: {
    claim: (limit: number) => Promise<readonly Item[]>;
    run: (item: Item) => Promise<unknown>;
    log: Log;
    stopping: AbortSignal;
  },
): DueLoop {
  let underWay = 0;
  const run = async (item: Item) => {
    underWay += 1;
    await work.run(item).finally(() => {
      underWay -= 1;
    });
  };
  return startDueLoop({ name, capacity: () => atOnce - underWay, claim: work.claim, run }, work.log, work.stopping);
}
