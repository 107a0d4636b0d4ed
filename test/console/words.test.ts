import { expect, test } from 'vitest';
import { csvOf } from '../../console/csv.ts';
import { boundsOfMonth, daysUpTo, monthsUpTo, spanInWords } from '../../console/times.ts';
import { meaningOf, share, statuses, sumGroups, toneOf, totalOf } from '../../console/words.ts';
import { statuses as ours } from '../../src/message/status.ts';

/** What the console says, without a browser. */

test('the console knows every status of the service, and no other', () => {
  expect([...statuses].sort()).toEqual(Object.keys(ours).sort());
});

test('what nobody knows has a tone of its own, and so has a word that is not known', () => {
  expect(toneOf('unconfirmed')).toBe('unknown');
  expect(toneOf('brand-new')).toBe('unknown');
  expect(toneOf('failed')).toBe('bad');
  expect(meaningOf('brand-new')).toMatch(/does not know/);
});

test('no message is left out of the groups', () => {
  const counts = Object.fromEntries([...statuses, 'brand-new'].map((status, n) => [status, n + 1]));
  const all = Object.values(counts).reduce((a, b) => a + b, 0);
  expect(totalOf(sumGroups({ '2026-11-23': counts, '2026-11-24': counts }))).toBe(2 * all);
});

test('a share that rounds to nothing is not nothing', () => {
  expect(share(0, 0)).toBe('–');
  expect(share(0, 10)).toBe('0 %');
  expect(share(1, 100_000)).toBe('< 0.1 %');
  expect(share(99_999, 100_000)).toBe('> 99.9 %');
  expect(share(5, 5)).toBe('100 %');
});

test('a spreadsheet runs nothing of a saved file', () => {
  const rows = [{ a: '=1+1', b: '+447700900123' }, { a: 'two "words", and\na line', b: '@x' }, { b: '-1' }];
  expect(csvOf(['a', 'b'], rows as { a?: string; b: string }[])).toBe(
    `a,b\r\n'=1+1,'+447700900123\r\n"two ""words"", and\na line",'@x\r\n,'-1\r\n`,
  );
});

test('months and days are those of UTC', () => {
  const newYear = new Date('2026-01-01T00:30:00Z');
  expect(monthsUpTo(newYear, 3)).toEqual(['2026-01', '2025-12', '2025-11']);
  expect(daysUpTo(newYear, 2)).toEqual(['2025-12-31', '2026-01-01']);
  expect(boundsOfMonth('2024-02')).toEqual({ from: '2024-02-01T00:00:00.000Z', to: '2024-02-29T23:59:59.999Z' });
});

test.each([
  [12, '12 ms'],
  [1_500, '1.5 s'],
  [42_000, '42 s'],
  [90_000, '2 min'],
  [3_600_000, '1 h'],
  [7_800_000, '2 h 10 min'],
  [259_200_000, '3 d'],
])('%d ms are %s', (milliseconds, words) => {
  expect(spanInWords(milliseconds)).toBe(words);
});
