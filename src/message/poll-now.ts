import type { Db } from '../db/db.ts';
import type { TwilioClient } from '../twilio/client.ts';
import type { Pace } from '../twilio/pace.ts';
import { evidenceOf } from './evidence.ts';
import { recordPolled, type ToPoll } from './open-messages.ts';
import type { EvidenceRecorded, Said } from './outcomes.ts';
import { asStatus } from './status.ts';

export type PollNowDeps = {
  readonly db: Db;
  readonly twilio: Pick<TwilioClient, 'fetch'>;
  /** Of such polls alone: while Twilio is in trouble, they do not add to it. */
  readonly pace: Pace;
  readonly isQuiet: boolean;
  readonly record: (said: Said) => Promise<EvidenceRecorded>;
  readonly onAsked: (how: 'fetch', result: 'changed' | 'no news' | 'gone' | 'failed', count: number) => void;
};

/** `said`: Twilio's word, `unknown` for one that this service does not know; null: Twilio does not have the message any more. */
export type PolledNow =
  | { readonly kind: 'asked'; readonly said: string | null; readonly isChanged: boolean }
  /** Twilio did not tell, or was not asked because it is in trouble. */
  | { readonly kind: 'not asked'; readonly retryAfterS: number };

const RETRY_AFTER_S = 10;

/**
 * Asks Twilio about one message now, because somebody waits for it, and records what it says as every poll does. The polls that come by
 * themselves keep their turns: no news is no event, and changes none of them.
 */
export async function pollNow(deps: PollNowDeps, message: ToPoll): Promise<PolledNow> {
  const { pace, onAsked } = deps;
  if (pace.limit(1) === 0) return { kind: 'not asked', retryAfterS: RETRY_AFTER_S };
  const fetched = await deps.twilio.fetch(message.twilioSid);
  switch (fetched.kind) {
    case 'found': {
      pace.note({ isTrouble: false });
      const evidence = evidenceOf({ ...fetched.message, sid: message.twilioSid }, 'fetch', deps.isQuiet);
      const { isChanged } = await deps.record({ uuid: message.uuid, attempt: null, evidence });
      onAsked('fetch', isChanged ? 'changed' : 'no news', 1);
      return { kind: 'asked', said: asStatus(fetched.message.status) ?? 'unknown', isChanged };
    }
    case 'gone':
      pace.note({ isTrouble: false });
      await recordPolled(deps.db, [{ uuid: message.uuid, epoch: message.epoch, result: 'gone' }]);
      onAsked('fetch', 'gone', 1);
      return { kind: 'asked', said: null, isChanged: false };
    case 'failed':
      pace.note({ isTrouble: fetched.isGeneral, retryAfterS: fetched.tooManyRetryAfterS ?? null });
      onAsked('fetch', 'failed', 1);
      return { kind: 'not asked', retryAfterS: Math.max(RETRY_AFTER_S, fetched.tooManyRetryAfterS ?? 0) };
    default:
      return fetched satisfies never;
  }
}
