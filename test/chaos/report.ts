import type { Case, Finding } from './judge.ts';

/** One line of the table at the end. */
export type Line = { readonly what: string; readonly expected: string; readonly seen: string; readonly isOk: boolean };

const EXAMPLES = 10;

export function lineOf({ promise, cases }: Finding): Line {
  return { what: promise, expected: '0', seen: String(cases.length), isOk: cases.length === 0 };
}

/** Something that has to have happened, or the run proves little. */
export function atLeast(what: string, least: number, seen: number): Line {
  return { what, expected: `≥ ${least}`, seen: String(seen), isOk: seen >= least };
}

export function asTable(lines: readonly Line[]): string {
  const rows = lines.map(({ what, expected, seen, isOk }) => [what, expected, seen, isOk ? 'ok' : 'BROKEN']);
  const table = [['', 'expected', 'seen', ''], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => (row[column] ?? '').length)));
  const [first = 0, ...others] = widths;
  return table
    .map(([what = '', ...cells]) => {
      const columns = cells.map((cell, at) => cell.padStart(others[at] ?? 0));
      return `  ${what.padEnd(first)}  ${columns.join('  ')}`.trimEnd();
    })
    .join('\n');
}

/** What is known of the first cases: attempts, and the simulator's journal without numbers. */
export function showExamples(
  { promise, cases }: Finding,
  journal: readonly Readonly<Record<string, unknown>>[],
  attempts: ReadonlyMap<string, readonly object[]>,
): string {
  const shown = cases.slice(0, EXAMPLES).map((one) => showCase(one, journal, attempts));
  return `\n${promise}: ${cases.length}, of which the first ${shown.length}\n${shown.join('\n')}`;
}

function showCase(
  { uuid, sid, why }: Case,
  journal: readonly Readonly<Record<string, unknown>>[],
  attempts: ReadonlyMap<string, readonly object[]>,
): string {
  const { text } = journal.find((line) => line.kind === 'create' && line.sid === sid) ?? {};
  const about = journal.filter(
    (line) =>
      (sid !== null && line.sid === sid) ||
      (uuid !== null && line.m === uuid) ||
      (text !== undefined && line.text === text),
  );
  return [
    `- ${why}: message ${uuid ?? 'without a row'}, ${sid ?? 'no SID'}`,
    ...(attempts.get(uuid ?? '') ?? []).map((attempt) => `    attempt ${JSON.stringify(attempt)}`),
    ...about.map(({ to: _number, asked: _query, ...line }) => `    journal ${JSON.stringify(line)}`),
  ].join('\n');
}

const BAR = 30;
const PLAIN_EVERY_MS = 10_000;

/** A bar on a terminal, a plain line now and then elsewhere. */
export function createProgress(whole: number): { show(done: number, words: string): void; end(): void } {
  const { stderr } = process;
  let shownAt = Number.NEGATIVE_INFINITY;
  return {
    show: (done, words) => {
      const line = `${done}/${whole} ${words}`;
      if (stderr.isTTY) {
        const filled = Math.round((BAR * done) / whole);
        stderr.write(`\r\x1b[K[${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}] ${line}`);
      } else if (performance.now() - shownAt > PLAIN_EVERY_MS) {
        shownAt = performance.now();
        stderr.write(`${line}\n`);
      }
    },
    end: () => stderr.isTTY && stderr.write('\r\x1b[K'),
  };
}
