import { Pool } from 'undici';
import { plainReceiver, SENDER } from '../chaos/copied-rows.ts';
import { account, type Stage, setStage } from '../chaos/stage.ts';
import { type Run, run } from '../support/process.ts';
import type { Benchmark, Measurement } from './harness.ts';

/**
 * Retention over a table of old messages, half of them emptied already, while texts are sent at a steady rate: by the same process,
 * in turns with and without retention, so that what disturbs the machine for a while disturbs both.
 */
const SIZES = { usual: { rows: 200_000, rounds: 3, roundS: 5 }, big: { rows: 5_000_000, rounds: 4, roundS: 20 } };
const INSERT_TOGETHER = 100_000;
const LATENCY_MS = 50;
const POSTS_PER_S = 50;
const WARM_UP_S = 3;
const LONGEST_STATEMENT_MS = 2_000;
const MOST_TIMES_P99 = 2;

type Ran = { readonly text: number; readonly tookMs: number; readonly longestMs: number };

export const retentionBenchmarks = ({ big }: { big: boolean }): readonly Benchmark[] => [
  {
    name: 'retention',
    run: async (progress) => {
      const size = big ? SIZES.big : SIZES.usual;
      await using started = new AsyncDisposableStack();
      const stage = await setStage({ seed: 1, speed: 0 });
      started.defer(() => stage.stop());
      await insertOldMessages(stage, size.rows, progress);
      const { service, port } = await startRetaining(stage, started);
      const http = new Pool(`http://127.0.0.1:${port}`, { connections: 64 });
      started.defer(() => http.destroy());
      await post(http, WARM_UP_S);
      const without: number[] = [];
      const meanwhile: number[] = [];
      const runs: Ran[] = [];
      for (let round = 1; round <= size.rounds; round += 1) {
        progress(`round ${round} of ${size.rounds}`);
        without.push(...(await post(http, size.roundS)));
        const before = service.output().length;
        service.child.kill('SIGUSR1');
        meanwhile.push(...(await post(http, size.roundS)));
        service.child.kill('SIGUSR2');
        runs.push(await ranSince(service, before));
      }
      return measured(size.rows, runs, without, meanwhile);
    },
  },
];

function measured(rows: number, runs: readonly Ran[], without: number[], meanwhile: number[]): Measurement[] {
  const emptied = runs.reduce((sum, { text }) => sum + text, 0);
  const tookS = runs.reduce((sum, { tookMs }) => sum + tookMs, 0) / 1000;
  const longestMs = Math.max(...runs.map((one) => one.longestMs));
  const [floor, value] = [p99(without), p99(meanwhile)];
  return [
    {
      what: `retention over ${rows.toLocaleString('en')} rows: its longest statement`,
      value: longestMs,
      unit: 'ms',
      target: `≤ ${LONGEST_STATEMENT_MS} ms`,
      isMet: longestMs <= LONGEST_STATEMENT_MS,
    },
    {
      what: `  POST p99 meanwhile (${POSTS_PER_S}/s, Twilio answers after ${LATENCY_MS} ms), beside that without it`,
      value,
      unit: 'ms',
      floor,
      target: `< ${MOST_TIMES_P99} ×`,
      isMet: value < MOST_TIMES_P99 * floor,
    },
    { what: `  texts and numbers emptied (${emptied.toLocaleString('en')})`, value: emptied / tookS, unit: '/s' },
  ];
}

/** Messages of the last two years, oldest first; the older half is emptied. Each second one has a callback. */
async function insertOldMessages(stage: Stage, rows: number, progress: (line: string) => void): Promise<void> {
  for (let from = 0; from < rows; from += INSERT_TOGETHER) {
    progress(`${from.toLocaleString('en')} of ${rows.toLocaleString('en')} old messages are there`);
    await stage.query(insertMessagesSql, [from, Math.min(INSERT_TOGETHER, rows - from), rows, SENDER]);
    await stage.query(insertCallbacksSql, [from, Math.min(INSERT_TOGETHER, rows - from)]);
  }
  progress('VACUUM');
  await stage.query('VACUUM ANALYZE message, callback');
}

