import { AssertionError } from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { readDatabaseConfig } from '../src/config.ts';
import { CannotStart } from '../src/errors.ts';
import { type OwnService, startOwnService } from './own-service.ts';
import { openPlatform, type Platform, type Target } from './platform.ts';
import { type Scenario, scenarios } from './scenarios.ts';

const help = `The platform's own use of the service, as black-box scenarios against a running one. See README.md.

node integration-tests/run.ts [options]     Starts the service in quiet mode, with an embedded PostgreSQL in a
                                            temporary folder unless DATABASE_* names one, and stops both.
  --runs N              all scenarios N times in the one service (1)
  --base-url URL        a service that runs already, in quiet mode; or BASE_URL
  --database-url URL    its PostgreSQL, or DATABASE_URL; without it the scenarios that need SQL are skipped
  --callback-url URL    its TWILIO_CALL_BACK_URL (http://dummy-callback-url)
  --auth-token TOKEN    its TWILIO_AUTH_TOKEN (test)
  --help

Exit code 0: all passed. 1: one failed, or nothing could be run.`;

type Options = { readonly runs: number; readonly running: Target | null };
type Tally = { passed: number; failed: number; skipped: number };

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort(signal));

try {
  const options = readOptions();
  if (options === 'help') console.log(help);
  else process.exitCode = (await run(options)) ? 0 : 1;
} catch (error) {
  const words = interruption.signal.aborted ? `ended by ${interruption.signal.reason}` : describe(error);
  console.error(words);
  process.exitCode = 1;
}

function readOptions(): Options | 'help' {
  const names = ['runs', 'base-url', 'database-url', 'callback-url', 'auth-token'] as const;
  const text = { type: 'string' } as const;
  const options = { help: { type: 'boolean' }, ...Object.fromEntries(names.map((name) => [name, text])) } as const;
  const { values } = parseArgs({ options });
  const given = new Map(Object.entries(values).map(([name, value]) => [name, String(value)]));
  if (given.has('help')) return 'help';
  const runs = given.get('runs') ?? '1';
  if (!/^[1-9]\d{0,5}$/.test(runs)) throw new CannotStart('--runs takes a whole number from 1 on');
  return { runs: Number(runs), running: readRunning(given) };
}

function readRunning(given: ReadonlyMap<string, string>): Target | null {
  const baseUrl = given.get('base-url') ?? process.env.BASE_URL;
  if (!baseUrl) {
    const [pointless] = ['database-url', 'callback-url', 'auth-token'].filter((name) => given.has(name));
    if (pointless) throw new CannotStart(`--${pointless} goes with --base-url`);
    return null;
  }
  return {
    baseUrl: baseUrl.replace(/\/+$/, ''),
    databaseUrl: given.get('database-url') ?? databaseOfEnvironment(),
    callbackUrl: given.get('callback-url') ?? 'http://dummy-callback-url',
    authToken: given.get('auth-token') ?? 'test',
  };
}

function databaseOfEnvironment(): string | null {
  const { server } = readDatabaseConfig({ ...process.env, ENVIRONMENT: 'DEVELOPMENT' });
  return server.kind === 'external' ? server.url : null;
}

/** True when all passed. */
async function run({ runs, running }: Options): Promise<boolean> {
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  if (running !== null) await runAgainst(running, runs, tally);
  else await runAgainstOwnService(runs, tally);
  console.log(`${tally.passed} passed, ${tally.failed} failed${tally.skipped > 0 ? `, ${tally.skipped} skipped` : ''}`);
  return tally.failed === 0;
}

async function runAgainstOwnService(runs: number, tally: Tally): Promise<void> {
  const service = await startOwnService(interruption.signal);
  try {
    const { baseUrl, databaseUrl } = service;
    await runAgainst(
      { baseUrl, databaseUrl, callbackUrl: 'http://dummy-callback-url', authToken: 'test' },
      runs,
      tally,
    );
    await runScenario('SIGTERM ends the service, with exit code 0', () => endsWell(service), tally);
    if (tally.failed > 0) console.log(`The last lines of the service:\n${await service.lastWords()}`);
  } finally {
    await service.cleanUp();
  }
}

async function endsWell(service: OwnService): Promise<void> {
  const how = await service.end();
  if (how !== 'exit code 0') throw new Error(`expected: exit code 0\nactual:   ${how}`);
}

async function runAgainst(target: Target, runs: number, tally: Tally): Promise<void> {
  const platform = openPlatform(target, interruption.signal);
  try {
    for (let n = 1; n <= runs; n++) {
      if (runs > 1) console.log(`run ${n} of ${runs}`);
      for (const scenario of scenarios) await runOn(platform, scenario, tally);
    }
  } finally {
    await platform.close();
  }
}

async function runOn(platform: Platform, { name, needsSql, run }: Scenario, tally: Tally): Promise<void> {
  if (needsSql && platform.target.databaseUrl === null) {
    tally.skipped += 1;
    console.log(`skipped           ${name} (no --database-url)`);
    return;
  }
  await runScenario(name, () => run(platform), tally);
}

async function runScenario(name: string, play: () => Promise<void>, tally: Tally): Promise<void> {
  const start = performance.now();
  const error = await play().then(
    () => null,
    (thrown: unknown) => thrown ?? 'nothing was thrown',
  );
  interruption.signal.throwIfAborted();
  const took = `${Math.round(performance.now() - start)} ms`.padStart(8);
  console.log(`${error === null ? 'passed' : 'FAILED'}  ${took}  ${name}`);
  if (error === null) tally.passed += 1;
  else tally.failed += 1;
  if (error !== null) console.log(describe(error).replaceAll(/^/gm, '    '));
}

/** What was expected, what came, and where in the scenarios; a refused connection with its cause. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof CannotStart) return error.message;
  const cause = error.cause instanceof Error ? `: ${error.cause.message || String(error.cause)}` : '';
  const where = /\(?(?:file:\/\/)?\S*\/(integration-tests\/scenarios\.ts:\d+):\d+\)?/.exec(error.stack ?? '')?.[1];
  const kind = error instanceof AssertionError || error.name === 'Error' ? '' : `${error.name}: `;
  return `${kind}${error.message}${cause}${where === undefined ? '' : `\nat ${where}`}`;
}
