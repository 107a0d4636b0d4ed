import { describe, expect, test } from 'vitest';
import { readSearchTerm } from '../../src/message/search-term.ts';

/** Nine digits as they are dialled in Sweden are a whole number there, and the end of one elsewhere. */
const dialled = '081234567';
const read = (typed: string) => readSearchTerm(typed, 'GB');
const uuid = '90422bdb-077e-4c62-8dfe-315ba3cea0ce';
const sid = 'SM0123456789abcdef0123456789abcdef';

describe('What somebody typed', () => {
  test.each([uuid, uuid.toUpperCase(), uuid.replaceAll('-', ''), `  ${uuid}\n`])('%j is a uuid', (typed) => {
    expect(read(typed)).toMatchObject({ kind: 'uuid', ids: expect.arrayContaining([uuid]) });
  });

  test.each([sid, sid.toLowerCase(), sid.toUpperCase(), ` ${sid} `])('%j is a SID', (typed) => {
    expect(read(typed)).toMatchObject({ kind: 'sid', ids: expect.arrayContaining([sid]) });
  });

  test.each([
    '+447700900123',
    '07700 900123',
    '07700900123',
    '7700900123',
    '(07700) 900-123',
    '0044 7700 900123',
    '+44 (0)7700 900123',
    '+44.7700.900.123',
    'tel:+44-7700-900123',
    '07700 900123 ext. 5',
    '+447700900123',
  ])('%j is a number', (typed) => {
    expect(read(typed)).toEqual({ kind: 'number', spelling: typed });
  });

  test.each([
    ['0123', '0123'],
    ['****0123', '0123'],
    ['…0123', '0123'],
    ['900 123', '900123'],
    ['900-123', '900123'],
    ['700900123', '700900123'],
    ['07700900', '07700900'],
    ['00900123', '00900123'],
  ])('%j is the last digits of one', (typed, digits) => {
    expect(read(typed)).toEqual({ kind: 'last digits', digits });
  });

  test('nine digits with a zero in front are a number where they can be one, else the end of one', () => {
    expect(readSearchTerm(dialled, 'SE')).toEqual({ kind: 'number', spelling: dialled });
    expect(readSearchTerm(dialled, 'US')).toEqual({ kind: 'last digits', digits: dialled });
  });

  test.each([
    '',
    '123',
    '12 3',
    'Mr Smith',
    'call 07700 900123',
    '0800 FLOWERS',
    'SM0123',
    `${uuid}0`,
    'SM0123456789abcdef0123456789abcdeg',
    "0123' OR 1=1",
    '_123',
    '+',
    '💊💊💊💊',
    '1'.repeat(250),
  ])('%j is none of them', (typed) => {
    expect(read(typed)).toBeNull();
  });
});
