import { randomBytes, randomUUID } from 'node:crypto';
import { callbackInBytes } from '../chaos/callback-bytes.ts';
import { type CopiedMessage, copyRows, plainReceiver, SENDER, sendOriginal } from '../chaos/copied-rows.ts';
import { fire } from '../chaos/fire.ts';
import { account, type Replica, type Stage, setStage } from '../chaos/stage.ts';
import { type Run, run } from '../support/process.ts';
import { floorTables } from './floor-table.ts';
import type { Benchmark, Measurement } from './harness.ts';
import { cpuSeconds } from './load.ts';

/**
 * What the guarantees cost: the service beside a program without them, one after the other, again and again. Both use the
 * same PostgreSQL with fsync, ten connections to it, and write no log below warnings.
 */
const TARGET = 0.6;
export const CONNECTIONS = 128;
const ROUNDS = 5;
const ROUND_S = 4;
const WARM_UP = 1_500;
export const LATENCY_MS = 50;
const PATIENCE_MS = 60_000;
const callbackUrl = 'https://sms.example/dhos/v1/sms/callback';

/** One of the two programs: where it listens, and the requests of a round, made ready beforehand. */
type Side = {
  readonly url: string;
  readonly program: Run;
  readonly expected: number;
  readonly prepare: (count: number) => Promise<Buffer[]>;
};

const sends: Benchmark = {
  name: 'what the guarantees cost, sends',
  run: (progress) =>
    onStage(async (stage, started) => {
      const twilio = await startProgram(started, 'test/bench/floor-slow-twilio.ts', [String(LATENCY_MS)]);
      const service = await stage.startReplica({
        TWILIO_BASE_URL: twilio.url,
        TWILIO_MAX_CONCURRENCY: String(CONNECTIONS),
      });
      const floor = await startProgram(started, 'test/bench/floor-service.ts', [
        stage.databaseUrl,
        twilio.url,
        account.sid,
        account.token,
        String(CONNECTIONS),
      ]);
      return compare(
        `sends, Twilio answers after ${LATENCY_MS} ms`,
        { url: service.baseUrl, program: service, expected: 200, prepare: prepareTexts },
        { url: floor.url, program: floor.program, expected: 200, prepare: prepareTexts },
        progress,
      );
    }),
};

let texts = 0;

export async function prepareTexts(count: number): Promise<Buffer[]> {
  return Array.from({ length: count }, () => {
    texts += 1;
    const body = JSON.stringify({
      sender: SENDER,
      receiver: plainReceiver(texts),
      content: `Text number ${texts}: your appointment is on Monday at 10:00.`,
    });
    const head = ['POST /dhos/v1/sms HTTP/1.1', 'Host: sms', 'X-Trustomer: ouh', 'X-Product: gdm'];
    const more = ['Content-Type: application/json', `Content-Length: ${body.length}`];
    return Buffer.from(`${[...head, ...more].join('\r\n')}\r\n\r\n${body}`, 'latin1');
  });
}

const callbacks: Benchmark = {
  name: 'what the guarantees cost, callbacks',
  run: (progress) =>
    onStage(async (stage, started) => {
      const service = await stage.startReplica();
      const args = [stage.databaseUrl, callbackUrl, account.token];
      const floor = await startProgram(started, 'test/bench/floor-callbacks.ts', args);
      const prepareService = await callbacksFor(stage, service);
      const prepareFloor = callbacksAfter(stage, (messages) => insertFloorRows(stage, messages));
      return compare(
        'callbacks (sending, sent: no redaction follows)',
        { url: service.baseUrl, program: service, expected: 204, prepare: prepareService },
        { url: floor.url, program: floor.program, expected: 204, prepare: prepareFloor },
        progress,
      );
    }),
};

/** Callbacks of messages that the service has. */
export async function callbacksFor(stage: Stage, service: Replica): Promise<Side['prepare']> {
  const original = await sendOriginal(service);
  return callbacksAfter(stage, (messages) => copyRows(stage, original, messages));
}

