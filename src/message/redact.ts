import type { Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import type { RedactOutcome, TwilioClient } from '../twilio/client.ts';
import { forEachAtTwilio, type Worked } from '../twilio/for-each.ts';
import type { Pace } from '../twilio/pace.ts';
import { makeSlots } from '../twilio/slots.ts';
import type { AtTwilio } from './messages.ts';
import {
  claimNextToRedact,
  claimToRedact,
  listUnredactedDuplicates,
  type Place,
  putRedactionOff,
  recordRedaction,
} from './redactions.ts';

/** Empties the text of finished messages at Twilio and records that Twilio's answer showed it empty. */
export type Redactor = {
  /**
   * Right away, for whoever has just recorded the end. Never throws: what fails stays in the queue. `too busy`: no place became
   * free in time, or Twilio as a whole does not answer.
   */
  redact(message: AtTwilio): Promise<RedactResult>;
  /** From the queue what is due, with the places that are free; for the claim loop. */
  capacity(): number;
  claimDue(limit: number): Promise<readonly AtTwilio[]>;
  /** Everything that has ended, whether due or not; gives up when Twilio as a whole does not answer. Says how many were emptied. */
  redactAll(): Promise<number>;
  /** Second copies (G4), which have no row of their own to be due. */
  redactDuplicates(): Promise<void>;
  inFlight(): number;
  /** Waits for what is under way. */
  drain(): Promise<void>;
};

/** `failed`: the next message would most likely fail alike; `refused`: it is this message's own fault. */
type RedactResult = RedactOutcome['kind'] | 'refused' | 'too busy';

export type RedactDeps = {
  readonly db: Db;
  readonly twilio: TwilioClient;
  readonly log: Log;
  readonly pace: Pace;
  readonly maxConcurrency: number;
  /** How long an exchange with Twilio may take. */
  readonly callWithinMs: number;
  /** Aborted when the service stops: what has not begun is left to the next start. */
  readonly stopping: AbortSignal;
  readonly countRedaction: (result: RedactResult) => void;
};

const BATCH = 500;
/** A redaction that waits longer than this for its turn is left to the queue. */
const TURN_MS = 10_000;

export function makeRedactor(deps: RedactDeps): Redactor {
  const { db, twilio, pace, stopping } = deps;
  const slots = makeSlots(deps.maxConcurrency);
  const underWay = new Map<string, Promise<RedactOutcome | null>>();
  const runs = new Set<Promise<unknown>>();
  const leaseMs = TURN_MS + deps.callWithinMs + 5_000;

  async function emptyAtTwilio(message: AtTwilio): Promise<RedactOutcome | null> {
    const release = await slots.take(TURN_MS);
    if (release === null) return null;
    try {
      const outcome = await twilio.redact(message.twilioSid);
      pace.note(
        outcome.kind === 'failed' && outcome.isGeneral
          ? { isTrouble: true, retryAfterS: outcome.tooManyRetryAfterS ?? null }
          : { isTrouble: false },
      );
      await record(deps, message, outcome);
      return outcome;
    } finally {
      release();
    }
  }

  /** Whoever asks for the same text meanwhile (a callback, the claim loop, a bulk update) gets the same answer. */
  function redact(message: AtTwilio): Promise<RedactOutcome | null> {
    const key = `${message.uuid} ${message.twilioSid}`;
    const already = underWay.get(key);
    if (already !== undefined) return already;
    const redacting = redactOnce(message).finally(() => underWay.delete(key));
    underWay.set(key, redacting);
    return redacting;
  }

  async function redactOnce(message: AtTwilio): Promise<RedactOutcome | null> {
    const outcome = await emptyAtTwilio(message).catch((error: unknown): RedactOutcome => {
      deps.log.warn({ err: error, messageId: message.uuid }, 'a redaction was not recorded');
      return { kind: 'failed', isGeneral: true, reason: 'not recorded' };
    });
    deps.countRedaction(resultOf(outcome));
    return outcome;
  }

  async function redactAll(): Promise<number> {
    let redacted = 0;
    const one = async (message: AtTwilio): Promise<Worked> => {
      const outcome = await redact(message);
      if (outcome?.kind === 'redacted') redacted += 1;
      return workedOf(outcome);
    };
    await redactDuplicates();
    for (let after: Place | null = null; ; ) {
      const { batch, last } = await claimNextToRedact(db, { limit: BATCH, leaseMs, after });
      const ended = await forEachAtTwilio(batch, stopping, one, deps.maxConcurrency);
      if (!ended.isComplete || last === null) return redacted;
      after = last;
    }
  }

  async function redactDuplicates(): Promise<void> {
    const copies = await listUnredactedDuplicates(db, BATCH);
    await forEachAtTwilio(copies, stopping, async (copy) => workedOf(await redact(copy)));
  }

  return {
    redact: async (message) => (pace.limit(1) === 0 ? 'too busy' : resultOf(await redact(message))),
    capacity: () => pace.limit(slots.free()),
    claimDue: (limit) => claimToRedact(db, { limit, leaseMs }),
    redactAll: () => track(runs, redactAll()),
    redactDuplicates: () => track(runs, redactDuplicates()),
    inFlight: () => underWay.size,
    drain: async () => {
      while (underWay.size + runs.size > 0) await Promise.allSettled([...underWay.values(), ...runs]);
    },
  };
}

async function record({ db, log }: RedactDeps, message: AtTwilio, outcome: RedactOutcome): Promise<void> {
  switch (outcome.kind) {
    case 'redacted':
      await recordRedaction(db, message);
      return;
    case 'not finished':
      return putRedactionOff(db, message.uuid, true);
    case 'failed':
      log.warn({ messageId: message.uuid, reason: outcome.reason }, 'redaction failed');
      return putRedactionOff(db, message.uuid, !outcome.isGeneral);
    default:
      return outcome satisfies never;
  }
}

function resultOf(outcome: RedactOutcome | null): RedactResult {
  if (outcome === null) return 'too busy';
  return outcome.kind === 'failed' && !outcome.isGeneral ? 'refused' : outcome.kind;
}

function workedOf(outcome: RedactOutcome | null): Worked {
  if (outcome?.kind !== 'failed') return 'done';
  if (outcome.tooManyRetryAfterS !== undefined) return { tooManyRetryAfterS: outcome.tooManyRetryAfterS };
  return outcome.isGeneral ? 'general failure' : 'done';
}

/** Keeps a promise in the set as long as it runs. */
async function track<T>(running: Set<Promise<unknown>>, one: Promise<T>): Promise<T> {
  running.add(one);
  return one.finally(() => running.delete(one));
}
