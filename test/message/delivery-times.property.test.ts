import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Db, openDb } from '../../src/db/db.ts';
import {
  type DeliveryTimes,
  MOST_A_DAY,
  MOST_DAYS,
  MOST_READ_A_DAY,
  measureDeliveryTimes,
} from '../../src/message/delivery-times.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

/** Delivery times against a computation that knows nothing of SQL. Times are milliseconds since 1970. */
type Row = {
  readonly trust: string;
  readonly product: string;
  readonly status: string | null;
  readonly created: number;
  /** After `created`; null: no such time was kept. */
  readonly handedOver: number | null;
  readonly ended: number | null;
  readonly isDeleted: boolean;
};
type Asked = {
  readonly from: number;
  readonly to: number;
  readonly trust: string | null;
  readonly product: string | null;
};

const TAKES_MS = 120_000;
const RUNS = 100;
const DAY_MS = 86_400_000;
const first = Date.parse('2026-03-27T00:00:00Z');
const trusts = ['ouh', 'rbh', 'Öuh'];
const products = ['gdm', 'send'];

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await createDatabase();
  db = openDb({ url: `${database.url}?options=-c%20timezone%3DAmerica/St_Johns`, poolSize: 1 });
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

const moment = fc.oneof(
  fc.integer({ min: first, max: first + 4 * DAY_MS }),
  // The ends of days.
  fc
    .tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: -1, max: 1 }))
    .map(([day, ms]) => first + day * DAY_MS + ms),
);
const some = (max: number) => fc.option(fc.integer({ min: 0, max }), { freq: 8 });
const row: fc.Arbitrary<Row> = fc.record({
  trust: fc.constantFrom(...trusts),
  product: fc.constantFrom(...products),
  status: fc.constantFrom('delivered', 'delivered', 'delivered', 'read', 'undelivered', 'sent', 'Delivered', null),
  created: moment,
  handedOver: some(20_000),
  ended: some(300_000),
  isDeleted: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
});
const asked: fc.Arbitrary<Asked> = fc
  .record({
    ends: fc.tuple(moment, moment),
    isReversed: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    trust: fc.option(fc.constantFrom(...trusts, 'nobody'), { freq: 1 }),
    product: fc.option(fc.constantFrom(...products), { freq: 1 }),
  })
  .map(({ ends, isReversed, trust, product }) => {
    const [from = 0, to = 0] = isReversed ? ends.toSorted((a, b) => b - a) : ends.toSorted((a, b) => a - b);
    return { from, to, trust, product };
  });

const utc = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString().slice(0, -1));

async function insert(rows: readonly Row[]): Promise<void> {
  const values = rows.map((one) => ({
    uuid: randomUUID(),
    created: utc(one.created),
    status: one.status,
    trust: one.trust,
    product: one.product,
    handed_over: utc(one.handedOver === null ? null : one.created + one.handedOver),
    ended: utc(one.ended === null ? null : one.created + one.ended),
    deleted: utc(one.isDeleted ? one.created : null),
  }));
  await db.query({
    text: `
      INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, trustomer_code,
                           product_name, handed_over, ended, deleted)
      SELECT uuid, created, 'test', created, 'test', '+447700900001', '+447700900123', 'A text.', status, trust, product,
             handed_over, ended, deleted
      FROM jsonb_to_recordset($1::jsonb) AS sent (uuid varchar, created timestamp, status varchar, trust varchar, product varchar,
                                                  handed_over timestamp, ended timestamp, deleted timestamp)`,
    values: [JSON.stringify(values)],
  });
}

/** The value below which so much of them lies, between neighbours on a straight line. */
function percentile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const [low = 0, high = 0] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

