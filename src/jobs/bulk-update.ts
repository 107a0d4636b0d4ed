import { within } from '../clock.ts';
import type { Db } from '../db/db.ts';
import { readJob } from '../db/job.ts';
import type { Log } from '../log.ts';
import type { Reconciled } from '../message/reconcile.ts';
import type { Redactor } from '../message/redact.ts';
import { runOnce, stoppedBefore } from './alone.ts';

export type BulkUpdateDeps = {
  readonly db: Db;
  readonly log: Log;
  readonly joinKeptCallbacks: () => Promise<number>;
  readonly reconcile: (onProgress: (so: Reconciled) => void) => Promise<Reconciled>;
  readonly redactor: Redactor;
  /** Under TWILIO_DISABLED the redactions always come before the answer. */
  readonly isQuiet: boolean;
  /** Messages that are still to be asked about; 0 when no bulk update runs here. */
  readonly onRemaining: (count: number) => void;
  readonly stopping: AbortSignal;
};

const NAME = 'bulk update';
const REDACTION_WAIT_MS = 30_000;
const TELL_EVERY = 1_000;

/**
 * Statuses first, then the texts of what has finished; the redactions that take longer than 30 s go on by themselves. While one
 * runs on any replica, another one is the same: who asks for it waits for the first.
 */
export async function bulkUpdate(deps: BulkUpdateDeps): Promise<void> {
  await runOnce({ db: deps.db, name: NAME, goesOn: false }, (tell) => updateAll(deps, tell), deps.stopping);
}

async function updateAll(deps: BulkUpdateDeps, tell: (progress: object) => void): Promise<void> {
  const joined = await deps.joinKeptCallbacks();
  const counts = await deps
    .reconcile((so) => {
      tell({ ...so, redacted: 0 });
      deps.onRemaining(so.total - so.asked);
      if (so.total > 0 && so.asked % TELL_EVERY === 0) deps.log.info({ ...so }, 'bulk update: asking Twilio');
    })
    .finally(() => deps.onRemaining(0));
  if (deps.stopping.aborted) throw stoppedBefore();
  const redacting = deps.redactor.redactAll();
  const redacted = deps.isQuiet ? await redacting : await within(REDACTION_WAIT_MS, redacting);
  redacting.catch((error: unknown) => deps.log.warn({ err: error }, 'bulk update: redactions broke off'));
  tell({ ...counts, redacted: redacted === 'too late' ? 0 : redacted });
  deps.log.info({ ...counts, joined, redacted }, 'bulk update done');
}

export type BulkUpdateProgress = Reconciled & {
  readonly running: boolean;
  readonly started: Date | null;
  readonly finished: Date | null;
  readonly redacted: number;
};

/** How far the latest bulk update, on whichever replica, has come. */
export async function readBulkUpdateProgress(db: Db): Promise<BulkUpdateProgress> {
  const job = await readJob(db, NAME);
  const count = (name: keyof Reconciled | 'redacted') => Number(job?.progress[name] ?? 0);
  return {
    running: job?.isRunning ?? false,
    started: job?.started ?? null,
    finished: job?.finished ?? null,
    total: count('total'),
    asked: count('asked'),
    changed: count('changed'),
    gone: count('gone'),
    failed: count('failed'),
    redacted: count('redacted'),
  };
}
