import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Db, openDb } from '../../src/db/db.ts';
import { firstPoll, pauseAfterPoll, SILENT_AT_POLL } from '../../src/message/poll-schedule.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await createDatabase('empty');
  db = openDb({ url: database.url, poolSize: 1 });
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

/** What PostgreSQL makes of an expression, in minutes. */
async function minutesOf(interval: string): Promise<number | null> {
  const { rows } = await db.query<{ minutes: number | null }>({
    text: `SELECT (extract(epoch FROM ${interval}) / 60)::float8 AS minutes`,
  });
  return rows[0]?.minutes ?? null;
}

describe('The schedule of polls', () => {
  test('comes 10 min, 30 min, 2 h, 6 h, 24 h, 72 h and 7 days after the last news, and ends', async () => {
    const ages = [await minutesOf(firstPoll)];
    for (let n = 1; ; n += 1) {
      const pause = await minutesOf(pauseAfterPoll(String(n)));
      if (pause === null) break;
      ages.push((ages.at(-1) ?? 0) + pause);
    }
    expect(ages).toEqual([10, 30, 2 * 60, 6 * 60, 24 * 60, 72 * 60, 7 * 24 * 60]);
    expect(ages[SILENT_AT_POLL - 1]).toBe(72 * 60);
  });

  test('does not go on after polls that it does not have', async () => {
    for (const n of ['7', '8', '0', '-1', 'NULL::int']) expect(await minutesOf(pauseAfterPoll(n))).toBeNull();
  });
});
