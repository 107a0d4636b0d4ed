import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { type Run, run, runService } from '../support/process.ts';

/** What a drill plays on: a PostgreSQL of its own, a Twilio simulator in a process of its own, and as many replicas as it starts. */
export type Stage = {
  readonly databaseUrl: string;
  /** Straight at the database, over connections that survive its crashes. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  readonly simulator: SimulatorProcess;
  /** A replica of the service, which talks to the simulator and is called back at `callbackUrl`. */
  startReplica(env?: Record<string, string>, nodeFlags?: readonly string[]): Promise<Replica>;
  /** kill -9 of a session's process: PostgreSQL ends every other one, recovers from its log and goes on. Resolves when it does. */
  crashPostgres(): Promise<void>;
  stop(): Promise<void>;
};

export type Replica = Run & { readonly baseUrl: string };

type SimulatorProcess = {
  readonly url: string;
  /** Of its control plane: `state`, `accepted`, `duplicates`, … */
  ask<Answer>(what: string): Promise<Answer>;
  /** Every request and every callback so far. */
  journal(kind?: string): Promise<Record<string, unknown>[]>;
  useScenario(scenario: object): Promise<void>;
};

export type StageOptions = {
  readonly seed: number;
  readonly speed?: number;
  readonly scenario?: object;
  /** The public address that Twilio calls; null = nobody answers there. */
  readonly callbackUrl?: string;
  readonly postgresSettings?: Record<string, string>;
};

export const account = { sid: `AC${'0'.repeat(24)}c4a05000`, token: 'a-token-of-the-drill' };

export async function setStage(options: StageOptions): Promise<Stage> {
  const started = new AsyncDisposableStack();
  try {
    const folder = await mkdtemp(path.join(tmpdir(), 'polaris-sms-drill-'));
    started.defer(() => rm(folder, { recursive: true, force: true }));
    // Started by root, PostgreSQL runs as `nobody`, who must reach it.
    await chmod(folder, 0o755);
    const settings = { max_connections: '200', ...options.postgresSettings };
    const postgres = await startEmbeddedPostgres({ dataDir: folder, database: 'sms', settings });
    started.defer(() => postgres.stop());
    await migrateUp(postgres.url);
    const pool = new pg.Pool({ connectionString: postgres.url, max: 4 });
    pool.on('error', () => {});
    started.defer(() => pool.end());
    const simulator = await startSimulatorProcess(folder, options);
    started.defer(() => end(simulator.run));

    const query = async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
      (await pool.query<Row>(text, values)).rows;
    return {
      databaseUrl: postgres.url,
      query,
      simulator,
      startReplica: async (env = {}, nodeFlags = []) => {
        const replica = await runService(
          {
            DATABASE_URL: postgres.url,
            TWILIO_BASE_URL: simulator.url,
            TWILIO_ACCOUNT_SID: account.sid,
            TWILIO_AUTH_TOKEN: account.token,
            TWILIO_CALL_BACK_URL: options.callbackUrl ?? 'http://127.0.0.1:1/dhos/v1/sms/callback',
            LOG_LEVEL: 'WARN',
            ...env,
          },
          nodeFlags,
        );
        started.defer(() => end(replica));
        return replica;
      },
      crashPostgres: () => crash(pool),
      stop: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

async function startSimulatorProcess(folder: string, options: StageOptions) {
  const file = path.join(folder, 'scenario.json');
  await writeFile(file, JSON.stringify(options.scenario ?? { rules: [] }));
  const args = ['--port', '0', '--account', account.sid, '--token', account.token, '--scenario', file];
  const simulator = run(
    'src/simulator/index.ts',
    [...args, '--seed', String(options.seed), '--speed', String(options.speed ?? 1)],
    {},
  );
  const [url] = await simulator.printed(/http:\/\/127\.0\.0\.1:\d+/);
  const control = async (what: string, init?: RequestInit) => {
    const answer = await fetch(`${url}/_simulator/${what}`, init);
    if (!answer.ok) throw new Error(`the simulator answered ${answer.status} to ${what}: ${await answer.text()}`);
    return answer;
  };
  return {
    run: simulator,
    url,
    ask: async <Answer>(what: string) => (await (await control(what)).json()) as Answer,
    journal: async (kind?: string) => {
      const text = await (await control(`journal${kind === undefined ? '' : `?kind=${kind}`}`)).text();
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    useScenario: async (scenario: object) => {
      await control('scenario', { method: 'POST', body: JSON.stringify(scenario) });
    },
  };
}

/** A process that a drill has killed already is left alone; one that was stopped (SIGSTOP) is ended all the same. */
async function end({ child, ended }: Run): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  await ended;
}

async function crash(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  client.on('error', () => {});
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  // events.once would take the 'error' that comes with it for a failure.
  const gone = new Promise((resolve) => client.once('end', resolve));
  process.kill(rows[0]?.pid ?? 0, 'SIGKILL');
  await gone;
  client.release(true);
  // Recovery takes as long as it takes; the drill's own time limit ends it.
  for (;;) {
    if (await pool.query('SELECT 1').catch(() => null)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
