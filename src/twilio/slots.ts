/** A bounded number of places for calls that run at the same time. */
export type Slots = {
  /** A function that gives the place back; null when none became free in time, or at once when too many wait already. */
  take(waitMs: number): Promise<(() => void) | null>;
  /** At once, or null. Who waits comes first. */
  tryTake(): (() => void) | null;
  free(): number;
};

type Waiter = (release: (() => void) | null) => void;

export function makeSlots(count: number, mostWaiting = Number.POSITIVE_INFINITY): Slots {
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
      if (release !== null || waiters.size >= mostWaiting) return Promise.resolve(release);
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
