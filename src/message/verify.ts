import type { Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import type { TwilioClient } from '../twilio/client.ts';
import { recordChecked, type ToVerify } from './due-messages.ts';
import { evidenceOf } from './evidence.ts';
import { recordEvidence } from './outcomes.ts';

export type VerifyDeps = {
  readonly db: Db;
  readonly twilio: TwilioClient;
  readonly log: Pick<Log, 'info' | 'warn'>;
  readonly isQuiet: boolean;
};

const AGAIN_AFTER_MS = 30_000;

/** Two callbacks gave a message different ends. Both are in the history, the first stays, and a fetch decides (G5). */
export async function verifyMessage({ db, twilio, log, isQuiet }: VerifyDeps, claim: ToVerify): Promise<void> {
  const { uuid, epoch, twilioSid } = claim;
  const fetched = await twilio.fetch(twilioSid);
  if (fetched.kind === 'failed') {
    log.warn({ messageId: uuid, reason: fetched.reason }, 'Twilio did not tell which of two ends is true');
    return recordChecked(db, { uuid, epoch, againAfterMs: AGAIN_AFTER_MS });
  }
  if (fetched.kind === 'found') {
    const evidence = evidenceOf({ ...fetched.message, sid: twilioSid }, 'fetch', isQuiet);
    const { isChanged } = await recordEvidence(db, uuid, evidence, null);
    log.info({ messageId: uuid, isChanged }, 'Twilio told which of two ends is true');
  }
  return recordChecked(db, { uuid, epoch, againAfterMs: null });
}