const insertMessagesSql = `
  INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, twilio_sid,
                       handed_over, trustomer_code, product_name, receiver_e164, text_hash, attempts, redacted,
                       content_emptied, number_emptied)
  SELECT md5(n::text)::uuid::text, moment, 'unknown', moment, 'unknown', $4,
         CASE WHEN is_old THEN 'hashed:' || md5((n % 100000)::text) || md5('x') ELSE number END,
         CASE WHEN is_old THEN '' ELSE 'Your appointment number ' || n || ' is on Monday at 10:00. Please bring your notes and this text.' END,
         'delivered', 'SM' || md5('sid' || n), moment, 'trust' || n % 3, 'gdm',
         CASE WHEN is_old THEN 'hashed:' || md5((n % 100000)::text) || md5('x') ELSE number END,
         CASE WHEN NOT is_old THEN md5('text' || n) END, 1, moment,
         CASE WHEN is_old THEN moment END, CASE WHEN is_old THEN moment END
  FROM generate_series($1::int + 1, $1::int + $2::int) n, LATERAL (
    SELECT (now() AT TIME ZONE 'utc') - interval '732 days' + n::float8 / $3::int * interval '730 days' AS moment,
           n <= $3::int / 2 AS is_old, '+1212555' || lpad((100 + n % 100)::text, 4, '0') AS number) old`;

const insertCallbacksSql = `
  INSERT INTO callback (received, message_uuid, twilio_sid, message_status, parameters)
  SELECT now() AT TIME ZONE 'utc', md5(n::text)::uuid::text, 'SM' || md5('sid' || n), 'delivered',
         '{"SmsSid":"x","SmsStatus":"delivered","MessageStatus":"delivered","ApiVersion":"2010-04-01","ErrorMessage":"words"}'
  FROM generate_series($1::int + 1, $1::int + $2::int) n WHERE n % 2 = 0`;

async function startRetaining(stage: Stage, started: AsyncDisposableStack): Promise<{ service: Run; port: string }> {
  const start = async (file: string, args: string[], env: Record<string, string>) => {
    const program = run(file, args, env);
    started.defer(async () => {
      program.child.kill('SIGKILL');
      await program.ended;
    });
    const [, port = ''] = await program.printed(/http:\/\/127\.0\.0\.1:(\d+)/);
    return { program, port };
  };
  const twilio = await start('test/bench/floor-slow-twilio.ts', [String(LATENCY_MS)], {});
  const service = await start('test/bench/retaining-service.ts', [], {
    ENVIRONMENT: 'TEST',
    LISTEN_ADDRESS: '127.0.0.1',
    PORT: '0',
    DATABASE_URL: stage.databaseUrl,
    TWILIO_BASE_URL: `http://127.0.0.1:${twilio.port}`,
    TWILIO_ACCOUNT_SID: account.sid,
    TWILIO_AUTH_TOKEN: account.token,
    TWILIO_CALL_BACK_URL: 'https://sms.example/dhos/v1/sms/callback',
    LOG_LEVEL: 'WARN',
  });
  return { service: service.program, port: service.port };
}

let texts = 0;

/** So many seconds of POSTs at a steady rate, however long each takes; answers how long, in milliseconds. */
async function post(http: Pool, seconds: number): Promise<number[]> {
  const taken: Promise<number>[] = [];
  const began = performance.now();
  for (let n = 0; n < seconds * POSTS_PER_S; n += 1) {
    const waitMs = began + (n * 1000) / POSTS_PER_S - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    taken.push(postOne(http));
  }
  return Promise.all(taken);
}

async function postOne(http: Pool): Promise<number> {
  texts += 1;
  const began = performance.now();
  const { statusCode, body } = await http.request({
    path: '/dhos/v1/sms',
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-trustomer': 'ouh', 'x-product': 'gdm' },
    body: JSON.stringify({ sender: SENDER, receiver: plainReceiver(texts), content: `Text number ${texts}.` }),
  });
  await body.dump();
  if (statusCode !== 200) throw new Error(`a POST was answered ${statusCode}`);
  return performance.now() - began;
}

/** What the run that was ended just now, or by itself, says it did. */
async function ranSince(service: Run, before: number): Promise<Ran> {
  for (;;) {
    const line = /retention (\{.*\})/.exec(service.output().slice(before))?.[1];
    if (line !== undefined) return JSON.parse(line) as Ran;
    if (service.child.exitCode !== null) throw new Error(`the service ended:\n${service.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0;
}
