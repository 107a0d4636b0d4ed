import { cpus } from 'node:os';

/** One measured line: what, how much, beside which floor or target of the same run. */
export type Measurement = {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** The same on a program that does only the unavoidable, measured in the same run. */
  readonly floor?: number;
  /** In the words of the issue that asked for it. */
  readonly target?: string;
  readonly isMet?: boolean;
};

/** A benchmark reports its progress in words and answers what it measured. */
export type Benchmark = {
  readonly name: string;
  readonly run: (progress: (line: string) => void) => Promise<Measurement[]>;
};

/** Runs one benchmark after another and prints a table, or JSON for machines. */
export async function runBenchmarks(benchmarks: readonly Benchmark[], { json }: { json: boolean }): Promise<void> {
  const measurements: Measurement[] = [];
  for (const { name, run } of benchmarks) {
    const show = (text: string) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`);
    measurements.push(...(await run((line) => show(`${name}: ${line}`))));
    show('');
  }
  console.log(json ? JSON.stringify({ machine: machine(), measurements }, null, 2) : asTable(measurements));
}

function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} × ${cpu?.model.trim() ?? 'unknown CPU'}, Node ${process.version}`;
}

function asTable(measurements: readonly Measurement[]): string {
  const rows = measurements.map(({ what, value, unit, floor, target, isMet }) => [
    what,
    `${round(value)} ${unit}`,
    floor === undefined ? '' : `${round(floor)} ${unit}`,
    floor === undefined ? '' : (value / floor).toFixed(2),
    target ?? '',
    isMet === undefined ? '' : isMet ? 'met' : 'MISSED',
  ]);
  const table = [['what', 'measured', 'floor', 'ratio', 'target', ''], ...rows];
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((row) => (row[column] ?? '').length)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${machine()}\n\n${lines.join('\n')}\n`;
}

function round(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}
