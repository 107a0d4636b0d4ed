import type { CreateOutcome } from './outcome.ts';

/** What an exchange tells of Twilio as a whole: would the next one fare alike, and when may it be asked again? */
type Sign = { readonly isTrouble: boolean; readonly retryAfterS?: number | null };

/**
 * How fast work that nobody waits for may go on. As long as Twilio answers: as fast as there are places. When it
 * refuses the account, has too many requests or cannot be reached, one message at a time probes it, after pauses that double.
 */
export type Pace = {
  /** How many may be sent now, of so many places. */
  limit(places: number): number;
  /** Null says nothing. */
  note(sign: Sign | null): void;
};

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** What Twilio asks for itself, by Retry-After, counts up to this. */
const MOST_ASKED_MS = 5 * 60_000;

/** `nowMs` and `random` (0 to 1) are given so that tests can set them. */
export function makePace(nowMs: () => number, random: () => number): Pace {
  let troubles = 0;
  let pausedUntil = 0;

  return {
    limit: (places) => {
      if (nowMs() < pausedUntil) return 0;
      return troubles === 0 ? places : Math.min(1, places);
    },
    note: (sign) => {
      if (sign === null) return;
      if (!sign.isTrouble) {
        troubles = 0;
        pausedUntil = 0;
        return;
      }
      // What was under way when the trouble began is one trouble, not fifty.
      if (nowMs() < pausedUntil) return;
      const askedMs = (sign.retryAfterS ?? 0) * 1000;
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** troubles) * (0.5 + random() / 2);
      pausedUntil = nowMs() + Math.max(Math.min(askedMs, MOST_ASKED_MS), pauseMs);
      troubles += 1;
    },
  };
}

/** Null: it was not even tried, which says nothing. */
export function signOf(outcome: CreateOutcome): Sign | null {
  if (outcome.kind === 'not processed') return outcome.isOurs === true ? null : { isTrouble: true };
  if (outcome.kind !== 'refused') return { isTrouble: false };
  const isTrouble = outcome.errorClass === 'account' || outcome.httpStatus === 429;
  return { isTrouble, retryAfterS: outcome.retryAfterS };
}
