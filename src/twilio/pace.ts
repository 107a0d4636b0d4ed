import type { CreateOutcome } from './outcome.ts';

/**
 * How fast work that nobody waits for may be sent. As long as Twilio takes messages: as fast as there are places. When it
 * refuses the account, has too many requests or cannot be reached, one message at a time probes it, after pauses that double.
 */
export type Pace = {
  /** How many may be sent now, of so many places. */
  limit(places: number): number;
  note(outcome: CreateOutcome): void;
};

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

/** `nowMs` and `random` (0 to 1) are given so that tests can set them. */
export function makePace(nowMs: () => number, random: () => number): Pace {
  let troubles = 0;
  let pausedUntil = 0;

  return {
    limit: (places) => {
      if (nowMs() < pausedUntil) return 0;
      return troubles === 0 ? places : Math.min(1, places);
    },
    note: (outcome) => {
      if (outcome.kind === 'not processed' && outcome.isOurs === true) return;
      if (!isTrouble(outcome)) {
        troubles = 0;
        pausedUntil = 0;
        return;
      }
      // What was under way when the trouble began is one trouble, not fifty.
      if (nowMs() < pausedUntil) return;
      const askedMs = outcome.kind === 'refused' ? (outcome.retryAfterS ?? 0) * 1000 : 0;
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** troubles) * (0.5 + random() / 2);
      pausedUntil = nowMs() + Math.max(Math.min(askedMs, LONGEST_PAUSE_MS), pauseMs);
      troubles += 1;
    },
  };
}

/** Not this message's own fault: the next one would fare alike. */
function isTrouble(outcome: CreateOutcome): boolean {
  if (outcome.kind === 'not processed') return true;
  return outcome.kind === 'refused' && (outcome.errorClass === 'account' || outcome.httpStatus === 429);
}
