import { hashText } from '../../src/simulator/draw.ts';
import { type Balancer, startBalancer } from './balancer.ts';
import { readKnobs } from './knobs.ts';
import { type Load, startLoad } from './rolling-load.ts';
import { type Replica, type Stage, setStage } from './stage.ts';
import { isBroken, mustBeZero, printVerdicts, showProgress, type Verdict } from './verdict.ts';

const help = `Rolling restarts: two replicas behind a balancer that honours readiness, a steady load, and one replica after
another is replaced by a new one. Nobody who uses the service may notice.

  --restarts N   how many replicas are replaced (20)
  --rate N       requests a second, through it all (100)
  --seed N       of the simulator and the load (1)
  --abrupt       SIGKILL instead of SIGTERM: the control, which exits 0 only when failures are found
  --help         this text

Exits 1 when a request failed, a text was sent twice or lost, or a replica did not stop with 0 within 20 s.
`;

const STOP_WITHIN_MS = 20_000;
const READY_WITHIN_MS = 30_000;
const QUIET_WITHIN_MS = 30_000;
/** Twenty times as fast as real texts live, so that callbacks come all the time. */
const SPEED = 20;
const SHOWN_FAILURES = 12;
/** The balancer looks ten times a second, so it has long turned away when a replica stops listening. */
const replicaEnv = { SHUTDOWN_DELAY_MS: '2000' };

const knobs = readKnobs(help, { restarts: 20, rate: 100, seed: 1 }, ['abrupt']);
process.exitCode = await main();

async function main(): Promise<number> {
  const { restarts, rate, seed } = knobs;
  const balancer = await startBalancer();
  try {
    const stage = await setStage({ seed, speed: SPEED, callbackUrl: `${balancer.url}/dhos/v1/sms/callback` });
    try {
      const { load, stops, seconds } = await roll(stage, balancer, { restarts, rate, seed });
      const verdicts = [
        { what: 'lasted', found: `${seconds.toFixed(1)} s` },
        ...judgeRequests(load, seconds),
        ...judgeStops(stops),
        ...(await judgeTexts(stage, load)),
      ];
      printVerdicts(`${restarts} rolling restarts at ${rate} requests a second, seed ${seed}`, verdicts);
      showFailures(load, stops);
      if (!knobs.abrupt) return isBroken(verdicts) ? 1 : 0;
      console.log(
        load.failures.length > 0 ? 'The judge found failed requests.' : 'The judge found NO failed requests.',
      );
      return load.failures.length > 0 ? 0 : 1;
    } finally {
      await stage.stop();
    }
  } finally {
    await balancer.close();
  }
}

/** How a replica ended, and when. */
type Stop = { readonly atS: number; readonly seconds: number; readonly exit: number | NodeJS.Signals | 'too late' };

async function roll(
  stage: Stage,
  balancer: Balancer,
  { restarts, rate, seed }: { restarts: number; rate: number; seed: number },
): Promise<{ load: Load; stops: Stop[]; seconds: number }> {
  const replicas: Replica[] = [];
  const stops: Stop[] = [];
  const start = async () => {
    const replica = await stage.startReplica(replicaEnv);
    replicas.push(replica);
    balancer.add(replica.baseUrl);
    await until(READY_WITHIN_MS, 'a replica was not ready', async () => balancer.ready() === replicas.length);
  };
  await start();
  await start();
  const began = performance.now();
  const load = startLoad({ url: balancer.url, rate, seed });
  for (let n = 1; n <= restarts; n += 1) {
    showProgress(
      `restart ${n} of ${restarts}, ${load.latencies.length} answers, ${load.failures.length} of them wrong`,
    );
    await start();
    const oldest = replicas.shift();
    if (oldest === undefined) break;
    const atS = (performance.now() - began) / 1000;
    const exit = await stop(oldest);
    stops.push({ atS, seconds: (performance.now() - began) / 1000 - atS, exit });
    balancer.remove(oldest.baseUrl);
  }
  await load.stop();
  showProgress('');
  return { load, stops, seconds: (performance.now() - began) / 1000 };
}

async function stop({ child, ended }: Replica): Promise<Stop['exit']> {
  child.kill(knobs.abrupt ? 'SIGKILL' : 'SIGTERM');
  const tooLate = new Promise<'too late'>((resolve) => setTimeout(resolve, STOP_WITHIN_MS, 'too late').unref());
  return Promise.race([ended, tooLate]);
}

