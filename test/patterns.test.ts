import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAst } from 'vitest/node';

/**
 * A pattern that backtracks over a text of somebody else's makes one request cost seconds. Every pattern of the service is tried with
 * texts that fit it, with a part repeated, and an end that does not fit: time must grow as the text does.
 */

const root = path.resolve(import.meta.dirname, '..');
/** As long as the largest body: no text that a pattern meets is longer. */
const LONGEST = 65_536;
const MOST_MS = 150;

type Pattern = { readonly place: string; readonly regex: RegExp };

/** Every regular expression literal, and everywhere that one is built at run time. */
function patternsIn(file: string): { literals: Pattern[]; built: string[] } {
  const literals: Pattern[] = [];
  const built: string[] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { regex, type, callee } = node as {
      regex?: { pattern: string; flags: string };
      type?: string;
      callee?: { name?: string };
    };
    if (regex)
      literals.push({
        place: `${file} /${regex.pattern}/${regex.flags}`,
        regex: new RegExp(regex.pattern, regex.flags),
      });
    if ((type === 'NewExpression' || type === 'CallExpression') && callee?.name === 'RegExp') built.push(file);
    for (const child of Object.values(node)) visit(child);
  };
  visit(parseAst(readFileSync(path.join(root, file), 'utf8'), { lang: 'ts' }));
  return { literals, built };
}

const found = globSync('src/**/*.ts', { cwd: root }).map(patternsIn);
const literals = found.flatMap((each) => each.literals);

/** Texts that fit the pattern where fast-check can make some, else texts of its own letters. */
function samplesOf({ source, flags }: RegExp): string[] {
  const letters = [...new Set(source.replace(/\\[dswbDSW]/g, '0 a').replace(/[^ -~]|[\\()[\]{}|?*^$]/g, ''))].slice(
    0,
    12,
  );
  try {
    return [...fc.sample(fc.stringMatching(new RegExp(source, flags)), { numRuns: 6, seed: 1 }), ...letters];
  } catch {
    return letters;
  }
}

/** Before the repeated part, the part, and after it. */
function* pumpsOf(regex: RegExp): Generator<[string, string]> {
  for (const sample of samplesOf(regex)) {
    const text = sample.slice(0, 40);
    for (let at = 0; at < Math.min(text.length, 14); at += 1) {
      yield [text.slice(0, at), text.slice(at, at + 1)];
      yield [text.slice(0, at), text.slice(at, at + 2)];
    }
  }
}

/** The most milliseconds for a text of up to LONGEST characters. It grows slowly, so that one which doubles with each character ends. */
function worstMs(regex: RegExp, longest = LONGEST): { ms: number; length: number } {
  let worst = { ms: 0, length: 0 };
  for (const [before, part] of pumpsOf(regex)) {
    for (let times = 16; times * part.length <= longest; times = times < 40 ? times + 2 : times * 4) {
      const text = `${before}${part.repeat(times)}\n!`;
      const ms = Math.min(timeOf(regex, text), timeOf(regex, text));
      if (ms > worst.ms) worst = { ms, length: text.length };
      if (ms > MOST_MS) return worst;
    }
  }
  return worst;
}

function timeOf(regex: RegExp, text: string): number {
  regex.lastIndex = 0;
  const { user } = process.threadCpuUsage();
  regex.test(text);
  return (process.threadCpuUsage().user - user) / 1_000;
}

describe('Patterns take time in proportion to the text', () => {
  test('they are all found', () => {
    expect(literals.length).toBeGreaterThan(80);
    expect(found.flatMap(({ built }) => built)).toEqual([
      'src/simulator/rules.ts',
      'src/simulator/segments.ts',
      'src/simulator/segments.ts',
    ]);
  });

  test.each([
    ['doubles with each character', /^(a+)+$/],
    ['doubles in another way', /^(\d|\d\d)*x$/],
    ['grows with the square', /\s+$/],
    ['grows with the square in two neighbours', /^\w*\d*x/],
  ])('one that %s is caught', { timeout: 120_000 }, (_what, regex) => {
    expect(worstMs(regex).ms).toBeGreaterThan(MOST_MS);
  });

  test('none of the service is caught', { timeout: 120_000 }, () => {
    const slow = literals.flatMap(({ place, regex }) => {
      const { ms, length } = worstMs(regex);
      return ms > MOST_MS ? [`${place}: ${ms} ms for ${length} characters`] : [];
    });
    expect(slow).toEqual([]);
  });
});