function callbacksAfter(stage: Stage, insert: (messages: CopiedMessage[]) => Promise<unknown>): Side['prepare'] {
  return async (count) => {
    const messages = Array.from({ length: Math.ceil(count / 2) }, (_, n) => newMessage(n));
    await insert(messages);
    await stage.query('ANALYZE');
    // Every one of them moves its message.
    return ['sending', 'sent'].flatMap((status) =>
      messages.map((message) => callbackInBytes({ ...message, status }, callbackUrl)),
    );
  };
}

function newMessage(n: number): CopiedMessage {
  return { uuid: randomUUID(), sid: `SM${randomBytes(16).toString('hex')}`, receiver: plainReceiver(n) };
}

async function insertFloorRows(stage: Stage, messages: readonly CopiedMessage[]): Promise<void> {
  await stage.query(
    `INSERT INTO floor_message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status,
                                twilio_sid, trustomer_code, product_name)
     SELECT uuid, now(), 'unknown', now(), 'unknown', $4, receiver, 'A text of the floor.', 'queued', sid, 'ouh', 'gdm'
     FROM unnest($1::varchar[], $2::varchar[], $3::varchar[]) AS new(uuid, sid, receiver)`,
    [messages.map(({ uuid }) => uuid), messages.map(({ sid }) => sid), messages.map((m) => m.receiver), SENDER],
  );
}

export const guaranteeBenchmarks: readonly Benchmark[] = [sends, callbacks];

/** Service, floor, service, floor …: what disturbs the machine for a while disturbs both. */
export async function compare(
  what: string,
  service: Side,
  floor: Side,
  progress: (line: string) => void,
  target = TARGET,
): Promise<Measurement[]> {
  const rounds: { service: Round; floor: Round }[] = [];
  const counts = { service: await countFor(service), floor: await countFor(floor) };
  for (let n = 1; n <= ROUNDS; n += 1) {
    progress(`round ${n} of ${ROUNDS}`);
    rounds.push({ service: await measure(service, counts.service), floor: await measure(floor, counts.floor) });
  }
  const of = (read: (round: { service: Round; floor: Round }) => number) => median(rounds.map(read));
  const ratio = of((round) => round.service.perSecond / round.floor.perSecond);
  return [
    { what, value: of((r) => r.service.perSecond), unit: '/s', floor: of((r) => r.floor.perSecond) },
    {
      what: '  ratio, median of the rounds',
      value: ratio,
      unit: '',
      target: `≥ ${target}`,
      isMet: ratio >= target,
    },
    {
      what: '  CPU a request, its process alone',
      value: of((r) => r.service.cpuMs),
      unit: 'ms',
      floor: of((r) => r.floor.cpuMs),
    },
  ];
}

type Round = { readonly perSecond: number; readonly cpuMs: number };

/** How many requests fill a round, after enough of them to be warm. */
async function countFor(side: Side): Promise<number> {
  await measure(side, WARM_UP);
  return Math.ceil((await measure(side, WARM_UP)).perSecond * ROUND_S);
}

async function measure({ url, program, expected, prepare }: Side, count: number): Promise<Round> {
  const requests = await prepare(count);
  const pid = program.child.pid ?? 0;
  const before = cpuSeconds(pid);
  const { answers, seconds } = await fire({
    port: Number(new URL(url).port),
    connections: CONNECTIONS,
    requests,
    forMs: PATIENCE_MS,
  });
  const wrong = answers.findIndex((answer) => answer !== expected);
  if (wrong !== -1) throw new Error(`request ${wrong} was answered ${answers[wrong]}`);
  return { perSecond: requests.length / seconds, cpuMs: ((cpuSeconds(pid) - before) * 1000) / requests.length };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

export async function onStage<T>(work: (stage: Stage, started: AsyncDisposableStack) => Promise<T>): Promise<T> {
  const started = new AsyncDisposableStack();
  try {
    // Time stands still at the simulator, which is there only for the first message of a benchmark.
    const stage = await setStage({ seed: 1, speed: 0, callbackUrl });
    started.defer(() => stage.stop());
    await stage.query(floorTables);
    return await work(stage, started);
  } finally {
    await started.disposeAsync();
  }
}

export async function startProgram(started: AsyncDisposableStack, file: string, args: string[]) {
  const program = run(file, args, {});
  started.defer(async () => {
    program.child.kill();
    await program.ended;
  });
  const [url] = await program.printed(/http:\/\/127\.0\.0\.1:\d+/);
  return { program, url };
}
