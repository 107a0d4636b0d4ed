import { run } from '../support/process.ts';
import { startBalancer } from './balancer.ts';
import { sendAll } from './clients.ts';
import { collectEvidence, type Evidence, type JournalLine, listOpen, type OpenRow, replayKeys } from './evidence.ts';
import { startFleet } from './fleet.ts';
import { keepMoves } from './moves.ts';
import { type Damage, letLoose } from './saboteur.ts';
import { account, type Replica, type Stage, setStage } from './stage.ts';
import { calm, LATE_MS, SETTLE_MS, storm, TWILIO_TIMEOUT_MS } from './weather.ts';

export type DrillOptions = {
  readonly messages: number;
  readonly seed: number;
  /** the order of steps of the original */
  readonly isControl: boolean;
  readonly onProgress: (done: number, words: string) => void;
  /** Rejects when somebody has had enough: then everything is ended. */
  readonly interrupted: Promise<never>;
};

export type DrillResult = {
  readonly evidence: Evidence;
  readonly journal: readonly JournalLine[];
  /** by message */
  readonly attempts: ReadonlyMap<string, readonly object[]>;
  readonly damage: Readonly<Damage>;
  /** the HTTP status of its answer */
  readonly bulkUpdate: number;
  /** from the last fault until no row was unresolved or due */
  readonly settledAfterMs: number;
  readonly output: string;
};

const REPLICAS = 2;
const CLIENTS = 24;
/** Sixteen a second, and slower in a small run, so that it too sees ten kills. */
const PACE_MS = { everyLeast: 60, wholeLeast: 20_000 };
const RESOLVED_WITHIN_MS = 30_000;
const BULK_UPDATE_WITHIN_MS = 120_000;

const callbackPath = '/dhos/v1/sms/callback';
const bulkUpdatePath = '/dhos/v1/sms/bulk_update';

/** The whole run: everything is started, broken, made whole, waited for and written down. */
export async function drill(options: DrillOptions): Promise<DrillResult> {
  await using started = new AsyncDisposableStack();
  return await Promise.race([play(options, started), options.interrupted]);
}

async function play(options: DrillOptions, started: AsyncDisposableStack): Promise<DrillResult> {
  const balancer = await startBalancer();
  started.defer(() => balancer.close());
  const callbackUrl = balancer.url + callbackPath;
  const stage = await owned(started, setStage({ seed: options.seed, scenario: storm, callbackUrl }), (it) => it.stop());
  await keepMoves(stage);
  if (options.isControl) await dropTriggers(stage);
  const open = options.isControl ? () => startOriginal(stage, balancer.url) : () => stage.startReplica(replicaEnv);
  const fleet = await owned(started, startFleet(balancer, REPLICAS, open), (it) => it.close());
  await fleet.ready(REPLICAS);

  const saboteur = letLoose(options.seed, fleet, () => stage.crashPostgres());
  started.defer(() => saboteur.stop());
  const stories = await sendAll({
    baseUrl: balancer.url,
    ...options,
    everyMs: Math.max(PACE_MS.everyLeast, PACE_MS.wholeLeast / options.messages),
    clients: CLIENTS,
    repeatsBlindly: options.isControl,
    somebodyReady: () => fleet.ready(1),
    onDone: (done) => {
      if (isTimeToCrash(done, options.messages)) saboteur.crashPostgres();
      options.onProgress(done, `messages, ${saboteur.done.kills} kills`);
    },
  });
  await stage.simulator.useScenario(calm);
  await saboteur.end();

  const tell = (words: string) => options.onProgress(options.messages, words);
  const lastFaultAt = performance.now();
  tell('messages; the last fault is over, waiting for what is unresolved');
  const openRows = await waitUntilSettled(stage, RESOLVED_WITHIN_MS);
  const settledAfterMs = performance.now() - lastFaultAt;
  tell('messages; asking again with the same keys');
  const replays = options.isControl ? [] : await replayKeys(balancer.url, stories);
  await livesAreOver(stage);
  tell('messages; bulk update');
  const bulkUpdate = await postBulkUpdate(balancer.url);
  tell('messages; waiting for the last callbacks');
  await callbacksAreOver(stage);

  const journal = await stage.simulator.journal();
  const evidence = await collectEvidence(stage, { stories, open: openRows, replays }, journal);
  const attempts = await listAttempts(stage);
  return { evidence, journal, attempts, damage: saboteur.done, bulkUpdate, settledAfterMs, output: fleet.output() };
}

