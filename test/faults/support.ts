import { setTimeout as delay } from 'node:timers/promises';
import { type Simulator, type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts';
import { startBalancer } from '../chaos/balancer.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { execute } from '../support/postgres.ts';
import { type Answer, eventually, startTestService, type TestService, tenant } from '../support/service.ts';
import type { Asked, FakeTwilio } from '../support/twilio.ts';

/** A service and the simulator that it takes for Twilio. What really happened, the simulator says. */
export type Scene = {
  readonly service: TestService;
  readonly simulator: Simulator;
  stop(): Promise<void>;
};

type Rules = NonNullable<SimulatorOptions['scenario']>['rules'];
export type SceneOptions = {
  readonly rules?: Rules;
  readonly scenario?: Omit<NonNullable<SimulatorOptions['scenario']>, 'rules'>;
  /** How much faster than life messages live at Twilio. */
  readonly speed?: number;
  /** Do Twilio's callbacks reach the service? If not, only Twilio's log can tell what became of a message. */
  readonly hasCallbacks?: boolean;
  readonly env?: Record<string, string>;
  readonly databaseUrl?: string;
};

/** Times are short, and long enough for a machine that is busy with something else. */
export const TIMEOUT_MS = 2_000;
export const SETTLE_MS = 800;

/**
 * The service with a database of its own. The database goes once nobody is connected any more: a pool has ended a moment
 * before its connections have, and those would take their end for an error.
 */
export async function startAlone(env: Record<string, string>): Promise<TestService> {
  const database = await createDatabase();
  const service = await inTurn(() => startTestService(env, { databaseUrl: database.url }));
  return {
    ...service,
    stop: async () => {
      await service.stop();
      await dropDatabase(database);
    },
  };
}

let lastStart: Promise<unknown> = Promise.resolve();

/** Runs one start after another: many services that start in the same moment keep each other from it. */
export function inTurn<Started>(start: () => Promise<Started>): Promise<Started> {
  const started = lastStart.then(start, start);
  lastStart = started.catch(() => {});
  return started;
}

export async function dropDatabase(database: TestDatabase): Promise<void> {
  const others = 'SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()';
  await eventually(async () => (await execute(database.url, others)).rowCount === 0);
  await database.drop();
}

export function startScene(options: SceneOptions = {}): Promise<Scene> {
  return inTurn(() => buildScene(options));
}

async function buildScene(options: SceneOptions): Promise<Scene> {
  const started = new AsyncDisposableStack();
  const simulator = await startSimulator({
    speed: options.speed ?? 20,
    scenario: { ...options.scenario, rules: options.rules ?? [] },
  });
  started.defer(() => simulator.stop());
  // Twilio must be told where to call back before the service has a port.
  const door = options.hasCallbacks ? await startBalancer() : null;
  if (door !== null) started.defer(() => door.close());
  const database = options.databaseUrl === undefined ? await createDatabase() : null;
  if (database !== null) started.defer(() => dropDatabase(database));
  const service = await startTestService(
    {
      TWILIO_BASE_URL: simulator.baseUrl,
      TWILIO_ACCOUNT_SID: simulator.accountSid,
      TWILIO_AUTH_TOKEN: simulator.authToken,
      TWILIO_CALL_BACK_URL: `${door?.url ?? 'http://127.0.0.1:1'}/dhos/v1/sms/callback`,
      TWILIO_TIMEOUT_MS: String(TIMEOUT_MS),
      SETTLE_MS: String(SETTLE_MS),
      ...options.env,
    },
    { databaseUrl: database?.url ?? options.databaseUrl ?? '' },
  );
  started.defer(() => service.stop());
  door?.add(service.baseUrl);
  if (door !== null) await eventually(async () => door.ready() === 1);
  return { service, simulator, stop: () => started.disposeAsync() };
}

/** How a message is asked for: the caller waits for Twilio's answer, or not. */
export type Manner = 'sync' | 'async';
export const manners: readonly Manner[] = ['sync', 'async'];

export function post(service: TestService, receiver: string, content: string, manner: Manner): Promise<Answer> {
  const headers = { ...tenant, ...(manner === 'async' && { prefer: 'respond-async' }) };
  return service.post({ sender: '+447700900001', receiver, content }, headers);
}

/**
 * As a caller does: asks again when told 503. On a machine that is busy with something else, a call can miss its short
 * deadline before a byte is written, and then nothing was sent.
 */
export async function postUntilTaken(...order: Parameters<typeof post>): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    const answer = await post(...order);
    if (answer.status !== 503 || tries === 5) return answer;
  }
}

