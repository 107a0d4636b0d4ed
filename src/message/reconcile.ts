import type { Clock } from '../clock.ts';
import type { Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import type { FetchOutcome, TwilioClient } from '../twilio/client.ts';
import { forEachAtTwilio } from '../twilio/slots.ts';
import { evidenceOf } from './evidence.ts';
import type { AtTwilio } from './messages.ts';
import { listUnfinished } from './open-messages.ts';
import { recordEvidence } from './outcomes.ts';

export type ReconcileDeps = {
  readonly db: Db;
  readonly clock: Clock;
  readonly twilio: TwilioClient;
  readonly log: Log;
  readonly isQuiet: boolean;
  /** Aborted when the service stops. */
  readonly stopping: AbortSignal;
};

export type Reconciled = { asked: number; changed: number; gone: number; failed: number };

/** The bulk update of the Python service looks back this far. */
const WINDOW_MS = 7 * 24 * 60 * 60 * 1000;
const BATCH = 1_000;

/**
 * Asks Twilio about every message of the last 7 days whose end we do not know. What Twilio says of one is committed by
 * itself, so a failure harms no other; when Twilio as a whole does not answer, the rest is left for the next time.
 */
export async function reconcile(deps: ReconcileDeps): Promise<Reconciled> {
  const counts: Reconciled = { asked: 0, changed: 0, gone: 0, failed: 0 };
  const since = new Date(deps.clock.now().getTime() - WINDOW_MS);
  for (let after = ''; ; ) {
    const batch = await listUnfinished(deps.db, since, after, BATCH);
    const ended = await forEachAtTwilio(batch, deps.stopping, (message) => askTwilio(deps, message, counts));
    const last = batch.at(-1);
    if (ended === 'gave up' || last === undefined || batch.length < BATCH) break;
    after = last.uuid;
    deps.log.info(counts, 'bulk update: asking Twilio');
  }
  return counts;
}

async function askTwilio(
  deps: ReconcileDeps,
  message: AtTwilio,
  counts: Reconciled,
): Promise<'general failure' | 'done'> {
  const outcome = await deps.twilio.fetch(message.twilioSid);
  counts.asked += 1;
  try {
    await record(deps, message, outcome, counts);
  } catch (error) {
    counts.failed += 1;
    deps.log.warn({ err: error, messageId: message.uuid }, 'bulk update: what Twilio said was not recorded');
  }
  return outcome.kind === 'failed' && outcome.isGeneral ? 'general failure' : 'done';
}

async function record(
  deps: ReconcileDeps,
  message: AtTwilio,
  outcome: FetchOutcome,
  counts: Reconciled,
): Promise<void> {
  switch (outcome.kind) {
    case 'found': {
      const evidence = evidenceOf({ ...outcome.message, sid: message.twilioSid }, 'fetch', deps.isQuiet);
      const { isChanged } = await recordEvidence(deps.db, message.uuid, evidence, null);
      if (isChanged) counts.changed += 1;
      return;
    }
    case 'gone':
      counts.gone += 1;
      return deps.log.warn({ messageId: message.uuid }, 'bulk update: Twilio no longer has this message');
    case 'failed':
      counts.failed += 1;
      return deps.log.warn({ messageId: message.uuid, reason: outcome.reason }, 'bulk update: Twilio did not tell');
    default:
      return outcome satisfies never;
  }
}
