import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Db, openDb } from '../../src/db/db.ts';
import { reportStatusCounts } from '../../src/message/report.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

/** A message as this test remembers it; times in microseconds since 1970, as fine as the column. */
type Row = { uuid: string; trust: string; product: string; status: string | null; createdUs: number; isGone: boolean };
type Step = (db: Db, rows: Row[]) => Promise<void>;

const TAKES_MS = 120_000;
const RUNS = 120;
const DAY_US = 24 * 60 * 60 * 1_000_000;
const firstDayUs = Date.parse('2026-03-27T00:00:00Z') * 1000;
const trusts = ['ouh', 'rbh', 'Öuh'];
const products = ['gdm', 'send'];
const statuses = ['delivered', 'sent', null, 'null', '', '=1+1', 'DELIVERED', '__proto__', 'ünïcödé "👩🏽‍⚕️", \\ $1'];
/** Sessions of the service; London's clocks change within the days of this test. */
const zones = ['UTC', 'Europe/London', 'Pacific/Kiritimati', 'America/St_Johns'];

let database: TestDatabase;
const sessions: Db[] = [];

beforeAll(async () => {
  database = await createDatabase();
  for (const zone of zones) {
    const url = new URL(database.url);
    url.searchParams.set('options', `-c timezone=${zone}`);
    sessions.push(openDb({ url: url.href, poolSize: 1 }));
  }
});
afterAll(async () => {
  for (const session of sessions) await session.close();
  await database.drop();
});

/** Around midnight, to the microsecond, or anywhere in a day. */
const moment = fc
  .record({
    day: fc.integer({ min: 0, max: 6 }),
    ofDay: fc.oneof(
      fc.constantFrom(-1000, -1, 0, 1, 1000, DAY_US / 2),
      fc.integer({ min: 0, max: DAY_US / 1000 }).map((ms) => ms * 1000),
    ),
  })
  .map(({ day, ofDay }) => firstDayUs + day * DAY_US + ofDay);
const kind = fc.record({
  trust: fc.constantFrom(...trusts),
  product: fc.constantFrom(...products),
  status: fc.constantFrom(...statuses),
});

const sendOne = fc.record({ kind, createdUs: moment }).map(({ kind: of, createdUs }): Step => send(of, [createdUs]));
/** So many of one kind that they are counted from midnight to midnight. */
const sendMany = fc
  .record({
    kind,
    firstUs: moment,
    apartMs: fc.integer({ min: 60_000, max: 900_000 }),
    count: fc.integer({ min: 100, max: 400 }),
  })
  .map(
    ({ kind: of, firstUs, apartMs, count }): Step =>
      send(
        of,
        Array.from({ length: count }, (_, n) => firstUs + n * apartMs * 1000),
      ),
  );
const someRows = { from: fc.nat(), every: fc.integer({ min: 1, max: 7 }) };
const updateLate = fc.record({ ...someRows, status: fc.constantFrom(...statuses) }).map(
  ({ from, every, status }): Step =>
    async (db, rows) => {
      const chosen = choose(rows, from, every);
      for (const row of chosen) row.status = status;
      await change(db, 'UPDATE message SET status = $2, modified = now() WHERE uuid = ANY($1)', chosen, status);
    },
);
const moveToOtherTrust = fc.record({ ...someRows, trust: fc.constantFrom(...trusts) }).map(
  ({ from, every, trust }): Step =>
    async (db, rows) => {
      const chosen = choose(rows, from, every);
      for (const row of chosen) row.trust = trust;
      await change(db, 'UPDATE message SET trustomer_code = $2 WHERE uuid = ANY($1)', chosen, trust);
    },
);
const removal = (statement: string) =>
  fc.record(someRows).map(
    ({ from, every }): Step =>
      async (db, rows) => {
        const chosen = choose(rows, from, every);
        for (const row of chosen) row.isGone = true;
        await change(db, statement, chosen);
      },
  );
const deleteSoftly = removal('UPDATE message SET deleted = now() WHERE uuid = ANY($1)');
const deleteBySql = removal('DELETE FROM message WHERE uuid = ANY($1)');
const empty = fc.record(someRows).map(
  ({ from, every }): Step =>
    (db, rows) =>
      change(
        db,
        "UPDATE message SET content = '', content_emptied = now() WHERE uuid = ANY($1)",
        choose(rows, from, every),
      ),
);

