import { expect, test } from 'vitest';
import { makeRateLimit } from '../../src/http/rate-limit.ts';

test('a burst at once, then so many a second for ever', () => {
  let nowMs = 0;
  const waitOf = makeRateLimit({ perS: 2, burst: 5 }, () => nowMs);
  const ask = (times: number) => Array.from({ length: times }, () => waitOf('a'));
  expect(ask(6)).toEqual([null, null, null, null, null, 1]);
  nowMs = 499;
  expect(ask(1)).toEqual([1]);
  nowMs = 500;
  expect(ask(2)).toEqual([null, 1]);
  let passed = 0;
  for (nowMs = 1_000; nowMs < 101_000; nowMs += 100) passed += ask(3).filter((wait) => wait === null).length;
  expect(passed).toBeGreaterThanOrEqual(199);
  expect(passed).toBeLessThanOrEqual(202);
});

test('a quiet caller has its whole burst again, and no more', () => {
  let nowMs = 0;
  const waitOf = makeRateLimit({ perS: 1, burst: 3 }, () => nowMs);
  const ask = () => Array.from({ length: 4 }, () => waitOf('a'));
  expect(ask()).toEqual([null, null, null, 1]);
  nowMs = 3_600_000;
  expect(ask()).toEqual([null, null, null, 1]);
});

test('one caller does not use up what another one has', () => {
  const waitOf = makeRateLimit({ perS: 1, burst: 1 }, () => 0);
  expect([waitOf('a'), waitOf('a'), waitOf('b'), waitOf('b')]).toEqual([null, 1, null, 1]);
});

test('memory is bounded: of too many buckets the one that was used least recently goes', () => {
  const waitOf = makeRateLimit({ perS: 1, burst: 1 }, () => 0, 3);
  expect(['a', 'b', 'c', 'a', 'd'].map(waitOf)).toEqual([null, null, null, 1, null]);
  // b has gone for d; a, which was used after it, has not.
  expect([waitOf('a'), waitOf('b')]).toEqual([1, null]);
});
