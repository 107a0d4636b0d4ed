import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const rows = read('SECURITY.md')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| attack') && !line.startsWith('| ---'))
  .map((line) => line.slice(2, -2).split(' | '));

describe('Each attack of SECURITY.md has a test', () => {
  test('the table is there, three cells a row', () => {
    expect(rows.length).toBeGreaterThan(10);
    expect(rows.filter((cells) => cells.length !== 3)).toEqual([]);
  });

  test.each(rows)('%s', (_attack, _defence, shownBy = '') => {
    const tests = [...shownBy.matchAll(/`(test\/[^`]+)`: ([^`]+?)(?=; `|$)/g)];
    expect(tests.length).toBeGreaterThan(0);
    for (const [, file = '', name = ''] of tests) {
      const names = [...read(file).matchAll(/(?:\b(?:test|describe)|\]\))\(\s*'([^']+)'/g)];
      const known = names.map(([, known = '']) => known);
      expect(known.some((each) => each === name || each.endsWith(`: ${name}`))).toBe(true);
    }
    if (shownBy.includes('`make ')) expect(read('Makefile')).toMatch(/^fuzz:/m);
  });
});
