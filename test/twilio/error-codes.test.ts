import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCodeOf, errorCodes } from '../../src/twilio/error-codes.ts';

const root = path.resolve(import.meta.dirname, '../..');
/** Twilio's dictionary: https://www.twilio.com/docs/api/errors; what of it matters to texts. */
const mustBeKnown = [
  ...[20003, 20005, 30002, 21610, 21211, 21614, 21617, 21635, 30003, 30004, 30005, 30006, 30007],
  ...[21408, 21606, 21609, 21703, 30032, 30034, 20429, 21611, 30001, 30022, 30450, 30500, 20009, 20500],
];
const codesOf = (file: string) => readFileSync(path.join(root, file), 'utf8').match(/\b(?:20|21|30)\d{3}\b/g) ?? [];

describe('the table of error codes', () => {
  test('has every code that sending, delivery and redaction are known to fail with', () => {
    expect(mustBeKnown.filter((code) => errorCodeOf(String(code)) === null)).toEqual([]);
  });

  test('has every code that the simulator can produce', () => {
    const produced = new Set(globSync('src/simulator/**/*.ts', { cwd: root }).flatMap(codesOf));
    expect(produced.size).toBeGreaterThan(20);
    expect([...produced].filter((code) => errorCodeOf(code) === null)).toEqual([]);
  });

  test.each(errorCodes)('says of $code what it means, what to do, and who can do it, in whole sentences', (entry) => {
    for (const sentence of [entry.means, entry.whatToDo]) expect(sentence).toMatch(/^[A-Z].{15,}\.$/);
    expect(entry.who).toMatch(/^[a-zA-Z].{4,}[^.]$/);
    expect(['yes', 'no', 'partly']).toContain(entry.canWeFix);
  });

  test('does not know what is no code', () => {
    for (const code of [null, '', '99999', 'constructor', '__proto__']) expect(errorCodeOf(code)).toBeNull();
  });
});
