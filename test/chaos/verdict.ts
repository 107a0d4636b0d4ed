/** One line of a drill's result. `isKept` is there where something was promised, or aimed at. */
export type Verdict = {
  readonly what: string;
  readonly found: string | number;
  readonly expected?: string;
  readonly isKept?: boolean;
  /** An aim that is missed fails no drill; a promise that is broken does. */
  readonly isAim?: boolean;
};

export function mustBeZero(what: string, found: number): Verdict {
  return { what, found, expected: '0', isKept: found === 0 };
}

export function printVerdicts(title: string, verdicts: readonly Verdict[]): void {
  const rows = verdicts.map(({ what, found, expected = '', isKept, isAim = false }) => [
    what,
    typeof found === 'number' ? found.toLocaleString('en') : found,
    expected,
    isKept === undefined ? '' : wordFor(isKept, isAim),
  ]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  console.log(`\n${title}\n\n${lines.join('\n')}\n`);
}

export function isBroken(verdicts: readonly Verdict[]): boolean {
  return verdicts.some(({ isKept, isAim }) => isKept === false && isAim !== true);
}

function wordFor(isKept: boolean, isAim: boolean): string {
  if (isAim) return isKept ? 'met' : 'MISSED';
  return isKept ? 'kept' : 'BROKEN';
}

/** A line that overwrites itself, on a terminal only. */
export function showProgress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}
