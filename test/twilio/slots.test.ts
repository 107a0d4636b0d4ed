import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeSlots } from '../../src/twilio/slots.ts';

describe('places for calls to Twilio', () => {
  test('as many as there are are given at once, and no more', async () => {
    const slots = makeSlots(2);
    const taken = [slots.tryTake(), await slots.take(0)];
    expect(taken.every((release) => release !== null)).toBe(true);
    expect([slots.free(), slots.tryTake(), await slots.take(1)]).toEqual([0, null, null]);
    for (const release of taken) release?.();
    expect(slots.free()).toBe(2);
  });

  test('who waits gets a place in the order of asking, before anybody who only tries', async () => {
    const slots = makeSlots(1);
    const first = slots.tryTake();
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (n) => {
      const release = await slots.take(10_000);
      order.push(n);
      expect(slots.tryTake()).toBeNull();
      release?.();
    });
    first?.();
    await Promise.all(waiting);
    expect([order, slots.free()]).toEqual([[1, 2, 3], 1]);
  });

  test('when as many wait as may, the next one is told at once, and those who wait get their places', async () => {
    const slots = makeSlots(1, 2);
    const release = slots.tryTake();
    const waiting = [slots.take(10_000), slots.take(10_000)];
    expect(await slots.take(10_000)).toBeNull();
    release?.();
    (await waiting[0])?.();
    expect(await waiting[1]).not.toBeNull();
  });

  test('who waited in vain takes no place away later', async () => {
    const slots = makeSlots(1);
    const release = slots.tryTake();
    expect(await slots.take(1)).toBeNull();
    release?.();
    expect(slots.free()).toBe(1);
  });

  test('a place that is given back twice is one place', () => {
    const slots = makeSlots(1);
    const release = slots.tryTake();
    release?.();
    release?.();
    expect(slots.free()).toBe(1);
  });

  test('in any order of taking, waiting and giving back, places in use and free ones are always all of them', async () => {
    const deed = fc.oneof(fc.constant('try' as const), fc.constant('wait' as const), fc.nat(20));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(deed, { maxLength: 40 }), async (count, deeds) => {
        const slots = makeSlots(count);
        const held: (() => void)[] = [];
        let waiting = 0;
        const isFull = () => slots.free() === 0;
        for (const one of deeds) {
          if (one === 'try') {
            const release = slots.tryTake();
            if (release !== null) held.push(release);
          } else if (one === 'wait') {
            waiting += 1;
            void slots.take(60_000).then((release) => {
              waiting -= 1;
              if (release !== null) held.push(release);
            });
          } else held.splice(one, 1)[0]?.();
          await Promise.resolve();
          await Promise.resolve();
          expect(held.length + slots.free()).toBe(count);
          expect(waiting === 0 || isFull()).toBe(true);
        }
        // Every waiter is served: none keeps a timer that would keep the process.
        while (held.length > 0) {
          held.pop()?.();
          await Promise.resolve();
          await Promise.resolve();
        }
        expect([waiting, slots.free()]).toEqual([0, count]);
      }),
      { numRuns: 300 },
    );
  });
});
