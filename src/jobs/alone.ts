import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Db } from '../db/db.ts';
import { abandonJob, finishJob, readJob, renewJob, takeJob } from '../db/job.ts';
import { Refusal } from '../errors.ts';

/** Who dies, or hangs, loses the work after so long. */
const LEASE_MS = 15_000;
const RENEW_EVERY_MS = 1_000;
const ASK_EVERY_MS = 200;

export type Alone = {
  readonly db: Db;
  readonly name: string;
  /** Does it go on from where the last run ended? Else its progress begins anew. */
  readonly goesOn: boolean;
};

/** Does the work, unless any replica is at it already. `tell` says how far it has come, for all to see (`readJob`). */
export async function runUnlessRunning(
  { db, name, goesOn }: Alone,
  work: (tell: (progress: object) => void) => Promise<void>,
): Promise<'done' | 'is running'> {
  const holder = randomUUID();
  const run = await takeJob(db, name, { holder, leaseMs: LEASE_MS, progress: goesOn ? null : {} });
  if (run === null) return 'is running';
  let progress: object | null = null;
  const renewing = setInterval(() => {
    // One that fails is made good by the next; the lease lasts for many.
    renewJob(db, name, { holder, leaseMs: LEASE_MS, progress }).catch(() => {});
  }, RENEW_EVERY_MS);
  try {
    await work((so) => {
      progress = so;
    });
    clearInterval(renewing);
    // Should this fail, the lease runs out.
    await finishJob(db, name, holder, progress).catch(() => {});
    return 'done';
  } catch (error) {
    await abandonJob(db, name, holder).catch(() => {});
    throw error;
  } finally {
    clearInterval(renewing);
  }
}

/**
 * Single flight over all replicas: does the work, or waits until who is at it has done it; takes it over from one that died or
 * broke off. Refuses when this replica stops before it is done.
 */
export async function runOnce(
  alone: Alone,
  work: (tell: (progress: object) => void) => Promise<void>,
  stopping: AbortSignal,
): Promise<void> {
  for (let isWaiting = false; !stopping.aborted; ) {
    const job = await readJob(alone.db, alone.name);
    if (job?.isRunning !== true) {
      if (isWaiting && job?.finished != null) return;
      if ((await runUnlessRunning(alone, work)) === 'done') return;
    }
    isWaiting = true;
    await delay(ASK_EVERY_MS, undefined, { signal: stopping }).catch(() => {});
  }
  throw stoppedBefore();
}

/** What does the work throws it, too, when the service stops in the middle. */
export function stoppedBefore(): Refusal {
  return new Refusal('unavailable', 'The service stopped before this was done: ask again.', { retryAfterS: 1 });
}
