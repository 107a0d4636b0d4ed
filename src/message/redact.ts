import type { Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import type { RedactOutcome, TwilioClient } from '../twilio/client.ts';
import { forEachAtTwilio, makeSlots } from '../twilio/slots.ts';
import type { AtTwilio } from './messages.ts';
import { listUnredacted, listUnredactedDuplicates, putRedactionOff, recordRedaction } from './redactions.ts';

/** Empties the text of finished messages at Twilio and records that Twilio's answer showed it empty. */
export type Redactor = {
  /** Never throws; what fails is tried again by the sweep and by the next bulk update. */
  redact(message: AtTwilio): Promise<RedactResult>;
  /**
   * Everything that ended before `before`; gives up on a general failure. Answers how many were emptied. `isPatient`: what
   * Twilio refused lately is left for later.
   */
  redactFinished(before: Date, options?: { isPatient: boolean }): Promise<number>;
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
  readonly maxConcurrency: number;
  /** Aborted when the service stops: what has not begun is left to the next start. */
  readonly stopping: AbortSignal;
  readonly countRedaction: (result: RedactResult) => void;
};

const BATCH = 1_000;
/** A redaction that waits longer than this for its turn is left to the sweep. */
const TURN_MS = 10_000;

export function makeRedactor(deps: RedactDeps): Redactor {
  const { db, twilio, log, maxConcurrency, countRedaction } = deps;
  const slots = makeSlots(maxConcurrency);
  const underWay = new Set<Promise<unknown>>();
  const runs = new Set<Promise<unknown>>();

  async function emptyAtTwilio(message: AtTwilio): Promise<RedactResult> {
    const release = await slots.take(TURN_MS);
    if (release === null) return 'too busy';
    try {
      const outcome = await twilio.redact(message.twilioSid);
      if (outcome.kind === 'redacted') await recordRedaction(db, message);
      if (outcome.kind === 'failed') log.warn({ messageId: message.uuid, reason: outcome.reason }, 'redaction failed');
      const isItsOwnFault = outcome.kind === 'failed' && !outcome.isGeneral;
      if (isItsOwnFault || outcome.kind === 'not finished') await putRedactionOff(db, message.uuid);
      return isItsOwnFault ? 'refused' : outcome.kind;
    } catch (error) {
      log.warn({ err: error, messageId: message.uuid }, 'a redaction was not recorded');
      return 'failed';
    } finally {
      release();
    }
  }

  async function redact(message: AtTwilio): Promise<RedactResult> {
    const result = await track(underWay, emptyAtTwilio(message));
    countRedaction(result);
    return result;
  }

  return {
    redact,
    redactFinished: (before, { isPatient } = { isPatient: false }) =>
      track(runs, redactFinished(deps, redact, before, isPatient)),
    inFlight: () => underWay.size,
    drain: async () => {
      while (underWay.size + runs.size > 0) await Promise.allSettled([...underWay, ...runs]);
    },
  };
}

/** Keeps a promise in the set as long as it runs. */
async function track<T>(running: Set<Promise<unknown>>, one: Promise<T>): Promise<T> {
  running.add(one);
  return one.finally(() => running.delete(one));
}

async function redactFinished(
  { db, stopping }: RedactDeps,
  redact: (message: AtTwilio) => Promise<RedactResult>,
  before: Date,
  isPatient: boolean,
): Promise<number> {
  let redacted = 0;
  const one = async (message: AtTwilio) => {
    const result = await redact(message);
    if (result === 'redacted') redacted += 1;
    return result === 'failed' ? 'general failure' : 'done';
  };
  await forEachAtTwilio(await listUnredactedDuplicates(db, BATCH), stopping, one);
  for (let after = ''; ; ) {
    const batch = await listUnredacted(db, { before, after, limit: BATCH, isPatient });
    const ended = await forEachAtTwilio(batch, stopping, one);
    const last = batch.at(-1);
    if (ended === 'gave up' || last === undefined || batch.length < BATCH) return redacted;
    after = last.uuid;
  }
}
