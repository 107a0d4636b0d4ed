import type { TestService } from './service.ts';

/** Words and digits that occur nowhere else: found anywhere, they came from a patient's message. */
export const SENDER = '+447700900001';
export const RECEIVER = '+447700900877';
export const canaries = /canary|tweety|7700 ?900 ?877/i;

let texts = 0;

/** A text of its own. */
export function canaryText(): string {
  texts += 1;
  return `Canary ${texts}: Mrs Tweety, your test is on Monday.`;
}

/** Every column of every table that holds a match, as `table.column`, in the order of the alphabet. */
export async function placesWith(service: Pick<TestService, 'query'>, pattern: RegExp): Promise<string[]> {
  const columns = await service.query<{ table: string; column: string }>(
    `SELECT table_name AS table, column_name AS column FROM information_schema.columns
     WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`,
  );
  const places: string[] = [];
  for (const { table, column } of columns) {
    const [found] = await service.query<{ found: boolean }>(
      `SELECT EXISTS (SELECT FROM "${table}" WHERE "${column}"::text ~* $1) AS found`,
      [pattern.source],
    );
    if (found?.found) places.push(`${table}.${column}`);
  }
  return places.toSorted();
}
