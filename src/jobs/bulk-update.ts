import { type Clock, within } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Reconciled } from '../message/reconcile.ts';
import type { Redactor } from '../message/redact.ts';

export type BulkUpdateDeps = {
  readonly clock: Clock;
  readonly log: Log;
  readonly joinKeptCallbacks: () => Promise<number>;
  readonly reconcile: () => Promise<Reconciled>;
  readonly redactor: Redactor;
  /** Under TWILIO_DISABLED the redactions always come before the answer. */
  readonly isQuiet: boolean;
};

const REDACTION_WAIT_MS = 30_000;

/** Statuses first, then the texts of what has finished; the redactions that take longer than 30 s go on by themselves. */
export async function bulkUpdate(deps: BulkUpdateDeps): Promise<void> {
  const joined = await deps.joinKeptCallbacks();
  const counts = await deps.reconcile();
  const redacting = deps.redactor.redactFinished(deps.clock.now());
  const redacted = deps.isQuiet ? await redacting : await within(REDACTION_WAIT_MS, redacting);
  redacting.catch((error: unknown) => deps.log.warn({ err: error }, 'bulk update: redactions broke off'));
  deps.log.info({ ...counts, joined, redacted }, 'bulk update done');
}
