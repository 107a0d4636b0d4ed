import { describe, expect, test } from 'vitest';
import { bar } from '../../src/cli/bulk-update.ts';
import { inWords } from '../../src/cli/events.ts';
import { endOf, startOf } from '../../src/cli/period.ts';
import { maskReceiver, maskSender, printable, table, withoutNumbers, wrap } from '../../src/cli/words.ts';

describe('numbers', () => {
  test.for([
    ['+447700900123', '…0123'],
    ['07700 900123', '…0123'],
    ['tel:+44-7700-900123', '…0123'],
    ['0123', '…23'],
    ['no digits', '…'],
    [`hashed:${'0'.repeat(64)}`, 'emptied'],
  ] as const)('a receiver %s is shown as %s', ([receiver, shown]) => {
    expect(maskReceiver(receiver)).toBe(shown);
  });

  test.for([
    ['Clinic', 'Clinic'],
    ['60606', '60606'],
    ['+447700900001', '…0001'],
  ] as const)('a sender %s is shown as %s', ([sender, shown]) => {
    expect(maskSender(sender)).toBe(shown);
  });

  test.for([
    ["The 'To' number +447700900123 is not valid.", "The 'To' number …0123 is not valid."],
    ['Call (07700) 900 123 now', 'Call …0123 now'],
    ['Message 90422123-0777-4e62-8dfe-315ba3cea0ce of 2026-11-23T15:20:45Z', null],
    ['Code 21610, HTTP status 422', null],
  ] as const)('a sentence %s keeps none', ([sentence, without]) => {
    expect(withoutNumbers(sentence)).toBe(without ?? sentence);
  });
});

test('what a terminal would obey is not printed', () => {
  expect(printable('a\u001b[2Jb\u0007\u009b31m\u202ec\r\nd')).toBe(
    'a\u{FFFD}[2Jb\u{FFFD}\u{FFFD}31m\u{FFFD}c\u{FFFD}\u{FFFD}d',
  );
});

test('a table has columns as wide as what is in them, numbers to the right', () => {
  expect(
    table(
      ['day', 'sent'],
      [
        ['2026-11-23', 5],
        ['all', 1200],
      ],
    ),
  ).toBe('day         sent\n2026-11-23     5\nall         1200\n');
});

test('lines are 80 columns, and a word that is longer is cut', () => {
  const lines = wrap(`${'word '.repeat(30)}${'x'.repeat(100)}`, '  ')
    .trimEnd()
    .split('\n');
  expect(lines.every((line) => line.length <= 80 && line.startsWith('  '))).toBe(true);
  expect(lines.join('').replace(/[^x]/g, '')).toHaveLength(100);
});

test.for([
  [0, '0 ms'],
  [999, '999 ms'],
  [1_234, '1.2 s'],
  [90_000, '1.5 min'],
  [7_200_000, '2.0 h'],
  [259_200_000, '3.0 days'],
  [Number.NaN, '0 ms'],
] as const)('%d milliseconds are %s', ([ms, words]) => {
  expect(inWords(ms)).toBe(words);
});

test('a day means all of it, a moment means itself', () => {
  expect([startOf('2026-11-01'), endOf('2026-11-01')]).toEqual(['2026-11-01T00:00:00Z', '2026-11-01T23:59:59.999999Z']);
  expect([startOf('2026-11-01T08:00:00Z'), endOf('2026-11-01T08:00:00Z')]).toEqual(
    Array(2).fill('2026-11-01T08:00:00Z'),
  );
});

describe('the progress bar', () => {
  const nothing = { running: true, total: 0, asked: 0, changed: 0, gone: 0, failed: 0, redacted: 0 };

  test('grows with what has been asked', () => {
    const filled = [0, 1, 1_241, 2_480, 2_481].map(
      (asked) => /#*/.exec(bar({ ...nothing, total: 2_481, asked }).slice(1))?.[0].length,
    );
    expect(filled).toEqual([0, 0, 8, 15, 16]);
    expect(bar({ ...nothing, total: 2_481, asked: 1_241, changed: 3 })).toContain('] 1,241 of 2,481 asked, 3 changed');
  });

  test('is always one line of 79 columns, also before and past the end', () => {
    const huge = { running: true, total: 1e6, asked: 2e6, changed: 1e6, gone: 0, failed: 1e6, redacted: 1e6 };
    for (const progress of [nothing, huge]) expect(bar(progress)).toMatch(/^\[[#.]{16}\] .{60}$/);
  });
});
