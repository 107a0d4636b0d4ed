import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parse } from 'yaml';
import { cpuSeconds, residentMb } from '../bench/load.ts';
import { startFlags } from '../support/process.ts';
import { startBalancer } from './balancer.ts';
import { readKnobs } from './knobs.ts';
import { startLoad } from './rolling-load.ts';
import { type Replica, type Stage, setStage } from './stage.ts';
import { isBroken, printVerdicts, showProgress, type Verdict } from './verdict.ts';

/** `make soak`: the same load for a long time, on a bad day at Twilio; what grows, what waits, and which statements cost most. */

const help = `Ten minutes of mixed load with faults: posts, look-ups, lists, counts, callbacks, redactions, bulk updates.

  --seconds N   how long (600)
  --rate N      requests a second (60)
  --seed N      of the simulator and the load (1)
  --help        this text

Exits 1 when memory grows by 1 MB a minute or more over the last two thirds, or passes 300 MB.
`;

const { seconds, rate, seed } = readKnobs(help, { seconds: 600, rate: 60, seed: 1 }, []);
const MAX_SLOPE_MB = 1;
const MAX_MB = 300;
const BULK_UPDATE_EVERY_S = 60;
/** Texts live ten times as fast as real ones, so that each has ended, and is redacted, long before the end. */
const SPEED = 10;
const STATEMENTS = 8;

type Sample = { readonly atS: number; readonly mb: number; readonly lagMs: number; readonly connections: number };

const scenario = parse(readFileSync(new URL('../../scenarios/a-bad-day.yaml', import.meta.url), 'utf8'));
const balancer = await startBalancer();
const stage = await setStage({
  seed,
  speed: SPEED,
  scenario,
  callbackUrl: `${balancer.url}/dhos/v1/sms/callback`,
  postgresSettings: { shared_preload_libraries: 'pg_stat_statements' },
});
try {
  const hasStatements = await stage.query('CREATE EXTENSION pg_stat_statements').then(
    () => true,
    () => false,
  );
  const replica = await stage.startReplica({ SETTLE_MS: '3000', LOG_LEVEL: 'ERROR' }, startFlags);
  balancer.add(replica.baseUrl);
  while (balancer.ready() === 0) await delay(50);
  const load = startLoad({ url: balancer.url, rate, seed });
  const cpuBefore = cpuSeconds(replica.child.pid ?? 0);
  const samples = await soak(replica);
  await load.stop();
  const verdicts: Verdict[] = [
    { what: 'requests', found: Object.values(load.sent).reduce((a, b) => a + b, 0) },
    { what: 'of these, POSTs', found: load.sent.POST },
    { what: 'not answered as on a good day', found: load.failures.length, expected: 'some' },
    {
      what: 'CPU of the service',
      found: `${Math.round((100 * (cpuSeconds(replica.child.pid ?? 0) - cpuBefore)) / seconds)} % of a core`,
    },
    ...judgeMemory(samples),
    {
      what: 'event loop, p99 of its delay: median and highest of the seconds',
      found: `${median(samples.map(({ lagMs }) => lagMs)).toFixed(1)} ms, ${Math.max(...samples.map(({ lagMs }) => lagMs)).toFixed(1)} ms`,
    },
    { what: 'database connections, the most', found: Math.max(...samples.map(({ connections }) => connections)) },
    ...(await judgeTables(stage)),
  ];
  showProgress('');
  printVerdicts(`Soak of ${seconds} s at ${rate} requests a second, seed ${seed}`, verdicts);
  console.log(hasStatements ? await slowest(stage) : 'pg_stat_statements is not there: no statements to tell of.');
  if (isBroken(verdicts)) process.exitCode = 1;
} finally {
  await stage.stop();
  await balancer.close();
}

/** A look every second, and a bulk update every minute, until the time is over. */
async function soak(replica: Replica): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let atS = 1; atS <= seconds; atS += 1) {
    await delay(1_000);
    samples.push({ atS, ...(await look(replica)) });
    if (atS % BULK_UPDATE_EVERY_S === 0)
      void fetch(`${replica.baseUrl}/dhos/v1/sms/bulk_update`, { method: 'POST' }).catch(() => {});
    if (atS % 10 === 0) await count(replica);
    showProgress(`${atS} of ${seconds} s, ${Math.round(samples.at(-1)?.mb ?? 0)} MB`);
  }
  return samples;
}

async function look(replica: Replica): Promise<Omit<Sample, 'atS'>> {
  const metrics = await (await fetch(`${replica.baseUrl}/metrics`)).text();
  const [row] = await stage.query<{ n: number }>(
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
  );
  return {
    mb: residentMb(replica.child.pid ?? 0),
    lagMs: 1000 * Number(/^nodejs_eventloop_lag_p99_seconds (\S+)$/m.exec(metrics)?.[1] ?? 0),
    connections: row?.n ?? 0,
  };
}

async function count(replica: Replica): Promise<void> {
  const day = new Date().toISOString().slice(0, 10);
  const query = `start_date=${day}T00:00:00Z&end_date=${day}T23:59:59Z`;
  await (await fetch(`${replica.baseUrl}/dhos/v1/sms_status_counts?${query}`)).arrayBuffer();
}

function judgeMemory(samples: readonly Sample[]): Verdict[] {
  const settled = samples.slice(Math.floor(samples.length / 3));
  const slope = 60 * slopeOf(settled.map(({ atS, mb }) => [atS, mb]));
  const most = Math.max(...samples.map(({ mb }) => mb));
  return [
    {
      what: 'memory, growth over the last two thirds',
      found: `${slope.toFixed(2)} MB a minute`,
      expected: `< ${MAX_SLOPE_MB}`,
      // A short soak shows the warming up and nothing else.
      ...(seconds >= 300 && { isKept: slope < MAX_SLOPE_MB }),
    },
    { what: 'memory, the most', found: `${Math.round(most)} MB`, expected: `≤ ${MAX_MB} MB`, isKept: most <= MAX_MB },
  ];
}

/** Of the straight line that fits best. */
function slopeOf(points: readonly (readonly [number, number])[]): number {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const above = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return above / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

/** Dead rows that autovacuum has not come to, and how large each table is. */
async function judgeTables({ query }: Stage): Promise<Verdict[]> {
  const rows = await query<{ name: string; live: string; dead: string; vacuums: string; size: string }>(`
    SELECT relname AS name, n_live_tup AS live, n_dead_tup AS dead, autovacuum_count AS vacuums,
           pg_size_pretty(pg_total_relation_size(relid)) AS size
    FROM pg_stat_user_tables WHERE n_live_tup > 100 ORDER BY pg_total_relation_size(relid) DESC`);
  return rows.map(({ name, live, dead, vacuums, size }) => ({
    what: `table ${name}`,
    found: `${size}, ${live} rows, ${dead} dead, ${vacuums} × vacuumed`,
  }));
}

async function slowest({ query }: Stage): Promise<string> {
  const rows = await query<{ ms: number; calls: string; mean: number; text: string }>(
    `SELECT total_exec_time AS ms, calls, mean_exec_time AS mean, regexp_replace(query, '\\s+', ' ', 'g') AS text
     FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT $1`,
    [STATEMENTS],
  );
  const lines = rows.map(
    ({ ms, calls, mean, text }) =>
      `${(ms / 1000).toFixed(1).padStart(8)} s ${String(calls).padStart(9)} × ${mean.toFixed(2).padStart(8)} ms  ${text.trim().slice(0, 90)}`,
  );
  return `The statements that took longest\n\n${lines.join('\n')}\n`;
}
