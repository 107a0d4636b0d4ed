/** The only place that asks the time, so that tests and drills can set it. */
export type Clock = { now(): Date };

export const systemClock: Clock = { now: () => new Date() };

/** What `promise` gives within `ms` milliseconds, else 'too late'; the promise itself goes on. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | 'too late'> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<'too late'>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, ms), 'too late');
  });
  return Promise.race([promise, tooLate]).finally(() => clearTimeout(timer));
}