/** What is still starting when the drill is ended is waited for, or it would outlive the drill. */
function owned<T>(started: AsyncDisposableStack, starting: Promise<T>, end: (it: T) => Promise<void>): Promise<T> {
  started.defer(() => starting.then(end, () => {}));
  return starting;
}

const replicaEnv = {
  SETTLE_MS: String(SETTLE_MS),
  TWILIO_TIMEOUT_MS: String(TWILIO_TIMEOUT_MS),
  TWILIO_MAX_CONCURRENCY: '30',
};

async function startOriginal(stage: Stage, balancerUrl: string): Promise<Replica> {
  const original = run('test/chaos/original-order.ts', [], {
    DATABASE_URL: stage.databaseUrl,
    TWILIO_BASE_URL: stage.simulator.url,
    TWILIO_ACCOUNT_SID: account.sid,
    TWILIO_AUTH_TOKEN: account.token,
    TWILIO_CALL_BACK_URL: balancerUrl + callbackPath,
    TWILIO_TIMEOUT_MS: String(TWILIO_TIMEOUT_MS),
  });
  const [, baseUrl = ''] = await original.printed(/listens on (http:\S+)/);
  return { ...original, baseUrl };
}

/** Twice in a run. */
function isTimeToCrash(done: number, messages: number): boolean {
  return done === Math.ceil(messages / 3) || done === Math.ceil((messages * 2) / 3);
}

/** The rows that were not over when the time was up. */
async function waitUntilSettled(stage: Stage, withinMs: number): Promise<OpenRow[]> {
  const giveUpAt = performance.now() + withinMs;
  let open = await listOpen(stage);
  while (open.length > 0 && performance.now() < giveUpAt) {
    await pause(200);
    open = await listOpen(stage);
  }
  return open;
}

type SimulatorState = {
  readonly clock: { readonly eventsPending: number };
  readonly journalEntries: number;
  readonly messages: object;
};

/** The original's table has none: they would give its rows next steps, which it does not know. */
async function dropTriggers(stage: Stage): Promise<void> {
  await stage.query('DROP TRIGGER take_up_inserted ON message');
  await stage.query('DROP TRIGGER take_up_updated ON message');
}

/** Some stay `sent` for ever, so what tells is that for longer than any step takes nothing has changed. */
function livesAreOver(stage: Stage): Promise<void> {
  return untilUnchanged(stage, 2_000, 20_000, ({ messages }) => JSON.stringify(messages));
}

function callbacksAreOver(stage: Stage): Promise<void> {
  return untilUnchanged(stage, 1_500, LATE_MS + 20_000, ({ clock, journalEntries }) =>
    // While something is to come, nothing stays as it is.
    clock.eventsPending > 0 ? String(performance.now()) : String(journalEntries),
  );
}

async function untilUnchanged(
  { simulator }: Stage,
  forMs: number,
  withinMs: number,
  look: (state: SimulatorState) => string,
): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  let last = '';
  let since = performance.now();
  while (performance.now() - since < forMs && performance.now() < giveUpAt) {
    const now = look(await simulator.ask<SimulatorState>('state'));
    if (now !== last) since = performance.now();
    last = now;
    await pause(100);
  }
}

/** Lost callbacks make it necessary: what they would have said, only Twilio can tell. */
async function postBulkUpdate(baseUrl: string): Promise<number> {
  const signal = AbortSignal.timeout(BULK_UPDATE_WITHIN_MS);
  const answer = await fetch(baseUrl + bulkUpdatePath, { method: 'POST', signal });
  await answer.arrayBuffer();
  return answer.status;
}

async function listAttempts(stage: Stage): Promise<Map<string, object[]>> {
  const rows = await stage.query<{ message_uuid: string }>('SELECT * FROM attempt ORDER BY message_uuid, n');
  return Map.groupBy(rows, ({ message_uuid }) => message_uuid);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
