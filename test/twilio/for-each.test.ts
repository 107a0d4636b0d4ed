import { describe, expect, test } from 'vitest';
import { forEachAtTwilio } from '../../src/twilio/for-each.ts';

const never = new AbortController().signal;
const complete = { isComplete: true, retryAfterS: null };
const incomplete = { isComplete: false, retryAfterS: null };

describe('background work at Twilio', () => {
  test('is done for every item, ten at once at the most', async () => {
    let underWay = 0;
    let most = 0;
    const done: number[] = [];
    const ended = await forEachAtTwilio(Array.from({ length: 95 }).keys().toArray(), never, async (n) => {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
      done.push(n);
      return n % 3 === 0 ? 'general failure' : 'done';
    });
    expect([ended, most, new Set(done).size]).toEqual([complete, 10, 95]);
  });

  test('gives up after twenty general failures in a row and leaves the rest', async () => {
    let asked = 0;
    const ended = await forEachAtTwilio(Array.from({ length: 1_000 }), never, async () => {
      asked += 1;
      return 'general failure';
    });
    expect(ended).toEqual(incomplete);
    // Nine more may be under way when the twentieth fails.
    expect(asked).toBeGreaterThanOrEqual(20);
    expect(asked).toBeLessThan(30);
  });

  test('one success between failures counts anew', async () => {
    let asked = 0;
    const ended = await forEachAtTwilio(Array.from({ length: 200 }), never, async () => {
      asked += 1;
      return asked % 15 === 0 ? 'done' : 'general failure';
    });
    expect([ended, asked]).toEqual([complete, 200]);
  });

  test('begins nothing more once the service stops', async () => {
    const stopping = new AbortController();
    let asked = 0;
    const ended = await forEachAtTwilio(Array.from({ length: 100 }), stopping.signal, async () => {
      asked += 1;
      if (asked === 15) stopping.abort();
      await new Promise((resolve) => setImmediate(resolve));
      return 'done';
    });
    expect(ended).toEqual(incomplete);
    expect(asked).toBeLessThan(30);
  });

  test('nothing to do is done', async () => {
    expect(await forEachAtTwilio([], never, async () => 'done')).toEqual(complete);
  });

  test('has another turn after 429, when Twilio said, and all wait that long', async () => {
    const began = performance.now();
    const times: number[] = [];
    const tries = new Map<number, number>();
    const ended = await forEachAtTwilio(
      [1, 2, 3, 4],
      never,
      async (n) => {
        times.push(performance.now() - began);
        const nth = (tries.get(n) ?? 0) + 1;
        tries.set(n, nth);
        return n === 1 && nth === 1 ? { tooManyRetryAfterS: 1 } : 'done';
      },
      1,
    );
    expect([ended, [...tries.values()]]).toEqual([complete, [2, 1, 1, 1]]);
    // One at a time: the first try, and all others after the second that Twilio asked for.
    expect(times.filter((at) => at < 990)).toHaveLength(1);
  });

  test('pauses longer each time when 429 does not say how long, and tries five times', async () => {
    const times: number[] = [];
    const ended = await forEachAtTwilio(['one'], never, async () => {
      times.push(performance.now());
      return times.length === 5 ? 'done' : { tooManyRetryAfterS: 0 };
    });
    const pauses = times.slice(1).map((at, n) => at - (times[n] ?? 0));
    expect([ended, times.length]).toEqual([complete, 5]);
    for (const [n, least] of [490, 990, 1_990, 3_990].entries()) expect(pauses[n]).toBeGreaterThanOrEqual(least);
  });

  test('that is told 429 five times is left, and counts as one failure', async () => {
    let asked = 0;
    const ended = await forEachAtTwilio(['busy', 'fine'], never, async (item) => {
      asked += 1;
      return item === 'busy' ? { tooManyRetryAfterS: 0 } : 'done';
    });
    expect([ended, asked]).toEqual([complete, 6]);
  });

  test('that waits for the end of a pause ends at once when the service stops', async () => {
    const stopping = new AbortController();
    const began = performance.now();
    const ended = await forEachAtTwilio([1], stopping.signal, async () => {
      setTimeout(() => stopping.abort(), 20);
      return { tooManyRetryAfterS: 25 };
    });
    expect(ended).toEqual(incomplete);
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  test('stays away at once when Twilio asks for more than half a minute, and says how long', async () => {
    let asked = 0;
    const ended = await forEachAtTwilio(Array.from({ length: 100 }), never, async () => {
      asked += 1;
      return { tooManyRetryAfterS: 90 };
    });
    expect(ended).toEqual({ isComplete: false, retryAfterS: 90 });
    expect(asked).toBeLessThanOrEqual(10);
  });
});
