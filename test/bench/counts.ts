import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { type Db, openDb } from '../../src/db/db.ts';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { reportStatusCounts } from '../../src/message/report.ts';
import { writeLives } from './counts-writes.ts';
import type { Benchmark, Measurement } from './harness.ts';
import { cpuSeconds } from './load.ts';

/** So long a time the messages are spread over; the report asks for the last 31 of them. */
const DAYS = 365;
/** Many, because one that nobody disturbs is looked for. */
const ROUNDS = 25;
const WRITING_ROUNDS = 8;
const MESSAGES = 500;
const end = '2026-11-24T06:30:00.000Z';
const start = '2026-10-24T06:30:00.000Z';

const everybody = { trustomerCode: null, productName: null };
const oneTenant = { trustomerCode: 'ouh', productName: 'gdm' };

/**
 * The report over 31 days among so many messages of three trusts, beside the original's form of query on the same data; and
 * what its index costs each write.
 */
export function countsBenchmark(rows: number): Benchmark {
  return {
    name: `counts among ${rows.toLocaleString('en')}`,
    run: async (progress) => {
      await using database = await startDatabase();
      const { client, db } = database;
      progress('filling the table');
      await fill(client, rows);
      const measurements = [
        await compare(db, client, { who: 'one tenant', filter: oneTenant, targetMs: 100 }),
        await compare(db, client, { who: 'all tenants', filter: everybody, targetMs: 250 }),
      ];
      progress('writing with and without the index');
      measurements.push([await compareWrites(client)]);
      progress('a day that VACUUM has not seen');
      await changeLastDay(client);
      const ms = await fastest(() => report(db, everybody));
      const what = "  all tenants, the last day's messages updated four times since VACUUM";
      measurements.splice(2, 0, [{ what, value: ms, unit: 'ms', target: '≤ 250 ms', isMet: ms <= 250 }]);
      return measurements.flat();
    },
  };
}

type Asked = { readonly trustomerCode: string | null; readonly productName: string | null };

async function compare(
  db: Db,
  client: pg.Client,
  { who, filter, targetMs }: { who: string; filter: Asked; targetMs: number },
): Promise<Measurement[]> {
  const [ours, original] = [await report(db, filter), await originalForm(client, filter)];
  if (ours.total !== original.total)
    throw new Error(`the report counted ${ours.total}, the rows are ${original.total}`);
  const ms = await fastest(() => report(db, filter));
  const originalMs = await fastest(() => originalForm(client, filter));
  const faster = originalMs / ms;
  return [
    {
      what: `counts: 31 days, ${who}, ${ours.total.toLocaleString('en')} messages`,
      value: ms,
      unit: 'ms',
      floor: originalMs,
      target: `≤ ${targetMs} ms`,
      isMet: ms <= targetMs,
    },
    {
      what: "  times as fast as the original's form of query",
      value: faster,
      unit: '×',
      target: '≥ 5',
      isMet: faster >= 5,
    },
  ];
}

type Counted = { readonly total: number; readonly ms: number };

async function report(db: Db, filter: Asked): Promise<Counted> {
  const began = performance.now();
  const days = await reportStatusCounts(db, { start, end, ...filter });
  const ms = performance.now() - began;
  return { total: sum(Object.values(days).flatMap((statuses) => Object.values(statuses))), ms };
}

/** As it was before this report had an index of its own, which PostgreSQL would use for this form of query, too. */
async function originalForm(client: pg.Client, filter: Asked): Promise<Counted> {
  await client.query('BEGIN');
  await client.query('DROP INDEX message_by_status');
  const began = performance.now();
  const { rows } = await client.query<{ count: string }>(
    `SELECT substr(cast(created AS varchar), 1, 10) AS day, status, count(*) AS count FROM message
     WHERE created >= $1 AND created <= $2 AND deleted IS NULL
       ${filter.trustomerCode === null ? '' : `AND trustomer_code = '${filter.trustomerCode}'`}
       ${filter.productName === null ? '' : `AND product_name = '${filter.productName}'`}
     GROUP BY 1, 2`,
    [start.slice(0, -1), end.slice(0, -1)],
  );
  const ms = performance.now() - began;
  await client.query('ROLLBACK');
  return { total: sum(rows.map((row) => Number(row.count))), ms };
}

