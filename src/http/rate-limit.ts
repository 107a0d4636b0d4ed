/** Answers null when the caller may go on, else in how many seconds it may. */
export type RateLimit = (caller: string) => number | null;

type Bucket = { tokens: number; atMs: number };

/** A bucket that has filled up again says nothing, so this many are only needed by as many callers at once. */
const MOST_BUCKETS = 10_000;

/**
 * A bucket for each caller, full at first: `burst` requests at once, `perS` a second for ever. Memory is bounded: when there are too
 * many buckets, the one that was used least recently goes, as if it were full again. `nowMs` never goes back.
 */
export function makeRateLimit(
  { perS, burst }: { readonly perS: number; readonly burst: number },
  nowMs: () => number,
  mostBuckets = MOST_BUCKETS,
): RateLimit {
  // A Map keeps the order in which its entries were set.
  const buckets = new Map<string, Bucket>();

  return (caller) => {
    const atMs = nowMs();
    const before = buckets.get(caller) ?? { tokens: burst, atMs };
    const tokens = Math.min(burst, before.tokens + ((atMs - before.atMs) / 1000) * perS);
    const mayGoOn = tokens >= 1;
    buckets.delete(caller);
    buckets.set(caller, { tokens: mayGoOn ? tokens - 1 : tokens, atMs });
    const [oldest] = buckets.keys();
    if (buckets.size > mostBuckets && oldest !== undefined) buckets.delete(oldest);
    return mayGoOn ? null : Math.max(1, Math.ceil((1 - tokens) / perS));
  };
}
