import { describe, expect, test } from 'vitest';
import { parseDuration, parseMoment, showMoment } from '../../src/simulator/duration.ts';
import { createHeap } from '../../src/simulator/heap.ts';
import { createTime } from '../../src/simulator/time.ts';

describe('a driven clock', () => {
  test('begins at the first moment of 2026 and stands still', () => {
    const time = createTime(0);
    expect(new Date(time.now()).toISOString()).toBe('2026-01-01T00:00:00.000Z');
    expect(time.elapsed()).toBe(0);
  });

  test('lets happen what is due, in the order of time, and equals in the order in which they were asked for', async () => {
    const time = createTime(0);
    const happened: string[] = [];
    for (const [what, ms] of Object.entries({ late: 30, first: 10, second: 10, third: 10, never: 31 })) {
      time.after(ms, () => void happened.push(`${what} at ${time.elapsed()}`));
    }
    await time.advance(30);
    expect(happened).toEqual(['first at 10', 'second at 10', 'third at 10', 'late at 30']);
    expect(time.pending()).toBe(1);
  });

  test('stands still until what happens is over', async () => {
    const time = createTime(0);
    const happened: string[] = [];
    time.after(10, async () => {
      await new Promise(setImmediate);
      happened.push(`slow one over at ${time.elapsed()}`);
    });
    time.after(20, () => void happened.push('next'));
    await time.advance(1000);
    expect(happened).toEqual(['slow one over at 10', 'next']);
    expect(time.elapsed()).toBe(1000);
  });

  test('lets happen what an event asks for, when it is due in the same advance', async () => {
    const time = createTime(0);
    const happened: number[] = [];
    time.after(10, () => time.after(10, () => void happened.push(time.elapsed())));
    await time.advance(20);
    expect(happened).toEqual([20]);
  });

  test('driven twice at once takes one after the other', async () => {
    const time = createTime(0);
    await Promise.all([time.advance(10), time.advance(10)]);
    expect(time.elapsed()).toBe(20);
  });

  test('forgets what was to happen when it is cleared', async () => {
    const time = createTime(0);
    time.after(1, () => expect.unreachable());
    time.clear();
    await time.advance(10);
  });
});

describe('a running clock', () => {
  test('runs as much faster as it was told', async () => {
    const time = createTime(100_000);
    const begun = performance.now();
    await new Promise<void>((resolve) => time.after(60_000, resolve));
    expect(time.elapsed()).toBeGreaterThanOrEqual(60_000);
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  test('wakes for what comes first, whatever was asked for before', async () => {
    const time = createTime(1);
    const happened: string[] = [];
    await new Promise<void>((resolve) => {
      time.after(20, () => resolve(void happened.push('second')));
      time.after(1, () => void happened.push('first'));
    });
    expect(happened).toEqual(['first', 'second']);
  });

  test('cannot be driven', async () => {
    await expect(createTime(1).advance(1)).rejects.toThrow('This clock runs by itself');
  });

  test('bears the dates of a clock that it is given', () => {
    const date = new Date('2026-11-23T15:20:45.678Z');
    expect(createTime(1000, { now: () => date }).now()).toBe(date.getTime());
  });
});

test('a heap gives back ten thousand things in order', () => {
  const heap = createHeap<number>((a, b) => a < b);
  const numbers = Array.from({ length: 10_000 }, (_, n) => (n * 7919) % 10_007);
  for (const number of numbers) heap.add(number);
  const given = numbers.map(() => heap.takeFirst());
  expect(given).toEqual(numbers.toSorted((a, b) => a - b));
  expect(heap.takeFirst()).toBeUndefined();
});

test.for([
  ['500ms', 500],
  ['90s', 90_000],
  ['1.5h', 5_400_000],
  ['30m', 1_800_000],
  ['30', undefined],
  ['-1s', undefined],
  ['1 day', undefined],
] as const)('the duration %s is %s milliseconds', ([text, ms]) => {
  expect(parseDuration(text)).toBe(ms);
});

test.for([
  ['00:30', 1_800_000],
  ['01:30:15', 5_415_000],
  ['90s', 90_000],
  ['00:60', undefined],
  ['noon', undefined],
] as const)('the moment %s is %s milliseconds after the start', ([text, ms]) => {
  expect(parseMoment(text)).toBe(ms);
});

test('a moment is shown as hours, minutes, seconds and milliseconds', () => {
  expect(showMoment(5_415_042.9)).toBe('01:30:15.042');
});
