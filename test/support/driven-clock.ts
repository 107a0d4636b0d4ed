import type { Scenario } from '../../src/simulator/scenario.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { createDatabase } from './database.ts';
import { execute } from './postgres.ts';
import { startTestService, type TestService } from './service.ts';

export type DrivenScene = {
  readonly service: TestService;
  readonly simulator: Awaited<ReturnType<typeof startSimulator>>;
  /** One more replica over the same database and Twilio; stopped with the scene. */
  startReplica(env?: Record<string, string>): Promise<TestService>;
  /** Lets time pass, at Twilio and then in the database: what is due then is done by the service in its own time. */
  pass(ms: number): Promise<void>;
  /** What the clock shows, less so many milliseconds, as a column of the Python service holds it. */
  ago(ms: number): string;
  stop(): Promise<void>;
};

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/**
 * A service whose database and Twilio share a clock that stands still until the test drives it. All times that the service
 * compares come from the database's `now()` (src/db/db.ts), and the tests' database has one of its own, found before PostgreSQL's.
 * No callback reaches the service.
 */
export async function startDrivenScene(
  scenario: Partial<Scenario> = {},
  env: Record<string, string> = {},
  options: { checksKeptMs?: number } = {},
): Promise<DrivenScene> {
  await using started = new AsyncDisposableStack();
  const start = new Date();
  const simulator = await startSimulator({
    speed: 0,
    seed: 7,
    clock: { now: () => start },
    scenario: { ...scenario, rules: [{ on: 'callback', when: {}, do: { lose: true } }, ...(scenario.rules ?? [])] },
  });
  started.defer(() => simulator.stop());
  const database = await createDatabase();
  started.defer(() => database.drop());
  await execute(database.url, drivenNow(start, new URL(database.url).pathname.slice(1)));

  let all: AsyncDisposableStack | null = null;
  const startReplica = async (more: Record<string, string> = {}) => {
    const replica = await startTestService(
      {
        TWILIO_BASE_URL: simulator.baseUrl,
        TWILIO_ACCOUNT_SID: simulator.accountSid,
        TWILIO_AUTH_TOKEN: simulator.authToken,
        TWILIO_CALL_BACK_URL: 'http://127.0.0.1:1/dhos/v1/sms/callback',
        LOG_LEVEL: 'INFO',
        ...env,
        ...more,
      },
      { ...options, databaseUrl: database.url },
    );
    (all ?? started).defer(() => replica.stop());
    return replica;
  };
  const service = await startReplica();
  const whole = started.move();
  all = whole;
  let now = start.getTime();
  return {
    service,
    simulator,
    startReplica,
    ago: (ms) => new Date(now - ms).toISOString().slice(0, -1),
    pass: async (ms) => {
      now += ms;
      await simulator.advance(ms);
      await service.query(`UPDATE driven_clock SET at = at + $1::bigint * interval '1 ms'`, [ms]);
    },
    stop: () => whole.disposeAsync(),
  };
}

function drivenNow(start: Date, database: string): string {
  return `
    CREATE TABLE driven_clock (at timestamptz NOT NULL);
    INSERT INTO driven_clock VALUES ('${start.toISOString()}');
    CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM public.driven_clock';
    ALTER DATABASE ${database} SET search_path = public, pg_catalog`;
}

/** What the service asked Twilio to read, by the simulator's journal. */
export function readsOf({ simulator }: Pick<DrivenScene, 'simulator'>): { lists: number; fetches: number } {
  return { lists: entriesOf({ simulator }, 'list').length, fetches: entriesOf({ simulator }, 'fetch').length };
}

export function entriesOf({ simulator }: Pick<DrivenScene, 'simulator'>, kind: string): Record<string, unknown>[] {
  const lines = simulator.journal().split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line)).filter((entry) => entry.kind === kind);
}
