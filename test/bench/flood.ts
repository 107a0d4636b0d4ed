import { fire } from '../chaos/fire.ts';
import type { Stage } from '../chaos/stage.ts';
import { type Run, run } from '../support/process.ts';
import { median, onStage, prepareTexts, startProgram } from './guarantees.ts';
import type { Benchmark, Measurement } from './harness.ts';

/** What a flood of unsigned callbacks from one core does to sending, beside that core merely busy with itself. */
const TARGET = 0.5;
const CONNECTIONS = 128;
const ROUNDS = 5;
const ROUND_S = 4;
const LATENCY_MS = 50;
const FLOOD_ALONE_MS = 3_000;

const written = ['message', 'attempt', 'event', 'callback', 'duplicate_handover', 'idempotency_key'];

type Flood = { readonly what: string; readonly args: readonly string[] };
/** Twilio's signatures have 28 characters: one that looks right has to be computed to be refused. */
const floods: readonly Flood[] = [
  { what: 'unsigned callbacks', args: [] },
  { what: 'callbacks with a forged signature', args: ['--signature', `${'A'.repeat(27)}=`] },
];

export const floodBenchmark: Benchmark = {
  name: 'a flood of forged callbacks',
  run: (progress) =>
    onStage(async (stage, started) => {
      const twilio = await startProgram(started, 'test/bench/floor-slow-twilio.ts', [String(LATENCY_MS)]);
      const service = await stage.startReplica({
        TWILIO_BASE_URL: twilio.url,
        TWILIO_MAX_CONCURRENCY: String(CONNECTIONS),
      });
      const port = Number(new URL(service.baseUrl).port);
      const count = Math.ceil((await sendsPerSecond(port, 3_000)) * ROUND_S * 0.7);
      const measurements: Measurement[] = [];
      for (const { what, args } of floods) {
        const rounds: { busy: number; flooded: number; refused: number }[] = [];
        for (let n = 1; n <= ROUNDS; n += 1) {
          progress(`${what}, round ${n} of ${ROUNDS}`);
          const busy = await beside('test/bench/spinning.ts', [], async () => sendsPerSecond(port, count));
          const flooded = await beside('test/bench/flooding.ts', ['--port', String(port), ...args], async (flood) => {
            const began = performance.now();
            const perSecond = await sendsPerSecond(port, count);
            return { perSecond, refused: (await told(flood)).refused / ((performance.now() - began) / 1000) };
          });
          rounds.push({ busy, flooded: flooded.perSecond, refused: flooded.refused });
        }
        const ratio = median(rounds.map(({ busy, flooded }) => flooded / busy));
        measurements.push(
          {
            what: `sends while one core floods with ${what}`,
            value: median(rounds.map(({ flooded }) => flooded)),
            unit: '/s',
            floor: median(rounds.map(({ busy }) => busy)),
          },
          {
            what: '  ratio to that core merely busy, median of the rounds',
            value: ratio,
            unit: '',
            target: `≥ ${TARGET}`,
            isMet: ratio >= TARGET,
          },
          { what: '  refused meanwhile', value: median(rounds.map(({ refused }) => refused)), unit: '/s' },
          await rowsOf(stage, port, args),
        );
      }
      return measurements;
    }),
};

async function sendsPerSecond(port: number, count: number): Promise<number> {
  const requests = await prepareTexts(count);
  const { answers, seconds } = await fire({ port, connections: CONNECTIONS, requests, forMs: 120_000 });
  const wrong = answers.findIndex((answer) => answer !== 200);
  if (wrong !== -1) throw new Error(`request ${wrong} was answered ${answers[wrong]}`);
  return count / seconds;
}

/** Nothing else is asked of the service meanwhile, so every new row would be the flood's. */
async function rowsOf(stage: Stage, port: number, args: readonly string[]): Promise<Measurement> {
  const before = await countRows(stage);
  await beside('test/bench/flooding.ts', ['--port', String(port), ...args], async (flood) => {
    await new Promise((resolve) => setTimeout(resolve, FLOOD_ALONE_MS));
    const { refused, others } = await told(flood);
    if (refused === 0 || others > 0) throw new Error(`refused: ${refused}, answered otherwise: ${others}`);
  });
  const rows = (await countRows(stage)) - before;
  return { what: '  rows written by such a flood alone', value: rows, unit: '', target: '0', isMet: rows === 0 };
}

async function countRows(stage: Stage): Promise<number> {
  const counts = await Promise.all(
    written.map(
      async (table) => (await stage.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`))[0]?.n ?? 0,
    ),
  );
  return counts.reduce((sum, n) => sum + n, 0);
}

/** Runs the work while the program runs, too. */
async function beside<T>(file: string, args: readonly string[], work: (program: Run) => Promise<T>): Promise<T> {
  const program = run(file, [...args], {});
  try {
    await program.printed(/flooding|spinning/);
    return await work(program);
  } finally {
    program.child.kill('SIGKILL');
    await program.ended;
  }
}

async function told(flood: Run): Promise<{ refused: number; others: number }> {
  flood.child.kill('SIGUSR2');
  const [line] = await flood.printed(/\{.*\}/);
  return JSON.parse(line) as { refused: number; others: number };
}
