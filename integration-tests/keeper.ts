import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { readDatabaseConfig } from '../src/config.ts';
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import type { KeepersWord } from './own-service.ts';

/**
 * A process beside the runner. It starts PostgreSQL and the service under test, ends the service when told to, and
 * ends and removes everything as soon as the runner has gone: the closed channel says so, also after a kill -9.
 */

/** The environment in which the platform runs its tests. */
const quiet = {
  ENVIRONMENT: 'DEVELOPMENT',
  LOG_FORMAT: 'COLOUR',
  TWILIO_DISABLED: 'true',
  TWILIO_ACCOUNT_SID: 'test',
  TWILIO_AUTH_TOKEN: 'test',
  TWILIO_CALL_BACK_URL: 'http://dummy-callback-url',
};

const ROOT = path.join(import.meta.dirname, '..');
const READY_WITHIN_MS = 60_000;
/** The service itself gives up after 18 s. */
const END_WITHIN_MS = 25_000;

const runner = new AbortController();
process.on('disconnect', () => runner.abort());
const toldToEnd = once(process, 'message');
const gone = once(runner.signal, 'abort');

const started = new AsyncDisposableStack();
try {
  const folder = await makeFolder();
  const databaseUrl = await findDatabase(folder);
  const port = await freePort();
  const logFile = path.join(folder, 'service.log');
  const service = await startService(logFile, { DATABASE_URL: databaseUrl, PORT: String(port) });
  const baseUrl = `http://127.0.0.1:${port}`;
  await ready(baseUrl, service, logFile);
  say({ baseUrl, databaseUrl, logFile });
  await Promise.race([toldToEnd, gone]);
  say({ ended: await end(service) });
  await gone;
} catch (error) {
  say({ failed: error instanceof Error ? error.message : String(error) });
} finally {
  await started.disposeAsync();
  if (process.connected) process.disconnect();
}

function say(word: KeepersWord): void {
  if (process.connected) process.send?.(word);
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'polaris-sms-integration-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  // Started by root, PostgreSQL runs as `nobody`: a folder that it cannot reach would be replaced by one in /var/tmp.
  await chmod(folder, 0o755);
  return folder;
}

async function findDatabase(dataDir: string): Promise<string> {
  const { server } = readDatabaseConfig({ ...process.env, ENVIRONMENT: 'DEVELOPMENT' });
  if (server.kind === 'external') return server.url;
  const postgres = await startEmbeddedPostgres({ dataDir, database: 'sms' });
  started.defer(() => postgres.stop());
  return postgres.url;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port');
  return address.port;
}

async function startService(logFile: string, env: Readonly<Record<string, string>>): Promise<ChildProcess> {
  const log = await open(logFile, 'w');
  const service = spawn(process.execPath, ['src/index.ts'], {
    cwd: ROOT,
    env: { ...ambient(), ...quiet, LISTEN_ADDRESS: '127.0.0.1', ...env },
    stdio: ['ignore', log.fd, log.fd],
  });
  await log.close();
  started.defer(async () => {
    await end(service);
  });
  return service;
}

/** Nothing that would configure the service in another way than the platform does, save its pool of connections. */
function ambient(): NodeJS.ProcessEnv {
  const configures = /^(TWILIO_|LOG_|PORT$|SERVER_PORT$|COUNTRY_CODE$|AMBIGUOUS_SEND$|SETTLE_MS$|NODE_CHANNEL_)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !configures.test(name)));
}

async function end(service: ChildProcess): Promise<string> {
  if (!hasEnded(service)) {
    const exited = once(service, 'exit');
    const timer = setTimeout(() => service.kill('SIGKILL'), END_WITHIN_MS);
    service.kill('SIGTERM');
    await exited.finally(() => clearTimeout(timer));
  }
  return service.signalCode === null ? `exit code ${service.exitCode}` : `killed by ${service.signalCode}`;
}

function hasEnded(service: ChildProcess): boolean {
  return service.exitCode !== null || service.signalCode !== null;
}

async function ready(baseUrl: string, service: ChildProcess, logFile: string): Promise<void> {
  const patience = AbortSignal.any([runner.signal, AbortSignal.timeout(READY_WITHIN_MS)]);
  while (!patience.aborted && !hasEnded(service)) {
    if (await isHealthy(baseUrl, patience)) return;
    await wait(50);
  }
  throw new Error(`the service did not become ready; it said:\n${await readFile(logFile, 'utf8')}`);
}

async function isHealthy(baseUrl: string, signal: AbortSignal): Promise<boolean> {
  const answer = await fetch(`${baseUrl}/healthcheck`, { signal }).catch(() => null);
  await answer?.arrayBuffer();
  return answer?.ok === true;
}
