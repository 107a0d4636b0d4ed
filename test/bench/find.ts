import { createHash } from 'node:crypto';
import { get } from 'node:http';
import { migrateUp } from '../../src/db/migrate.ts';
import { setStage } from '../chaos/stage.ts';
import { execute, withDatabase } from '../support/postgres.ts';
import { type Run, run, startFlags } from '../support/process.ts';
import type { Benchmark, Measurement } from './harness.ts';
import { load, residentMb } from './load.ts';

/** Finding messages among a few and among very many, and reading all of them, beside a bare program on the same rows. */
const FEW = 10_000;
const MANY = 1_000_000;
const LOOKS = 500;
const LOOK_ROUNDS = 5;
const LISTS = 2;
const FIRST_BYTES = 9;
const MAX_GROWTH = 1.5;
const MAX_FIRST_BYTE_MS = 200;
const MAX_MB_ABOVE_IDLE = 60;
const MIN_RATIO = 0.8;
const headers = { 'x-trustomer': 'ouh', 'x-product': 'gdm' };

const find: Benchmark = {
  name: 'finding messages',
  run: async (progress) => {
    const started = new AsyncDisposableStack();
    try {
      const stage = await setStage({ seed: 1, speed: 0, postgresSettings: { max_wal_size: '4GB' } });
      started.defer(() => stage.stop());
      const fewUrl = withDatabase(stage.databaseUrl, 'few');
      await execute(stage.databaseUrl, 'CREATE DATABASE few');
      await migrateUp(fewUrl);
      progress(`writing ${MANY} rows`);
      await insertRows(fewUrl, FEW);
      await insertRows(stage.databaseUrl, MANY);

      const few = await stage.startReplica({ DATABASE_URL: fewUrl }, startFlags);
      const many = await stage.startReplica({}, startFlags);
      const floor = run('test/bench/floor-list.ts', [stage.databaseUrl], {});
      started.defer(async () => {
        floor.child.kill();
        await floor.ended;
      });
      const [floorUrl] = await floor.printed(/http:\/\/127\.0\.0\.1:\d+/);
      return [
        ...(await compareLooks(few.baseUrl, many.baseUrl, progress)),
        ...(await compareLists(many, floorUrl, progress)),
      ];
    } finally {
      await started.disposeAsync();
    }
  },
};

export const findBenchmarks: readonly Benchmark[] = [find];

/** Messages as they are after their life, one a second; number n has the uuid of n. */
async function insertRows(databaseUrl: string, count: number): Promise<void> {
  await execute(
    databaseUrl,
    `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, receiver_e164, content, status,
                          twilio_sid, trustomer_code, product_name, redacted)
     SELECT lpad(to_hex(n), 32, '0')::uuid, at, 'unknown', at + interval '2 seconds', 'unknown', '+447700900001', number, number,
       'Your appointment is on Monday at 10:00, in room ' || n || '. Reply STOP to opt out.', 'delivered',
       'SM' || lpad(to_hex(n), 32, '0'), 'ouh', 'gdm', at + interval '2 seconds'
     FROM generate_series(1, ${count}) AS n,
       LATERAL (SELECT timestamp '2025-01-01' + n * interval '1.001 seconds' AS at, '+447700900' || lpad((n % 1000)::text, 3, '0') AS number)`,
  );
  await execute(databaseUrl, 'VACUUM ANALYZE message');
}

const hexOf = (n: number) => n.toString(16).padStart(32, '0');
const sidOf = (n: number) => `SM${hexOf(n)}`;
const uuidOf = (n: number) => hexOf(n).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

const pathsOf: Readonly<Record<string, (n: number) => string>> = {
  'get by id': (n) => `/dhos/v1/sms/${uuidOf(n)}`,
  'limit=50': () => '/dhos/v1/sms?limit=50',
  'twilio_sid=': (n) => `/dhos/v1/sms?twilio_sid=${sidOf(n)}`,
};