const ends = fc.oneof(
  { weight: 7, arbitrary: fc.tuple(moment, moment).map((both) => both.toSorted((a, b) => a - b)) },
  { weight: 1, arbitrary: fc.tuple(moment, moment) },
);
const zone = fc.integer({ min: -15 * 60, max: 15 * 60 });
const question = fc.record({
  ends,
  startZone: zone,
  endZone: zone,
  trust: fc.option(fc.constantFrom(...trusts, 'nobody'), { freq: 2 }),
  product: fc.option(fc.constantFrom(...products), { freq: 2 }),
  session: fc.nat({ max: zones.length - 1 }),
});

test(
  'after sends, late updates, deletions and emptying, the report equals a count of the rows, for any range, tenant and session zone',
  async () => {
    const steps = fc.array(
      fc.oneof(
        { weight: 6, arbitrary: sendOne },
        { weight: 2, arbitrary: sendMany },
        ...[updateLate, moveToOtherTrust, deleteSoftly, deleteBySql, empty].map((arbitrary) => ({
          weight: 1,
          arbitrary,
        })),
      ),
      { minLength: 4, maxLength: 12 },
    );
    let counted = 0;
    await fc.assert(
      fc.asyncProperty(steps, fc.array(question, { minLength: 4, maxLength: 8 }), async (taken, questions) => {
        const [db] = sessions as [Db];
        await db.query({ text: 'TRUNCATE message' });
        const rows: Row[] = [];
        for (const step of taken) await step(db, rows);
        for (const asked of questions) {
          const report = await reportStatusCounts(sessions[asked.session] as Db, {
            start: isoAt(asked.ends[0] ?? 0, asked.startZone),
            end: isoAt(asked.ends[1] ?? 0, asked.endZone),
            trustomerCode: asked.trust,
            productName: asked.product,
          });
          const expected = countRows(rows, asked);
          expect(asLines(report)).toEqual(expected);
          counted += expected.length;
        }
      }),
      { numRuns: RUNS },
    );
    expect(counted).toBeGreaterThan(RUNS * 3);
  },
  TAKES_MS,
);

function send(of: Pick<Row, 'trust' | 'product' | 'status'>, times: number[]): Step {
  return async (db, rows) => {
    const sent = times.map((createdUs) => ({ ...of, uuid: randomUUID(), createdUs, isGone: false }));
    rows.push(...sent);
    await db.query({
      text: `
        INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status,
                             trustomer_code, product_name)
        SELECT uuid, created, 'test', created, 'test', '+447700900001', '+447700900123', 'A text.', $3, $4, $5
        FROM unnest($1::varchar[], $2::timestamp[]) AS sent (uuid, created)`,
      values: [
        sent.map(({ uuid }) => uuid),
        sent.map(({ createdUs }) => isoAt(createdUs, 0).slice(0, -6)),
        of.status,
        of.trust,
        of.product,
      ],
    });
  };
}

async function change(db: Db, text: string, rows: Row[], ...values: unknown[]): Promise<void> {
  await db.query({ text, values: [rows.map(({ uuid }) => uuid), ...values] });
}

function choose(rows: Row[], from: number, every: number): Row[] {
  return rows.filter(({ isGone }, n) => !isGone && n % every === from % every);
}

/** What the report should say, from what this test has done and nothing else. */
function countRows(rows: Row[], asked: { ends: number[]; trust: string | null; product: string | null }): string[] {
  const counts = new Map<string, number>();
  const [startUs = 0, endUs = 0] = asked.ends;
  for (const row of rows) {
    if (row.isGone || row.createdUs < startUs || row.createdUs > endUs) continue;
    if (asked.trust !== null && row.trust !== asked.trust) continue;
    if (asked.product !== null && row.product !== asked.product) continue;
    const cell = `${isoAt(row.createdUs, 0).slice(0, 10)} ${row.status ?? 'null'}`;
    counts.set(cell, (counts.get(cell) ?? 0) + 1);
  }
  return [...counts].map(([cell, count]) => `${cell}: ${count}`).sort();
}

function asLines(report: Record<string, Record<string, number>>): string[] {
  return Object.entries(report)
    .flatMap(([day, statusCounts]) =>
      Object.entries(statusCounts).map(([status, count]) => `${day} ${status}: ${count}`),
    )
    .sort();
}

/** That moment as the clocks `offsetMinutes` ahead of UTC show it, to the microsecond. */
function isoAt(us: number, offsetMinutes: number): string {
  const ms = Math.floor(us / 1000) + offsetMinutes * 60_000;
  const fraction = String(us - Math.floor(us / 1000) * 1000).padStart(3, '0');
  const ahead = Math.abs(offsetMinutes);
  const zone = [Math.floor(ahead / 60), ahead % 60].map((part) => String(part).padStart(2, '0')).join(':');
  return `${new Date(ms).toISOString().slice(0, -1)}${fraction}${offsetMinutes < 0 ? '-' : '+'}${zone}`;
}