function naively(
  rows: readonly Row[],
  { from, to, trust, product }: Asked,
): (DeliveryTimes & { day: string | null })[] {
  const taken = rows
    .filter(({ created, isDeleted }) => created >= from && created <= to && !isDeleted)
    .filter((one) => (trust ?? one.trust) === one.trust && (product ?? one.product) === one.product)
    .filter(({ status }) => status === 'delivered' || status === 'read')
    .flatMap(({ created, handedOver, ended }) =>
      handedOver === null || ended === null
        ? []
        : [{ day: new Date(created).toISOString().slice(0, 10), seconds: Math.max(0, ended - handedOver) / 1000 }],
    );
  const days = [null, ...[...new Set(taken.map(({ day }) => day))].sort()];
  return days.flatMap((day) => {
    const times = taken.filter((one) => day === null || one.day === day).map(({ seconds }) => seconds);
    const sorted = times.sort((a, b) => a - b);
    const [medianS, p95S] = [percentile(sorted, 0.5), percentile(sorted, 0.95)];
    return sorted.length === 0 ? [] : [{ day, count: sorted.length, medianS, p95S }];
  });
}

const measure = ({ from, to, trust, product }: Asked) =>
  measureDeliveryTimes(db, {
    start: new Date(from).toISOString(),
    end: new Date(to).toISOString(),
    trustomerCode: trust,
    productName: product,
  });

const close = (rows: readonly (DeliveryTimes & { day: string | null })[]) =>
  rows.map((one) => ({ ...one, medianS: expect.closeTo(one.medianS, 6), p95S: expect.closeTo(one.p95S, 6) }));

describe('Delivery times', () => {
  test(
    'are those of a naive computation, for any rows and any question',
    async () => {
      let measured = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(row, { maxLength: 80, size: 'max' }),
          fc.array(asked, { minLength: 3, maxLength: 6 }),
          async (rows, questions) => {
            await db.query({ text: 'TRUNCATE message' });
            await insert(rows);
            for (const question of questions) {
              const expected = naively(rows, question);
              expect(await measure(question)).toEqual(close(expected));
              measured += expected.length;
            }
          },
        ),
        { seed: 20_261_124, numRuns: RUNS },
      );
      expect(measured).toBeGreaterThan(RUNS * 3);
    },
    TAKES_MS,
  );

  const delivered = (n: number, created: number): Row => ({
    trust: trusts[n % 3] ?? '',
    product: 'gdm',
    status: n % 7 === 0 ? 'read' : 'delivered',
    created,
    handedOver: 0,
    ended: n,
    isDeleted: false,
  });
  const whole = { from: first, to: first + 4 * DAY_MS - 1, trust: null, product: null };

  test.each([null, 'gdm'])(
    'look at the newest 200 delivered ones of each day, whose they may be (product: %s)',
    async (product) => {
      await db.query({ text: 'TRUNCATE message' });
      const rowsOf = (day: number) =>
        Array.from({ length: MOST_A_DAY + 150 }, (_, n) => delivered(n * (day + 1), first + day * DAY_MS + n * 1000));
      const days = [0, 1, 3].map(rowsOf);
      await insert(days.flat());
      const question = { ...whole, product };
      const newest = days.flatMap((rows) => rows.slice(-MOST_A_DAY));
      expect(await measure(question)).toEqual(close(naively(newest, question)));
    },
  );

  test('look no further back than 92 days that have messages, however far apart they are', async () => {
    await db.query({ text: 'TRUNCATE message' });
    const rows = Array.from({ length: MOST_DAYS + 3 }, (_, n) => delivered(n, first - 10 * n * DAY_MS));
    await insert(rows);
    for (const trust of [null, 'ouh']) {
      const question = { ...whole, from: first - 10_000 * DAY_MS, trust };
      const newest = trust === null ? rows.slice(0, MOST_DAYS) : rows;
      expect(await measure(question)).toEqual(close(naively(newest, question)));
    }
  });

  test('of everybody’s messages, are looked for among the newest 1,000 of a day', async () => {
    await db.query({ text: 'TRUNCATE message' });
    const early = Array.from({ length: 20 }, (_, n) => delivered(n, first + n));
    const failed = Array.from({ length: MOST_READ_A_DAY - 5 }, (_, n) => ({
      ...delivered(n, first + 1000 + n),
      status: 'undelivered',
    }));
    await insert([...early, ...failed]);
    expect(await measure(whole)).toEqual(close(naively(early.slice(-5), whole)));
    const ofOne = { ...whole, product: 'gdm' };
    expect(await measure(ofOne)).toEqual(close(naively(early, ofOne)));
  });
});
