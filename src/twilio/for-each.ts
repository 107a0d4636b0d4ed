import { setTimeout as delay } from 'node:timers/promises';

/** Background look-ups keep to so many calls at once, so that sending never waits for them (TWILIO.md 7). */
export const BACKGROUND_CONCURRENCY = 10;
/** So many failures in a row that are not the item's own fault mean that Twilio as a whole does not answer. */
const GIVE_UP_AFTER = 20;
/** One item is tried so often when Twilio has too many requests. */
const TRIES = 5;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

/** The last one: Twilio did not look at it (429) and asks to wait so long. */
export type Worked = 'done' | 'general failure' | { readonly tooManyRetryAfterS: number };

/** `isComplete`: no item was left alone; `retryAfterS`: Twilio asks to stay away for longer than work waits. */
export type Ended = { readonly isComplete: boolean; readonly retryAfterS: number | null };

/**
 * Runs `work` for each item, so many at once. One failure harms no other; after many general failures in a row, or when the
 * service is stopping, the rest is left alone. Too many requests: all wait as long as Twilio asks, or longer each time, and the item has
 * another turn; the rest is left alone when Twilio asks for more than half a minute.
 */
export async function forEachAtTwilio<Item>(
  items: readonly Item[],
  stopping: AbortSignal,
  work: (item: Item) => Promise<Worked>,
  concurrency = BACKGROUND_CONCURRENCY,
): Promise<Ended> {
  const queue = items.values();
  let failuresInARow = 0;
  let pausedUntil = 0;
  let retryAfterS: number | null = null;
  const isOver = () => stopping.aborted || failuresInARow >= GIVE_UP_AFTER || retryAfterS !== null;

  async function pause(): Promise<void> {
    while (!isOver() && performance.now() < pausedUntil) {
      await delay(pausedUntil - performance.now(), undefined, { signal: stopping }).catch(() => {});
    }
  }

  async function workOn(item: Item): Promise<Worked> {
    for (let n = 1; ; n += 1) {
      await pause();
      if (isOver()) return 'general failure';
      const worked = await work(item);
      if (typeof worked === 'string' || n === TRIES) return worked;
      const pauseMs = Math.max(worked.tooManyRetryAfterS * 1000, FIRST_PAUSE_MS * 2 ** (n - 1));
      if (pauseMs > LONGEST_PAUSE_MS) retryAfterS = Math.max(retryAfterS ?? 0, worked.tooManyRetryAfterS);
      else pausedUntil = Math.max(pausedUntil, performance.now() + pauseMs);
    }
  }

  const worker = async () => {
    for (const item of queue) {
      if (isOver()) return;
      failuresInARow = (await workOn(item)) === 'done' ? 0 : failuresInARow + 1;
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker));
  return { isComplete: !isOver(), retryAfterS };
}
