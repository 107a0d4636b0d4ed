/** A bounded number of places for calls that run at the same time. */
export type Slots = {
  /** A function that gives the place back; null when none became free in time. */
  take(waitMs: number): Promise<(() => void) | null>;
  /** At once, or null. Who waits comes first. */
  tryTake(): (() => void) | null;
  free(): number;
};

type Waiter = (release: (() => void) | null) => void;

export function makeSlots(count: number): Slots {
  let free = count;
  const waiters = new Set<Waiter>();

  function handOut(): () => void {
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      const [next] = waiters;
      if (next === undefined) free += 1;
      else next(handOut());
    };
  }

  function tryTake(): (() => void) | null {
    if (free === 0) return null;
    free -= 1;
    return handOut();
  }

  return {
    tryTake,
    free: () => free,
    take: (waitMs) => {
      const release = tryTake();
      if (release !== null) return Promise.resolve(release);
      return new Promise((resolve) => {
        const waiter: Waiter = (release) => {
          clearTimeout(timer);
          waiters.delete(waiter);
          resolve(release);
        };
        const timer = setTimeout(() => waiter(null), waitMs);
        waiters.add(waiter);
      });
    },
  };
}

/** Background work keeps to so many calls at once, so that sending never waits for it (TWILIO.md 7). */
const BACKGROUND_CONCURRENCY = 10;
/** So many failures in a row that are not the item's own fault mean that Twilio as a whole does not answer. */
const GIVE_UP_AFTER = 20;

/**
 * Runs `work` for each item, as many at once as background work may. One failure harms no other; after many general
 * failures in a row, or when the service is stopping, the rest is left alone and the answer is `gave up`.
 */
export async function forEachAtTwilio<Item>(
  items: readonly Item[],
  stopping: AbortSignal,
  work: (item: Item) => Promise<'general failure' | 'done'>,
): Promise<'all done' | 'gave up'> {
  const queue = items.values();
  let failuresInARow = 0;
  const isOver = () => stopping.aborted || failuresInARow >= GIVE_UP_AFTER;
  const worker = async () => {
    for (const item of queue) {
      if (isOver()) return;
      failuresInARow = (await work(item)) === 'general failure' ? failuresInARow + 1 : 0;
    }
  };
  await Promise.all(Array.from({ length: Math.min(BACKGROUND_CONCURRENCY, items.length) }, worker));
  return isOver() ? 'gave up' : 'all done';
}
