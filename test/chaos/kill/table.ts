import type { KillPoint } from './point.ts';

/** How the runs of a point ended. */
export type Played = {
  readonly point: KillPoint;
  readonly runs: number;
  readonly exact: number;
  readonly longestMs: number;
};

export function isExact({ runs, exact }: Played): boolean {
  return exact === runs;
}

export function asTable(played: readonly Played[]): string {
  const rows = played.map((one) => [
    one.point.id,
    one.point.inWords,
    String(one.runs),
    String(one.exact),
    `${(one.longestMs / 1000).toFixed(0)} s`,
    isExact(one) ? '' : 'NOT EXACT',
    one.point.endState,
  ]);
  const head = ['point', 'what dies, and where', 'runs', 'exact', 'longest', '', 'what must be in the end'];
  const table = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return lines.join('\n');
}