function judgeRequests({ sent, failures, latencies }: Load, seconds: number): Verdict[] {
  const sorted = latencies.toSorted((a, b) => a - b);
  const percentile = (p: number) => `${Math.round(sorted[Math.floor((sorted.length - 1) * p)] ?? 0)} ms`;
  const all = sent.POST + sent.GET + sent.list;
  return [
    { what: 'requests', found: `${all} (${sent.POST} POST, ${sent.GET} GET, ${sent.list} lists)` },
    { what: 'requests a second', found: (all / seconds).toFixed(1) },
    { what: 'answered within, p50, p99, the slowest', found: [0.5, 0.99, 1].map(percentile).join(', ') },
    mustBeZero('failed requests', failures.length),
  ];
}

function judgeStops(stops: readonly Stop[]): Verdict[] {
  const slowest = Math.max(...stops.map(({ seconds }) => seconds));
  return [
    mustBeZero('replicas that did not exit with 0 within 20 s', stops.filter(({ exit }) => exit !== 0).length),
    { what: 'slowest stop', found: `${slowest.toFixed(1)} s` },
  ];
}

type Accepted = { texts: { text: string; count: number }[] }[];
type Callback = { outcome: number | string };

/** The simulator's word against the callers' and the database's. */
async function judgeTexts(stage: Stage, { posted, taken }: Load): Promise<Verdict[]> {
  await untilQuiet(stage);
  const accepted = await stage.simulator.ask<Accepted>('accepted');
  const timesAtTwilio = new Map(accepted.flatMap(({ texts }) => texts.map(({ text, count }) => [text, count])));
  const rows = await stage.query<{ uuid: string; content: string; status: string }>(
    'SELECT uuid, content, status FROM message',
  );
  const recorded = new Set(rows.map(({ content }) => hashText(content)));
  const statuses = new Map(rows.map(({ uuid, status }) => [uuid, status]));
  const callbacks = (await stage.simulator.journal('callback')) as Callback[];
  const count = (texts: Iterable<string>, isOne: (hash: string) => boolean) =>
    [...texts].filter((text) => isOne(hashText(text))).length;
  return [
    mustBeZero(
      'texts that Twilio has more than once',
      count(posted, (hash) => (timesAtTwilio.get(hash) ?? 0) > 1),
    ),
    mustBeZero(
      'texts answered 200 that Twilio has not',
      count(taken.keys(), (hash) => !timesAtTwilio.has(hash)),
    ),
    mustBeZero('texts that Twilio has and no row', [...timesAtTwilio.keys()].filter((h) => !recorded.has(h)).length),
    mustBeZero(
      'texts answered 200 and not delivered in the end',
      [...taken.values()].filter((uuid) => statuses.get(uuid) !== 'delivered').length,
    ),
    { what: 'callbacks', found: callbacks.length },
    // A slow one comes again by itself, and says more about the machine than about a deploy.
    { what: 'callbacks not answered within 2.5 s', found: callbacks.filter(isSlow).length },
    mustBeZero(
      'failed callbacks',
      callbacks.filter((callback) => callback.outcome !== 204 && !isSlow(callback)).length,
    ),
  ];
}

function isSlow({ outcome }: Callback): boolean {
  return outcome === 'timeout';
}

/** Until every text has lived its life, callbacks included. What never comes is the judge's to tell. */
async function untilQuiet({ simulator }: Stage): Promise<void> {
  const giveUpAt = performance.now() + QUIET_WITHIN_MS;
  while (performance.now() < giveUpAt) {
    const { clock, messages } = await simulator.ask<State>('state');
    if (clock.eventsPending === 0 && messages.accepted === messages['now delivered']) break;
    await pause();
  }
}

type State = { clock: { eventsPending: number }; messages: Record<string, number> };

async function until(withinMs: number, otherwise: string, isTrue: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  while (!(await isTrue())) {
    if (performance.now() > giveUpAt) throw new Error(`${otherwise} within ${withinMs} ms`);
    await pause();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}

/** Enough of them to see the pattern, each beside the stop during or after which it happened. */
function showFailures({ failures }: Load, stops: readonly Stop[]): void {
  for (const { kind, atMs, got } of failures.slice(0, SHOWN_FAILURES)) {
    const restart = stops.findLastIndex(({ atS }) => atS * 1000 <= atMs + 100);
    const stop = stops[restart];
    const when =
      stop === undefined ? 'before any stop' : `${(atMs / 1000 - stop.atS).toFixed(2)} s after stop ${restart + 1}`;
    console.log(`${kind}, sent ${when}: ${got}`);
  }
  if (failures.length > SHOWN_FAILURES) console.log(`… and ${failures.length - SHOWN_FAILURES} more`);
  for (const { exit, seconds } of stops)
    if (exit !== 0) console.log(`a replica ended with ${exit} after ${seconds.toFixed(1)} s`);
}
