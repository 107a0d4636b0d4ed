/** The simulator's only way to wait, so that its time can be made to run faster. */
export type Timers = {
  after(ms: number, act: () => void): void;
  clear(): void;
};

/** Real timers, `speed` times as fast as the delays asked for. */
export function createTimers(speed: number): Timers {
  const pending = new Set<NodeJS.Timeout>();

  function after(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      pending.delete(timer);
      act();
    }, ms / speed);
    pending.add(timer);
  }

  function clear(): void {
    for (const timer of pending) clearTimeout(timer);
    pending.clear();
  }

  return { after, clear };
}