/** The n-th of the numbers that ring nobody's phone and have no fate of their own; there are 790. */
export function numberOf(n: number): string {
  return `+447700900${200 + n}`;
}

export type Row = {
  readonly uuid: string;
  readonly status: string;
  readonly twilio_sid: string | null;
  readonly error_code: string | null;
  readonly step: string | null;
  readonly unresolved: boolean;
  readonly attempts: number;
};

export async function rowOf(service: TestService, uuid: string): Promise<Row | null> {
  const [row] = await service.query<Row>(
    'SELECT uuid, status, twilio_sid, error_code, step, unresolved, attempts FROM message WHERE uuid = $1',
    [uuid],
  );
  return row ?? null;
}

/** Waits until it is known whether Twilio has it: it has a SID, or nothing more will be done to get one. */
export function ended(service: TestService, uuid: string, withinMs = 20_000): Promise<Row> {
  return eventually(async () => {
    const row = await rowOf(service, uuid);
    if (row === null) return null;
    return row.twilio_sid !== null || (row.step === null && !row.unresolved) ? row : null;
  }, withinMs);
}

/** How often Twilio was, or may have been, asked: an attempt of which nothing left does not count. */
export async function timesAsked(service: TestService, uuid: string): Promise<number> {
  return (await attemptsOf(service, uuid)).filter(({ outcome }) => outcome !== 'not processed').length;
}

export type Attempt = { readonly n: number; readonly outcome: string | null; readonly twilio_sid: string | null };

export function attemptsOf(service: TestService, uuid: string): Promise<Attempt[]> {
  return service.query<Attempt>('SELECT n, outcome, twilio_sid FROM attempt WHERE message_uuid = $1 ORDER BY n', [
    uuid,
  ]);
}

/** The SIDs of everything that Twilio accepted for this number, the oldest first. */
export function acceptedFor({ simulator }: Pick<Scene, 'simulator'>, receiver: string): string[] {
  return simulator.judge.accepted(receiver).flatMap(({ texts }) => texts.flatMap(({ sids }) => sids));
}

/** What the simulator has written down about this number, of one kind. */
export function journalOf({ simulator }: Pick<Scene, 'simulator'>, kind: string, receiver: string) {
  const lines = simulator.journal().split('\n').slice(0, -1);
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((entry) => entry.kind === kind && entry.to === receiver);
}

/** Runs `work` for each item, so many at once. */
export async function forEach<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item, n: number) => Promise<void>,
) {
  const queue = items.entries();
  const worker = async () => {
    for (const [n, item] of queue) await work(item, n);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** The creates of one text that a fake Twilio was asked for. */
export function createsOf(twilio: FakeTwilio, content: string): Asked[] {
  return twilio.asked.filter(({ form }) => form.Body === content);
}

/** One value of /metrics, by its name and labels as they stand there; 0 when it is not there. */
export async function metric(service: TestService, nameAndLabels: string): Promise<number> {
  const { text } = await service.call('/metrics');
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${nameAndLabels} `));
  return Number(line?.split(' ').at(-1) ?? 0);
}

/** The lines of the log about one message. */
export function logOf(
  service: TestService,
  uuid: string,
): { level: string; message: string; [key: string]: unknown }[] {
  const lines = service.logged().split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line)).filter(({ messageId }) => messageId === uuid);
}

/** Between two cases, so that they do not all want the processor in the same moment. */
const STAGGER_MS = 40;

/**
 * Begins all cases together, because they mostly wait; each test then reads how its own went, and tells what went wrong in
 * it.
 */
export function allTogether<Case, Result>(cases: readonly Case[], run: (one: Case, n: number) => Promise<Result>) {
  const running = new Map(cases.map((one, n) => [one, delay(n * STAGGER_MS).then(() => run(one, n))]));
  for (const result of running.values()) result.catch(() => {});
  return async (one: Case): Promise<Result> => {
    const result = running.get(one);
    if (result === undefined) throw new Error('there is no such case');
    return result;
  };
}