/**
 * By turns, each in a transaction that is taken back, so that every round finds the same table and the index comes back at
 * once. What counts is the CPU of PostgreSQL's process: however busy the machine, an index costs that.
 */
async function compareWrites(client: pg.Client): Promise<Measurement> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const pid = rows[0]?.pid ?? 0;
  const secondsFor = async (hasIndex: boolean) => {
    await client.query('BEGIN');
    if (!hasIndex) await client.query('DROP INDEX message_by_status');
    const before = cpuSeconds(pid);
    await writeLives(client, MESSAGES);
    const seconds = cpuSeconds(pid) - before;
    await client.query('ROLLBACK');
    return seconds;
  };
  await secondsFor(true);
  const seconds = { with: 0, without: 0 };
  for (let n = 0; n < WRITING_ROUNDS; n += 1) {
    const order = n % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const);
    for (const which of order) seconds[which] += await secondsFor(which === 'with');
  }
  const perSecond = (taken: number) => (MESSAGES * WRITING_ROUNDS) / taken;
  return {
    what: '  messages written through their life in a second of CPU, beside no such index',
    value: perSecond(seconds.with),
    unit: '/s',
    floor: perSecond(seconds.without),
    target: '≥ 0.9',
    isMet: seconds.without / seconds.with >= 0.9,
  };
}

async function startDatabase() {
  const started = new AsyncDisposableStack();
  const folder = await mkdtemp(path.join(tmpdir(), 'polaris-sms-counts-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  // Started by root, PostgreSQL runs as `nobody`, who must reach it.
  await chmod(folder, 0o755);
  const postgres = await startEmbeddedPostgres({ dataDir: folder, database: 'sms' });
  started.defer(() => postgres.stop());
  await migrateUp(postgres.url);
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  started.defer(() => client.end());
  const db = openDb({ url: postgres.url, poolSize: 1 });
  started.defer(() => db.close());
  return { client, db, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

/** Indexes are made afterwards, which is faster; a VACUUM in the middle of a measurement would be somebody else's work. */
async function fill(client: pg.Client, rows: number): Promise<void> {
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    `SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
     WHERE indrelid = 'message'::regclass AND NOT indisprimary`,
  );
  await client.query(`DROP INDEX ${indexes.map(({ name }) => name).join(', ')}`);
  await client.query('ALTER TABLE message SET (autovacuum_enabled = off)');
  await client.query(
    `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, twilio_sid,
                          trustomer_code, product_name, deleted, redacted, handed_over, receiver_e164)
     SELECT gen_random_uuid(), created, 'unknown', created + interval '1 minute', 'unknown', '+447700900001', receiver,
       'A text of about the length that a reminder of an appointment has.',
       CASE WHEN chance < 0.93 THEN 'delivered' WHEN chance < 0.95 THEN 'undelivered' WHEN chance < 0.97 THEN 'sent'
         WHEN chance < 0.985 THEN 'failed' WHEN chance < 0.99 THEN 'error' WHEN chance < 0.999 THEN 'queued' END,
       'SM' || md5(n::text), (ARRAY['ouh', 'rbh', 'kch'])[1 + n % 3], (ARRAY['gdm', 'send'])[1 + n / 3 % 2],
       CASE WHEN n % 97 = 0 THEN created + interval '1 hour' END, created + interval '1 minute',
       created + interval '1 second', receiver
     FROM (SELECT n, random() AS chance, '+447700900' || lpad((n % 1000)::text, 3, '0') AS receiver,
             date_trunc('milliseconds', $1::timestamp - n * interval '1 day' * $2::float8) AS created
           FROM generate_series($3::integer, 1, -1) n) made`,
    [end.slice(0, -1), DAYS / rows, rows],
  );
  for (const { definition } of indexes) await client.query(definition);
  await client.query('VACUUM (ANALYZE) message');
}

async function changeLastDay(client: pg.Client): Promise<void> {
  for (const status of ['queued', 'sending', 'sent', 'delivered']) {
    await client.query(
      `UPDATE message SET status = $1, modified = now() WHERE created > $2::timestamp - interval '1 day' AND status IS NOT NULL`,
      [status, end.slice(0, -1)],
    );
  }
}

async function fastest(measure: () => Promise<Counted>): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < ROUNDS; n += 1) times.push((await measure()).ms);
  return Math.min(...times);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
