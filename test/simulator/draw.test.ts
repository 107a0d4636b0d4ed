import { expect, test } from 'vitest';
import { createDraws } from '../../src/simulator/draw.ts';
import { happyEnding, nextStep } from '../../src/simulator/life.ts';

const delays = (seed: number, receiver: string, text: string, before = 0) => {
  const drawFor = createDraws(seed);
  for (let n = 0; n < before; n++) drawFor(receiver, text);
  const { fraction } = drawFor(receiver, text);
  return (['queued', 'sending', 'sent'] as const).map((status) => nextStep(status, happyEnding, fraction)?.afterMs);
};

test('the delays of a message are the same for the same seed, receiver, text and repetition', () => {
  expect(delays(1, 'a', 'x')).toEqual(delays(1, 'a', 'x'));
  expect(delays(1, 'a', 'x', 2)).toEqual(delays(1, 'a', 'x', 2));
});

test('the delays differ when any of the four differs', () => {
  const all = [
    delays(1, 'a', 'x'),
    delays(2, 'a', 'x'),
    delays(1, 'b', 'x'),
    delays(1, 'a', 'y'),
    delays(1, 'a', 'x', 1),
  ];
  expect(new Set(all.map(String)).size).toBe(5);
});

test('what other messages draw in between changes nothing', () => {
  const drawFor = createDraws(1);
  drawFor('b', 'y').fraction('delay');
  const late = drawFor('a', 'x').fraction('delay');
  expect(late).toBe(createDraws(1)('a', 'x').fraction('delay'));
});

test('fractions spread evenly from 0 to 1', () => {
  const drawFor = createDraws(1);
  const fractions = Array.from({ length: 2000 }, (_, n) => drawFor('a', String(n)).fraction('any'));
  const mean = fractions.reduce((sum, fraction) => sum + fraction, 0) / fractions.length;
  expect(mean).toBeGreaterThan(0.47);
  expect(mean).toBeLessThan(0.53);
  expect(fractions.every((fraction) => fraction >= 0 && fraction < 1)).toBe(true);
});