/** Each kind of look among few rows and among many, by turns; the best round counts, for what disturbs the machine must not. */
async function compareLooks(few: string, many: string, progress: (line: string) => void): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (const [what, pathOf] of Object.entries(pathsOf)) {
    const [fewMs, manyMs]: [number[], number[]] = [[], []];
    for (let round = 1; round <= LOOK_ROUNDS; round += 1) {
      progress(`${what}, round ${round} of ${LOOK_ROUNDS}`);
      fewMs.push(await look(few, pathOf, FEW));
      manyMs.push(await look(many, pathOf, MANY));
    }
    const [value, floor] = [Math.min(...manyMs), Math.min(...fewMs)];
    const target = `≤ ${MAX_GROWTH} × among ${FEW.toLocaleString('en')}`;
    const isMet = value <= MAX_GROWTH * floor;
    measurements.push({ what: `${what} among 1,000,000`, value, unit: 'ms', floor, target, isMet });
  }
  return measurements;
}

/** Milliseconds of a look, one after another over one connection, at rows that lie far apart. */
async function look(url: string, pathOf: (n: number) => string, rows: number): Promise<number> {
  const request = (n: number) => ({ method: 'GET' as const, path: pathOf(1 + ((n * 7919) % rows)), headers });
  return ((await load({ url, connections: 1, count: LOOKS, expected: 200, request })).seconds * 1000) / LOOKS;
}

async function compareLists(service: Run & { baseUrl: string }, floorUrl: string, progress: (line: string) => void) {
  const serviceUrl = `${service.baseUrl}/dhos/v1/sms`;
  const idleMb = residentMb(service.child.pid ?? 0);
  let peakMb = 0;
  const watch = setInterval(() => {
    peakMb = Math.max(peakMb, residentMb(service.child.pid ?? 0));
  }, 20);
  const ours: Read[] = [];
  const bare: Read[] = [];
  for (let n = 1; n <= LISTS; n += 1) {
    progress(`the list of ${MANY}, round ${n} of ${LISTS}`);
    ours.push(await readList(serviceUrl));
    bare.push(await readList(floorUrl));
  }
  clearInterval(watch);
  const hashes = new Set([...ours, ...bare].map(({ hash }) => hash));
  if (hashes.size !== 1) throw new Error('the lists differ');
  const rate = { value: rowsPerSecond(ours), floor: rowsPerSecond(bare) };
  const firstByteMs = await typicalFirstByteMs(serviceUrl);
  return [
    {
      what: 'list of 1,000,000',
      ...rate,
      unit: 'rows/s',
      target: `≥ ${MIN_RATIO} of the bare program`,
      isMet: rate.value >= MIN_RATIO * rate.floor,
    },
    {
      what: '  first byte, median',
      value: firstByteMs,
      unit: 'ms',
      target: `≤ ${MAX_FIRST_BYTE_MS} ms`,
      isMet: firstByteMs <= MAX_FIRST_BYTE_MS,
    },
    {
      what: '  memory above idle, at most',
      value: peakMb - idleMb,
      unit: 'MB',
      target: `≤ ${MAX_MB_ABOVE_IDLE} MB`,
      isMet: peakMb - idleMb <= MAX_MB_ABOVE_IDLE,
    },
  ];
}

function rowsPerSecond(reads: readonly Read[]): number {
  return (MANY * reads.length) / reads.reduce((sum, { seconds }) => sum + seconds, 0);
}

/** Of lists that are begun and not read on; each has to open a connection to PostgreSQL or finds one that is left. */
async function typicalFirstByteMs(url: string): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < FIRST_BYTES; n += 1) times.push((await readList(url, { isCutShort: true })).firstByteMs);
  return times.toSorted((a, b) => a - b)[Math.floor(FIRST_BYTES / 2)] ?? 0;
}

type Read = { readonly seconds: number; readonly firstByteMs: number; readonly hash: string };

function readList(url: string, { isCutShort } = { isCutShort: false }): Promise<Read> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const elapsedMs = () => performance.now() - began;
    const request = get(url, { headers, agent: false }, (response) => {
      let firstByteMs = 0;
      const hash = createHash('sha1');
      const done = () => resolve({ seconds: elapsedMs() / 1000, firstByteMs, hash: hash.digest('hex') });
      response.once('data', () => {
        firstByteMs = elapsedMs();
        if (isCutShort) {
          done();
          request.destroy();
        }
      });
      response.on('data', (chunk: Buffer) => isCutShort || hash.update(chunk));
      response.on('error', (error) => isCutShort || reject(error));
      response.on('end', done);
    });
    request.on('error', reject);
  });
}
