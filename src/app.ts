import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from './clock.ts';
import type { Config } from './config.ts';
import type { DatabaseConfig } from './config-database.ts';
import { openDb } from './db/db.ts';
import { checkDatabase, readHashKey } from './db/installation.ts';
import { migrateUp } from './db/migrate.ts';
import { openStreams } from './db/streams.ts';
import type { ConsoleDeps } from './http/console.ts';
import { readConsole } from './http/console-files.ts';
import type { Route } from './http/identity.ts';
import { listen } from './http/listen.ts';
import type { Rule } from './http/refused.ts';
import { buildCallbackServer, buildServer } from './http/server.ts';
import type { Background } from './jobs/background.ts';
import { startTimetable } from './jobs/timetable.ts';
import { makeLife } from './life.ts';
import type { Log } from './log.ts';
import { makeKeyedHash } from './message/keyed-hash.ts';
import { oldestUnresolvedS } from './message/messages.ts';
import { oldestUnredactedS } from './message/redactions.ts';
import { makeSealing, openRow } from './message/sealing.ts';
import { makeMetrics } from './metrics.ts';
import type { Simulator } from './simulator/simulator.ts';
import { checkAuthMode } from './tenant/auth-mode.ts';
import { makeAuthenticate } from './tenant/authenticate.ts';
import { openTwilioClient } from './twilio/client.ts';
import { readVersion } from './version.ts';

export type Service = {
  /** Where it listens, on loopback when it listens everywhere. */
  readonly baseUrl: string;
  /** Where it takes callbacks and nothing else; null without CALLBACK_PORT. */
  readonly callbackBaseUrl: string | null;
  readonly databaseUrl: string;
  /** Null when Twilio, or another server like it, is called. */
  readonly simulator: Simulator | null;
  /**
   * Says that it is not ready, goes on serving for `afterMs`, then finishes what is in flight and stops everything it
   * started, in reverse order (G8).
   */
  stop(options?: { afterMs?: number }): Promise<void>;
};

export type Options = {
  readonly log: Log;
  readonly clock?: Clock;
  /** Of the simulator: 1 = real time. */
  readonly simulatorSpeed?: number;
  /** Is told of every route, so that a test can walk all of them. */
  readonly onRoute?: (route: Route) => void;
  /** For how long an answer of the checks stands. */
  readonly checksKeptMs?: number;
  /** Where the console was built. */
  readonly consoleFolder?: string;
};

const builtConsole = fileURLToPath(new URL('../dist/console', import.meta.url));

/** The composition root: database, Twilio, the steps of a message's life (life.ts), server, in this order. */
export async function startService(
  config: Config,
  {
    log,
    clock = systemClock,
    simulatorSpeed = 1,
    onRoute = () => {},
    checksKeptMs,
    consoleFolder = builtConsole,
  }: Options,
): Promise<Service> {
  // What is started is stopped in reverse order, also when a later step fails.
  const started = new AsyncDisposableStack();
  const stopping = new AbortController();
  try {
    const databaseUrl = await findDatabase(config.database, log, started);
    const migrated = await migrateUp(databaseUrl);
    if (migrated.length > 0) log.info({ migrations: migrated }, 'the database was migrated');
    const sealing = makeSealing(config.database.contentKeys);
    const readText = openRow(sealing);
    const db = openDb({ url: databaseUrl, poolSize: config.database.poolSize, readText });
    started.defer(() => db.close());
    await checkAuthMode(config, db, log);
    const streams = openStreams({ url: databaseUrl, readText });
    started.defer(() => streams.close());

    const isQuiet = config.twilio.server === 'quiet';
    const simulator =
      config.twilio.server === 'twilio' ? null : await openSimulator({ quiet: isQuiet, speed: simulatorSpeed, clock });
    if (simulator !== null) started.defer(() => simulator.stop());
    const account = twilioAccount(config, simulator);
    const twilio = openTwilioClient({ ...config.twilio, ...account });
    started.defer(() => twilio.close());

    const metrics = makeMetrics(db.pool, {
      unredactedS: () => oldestUnredactedS(db),
      unresolvedS: () => oldestUnresolvedS(db),
    });
    const { mode, isChosen } = config.auth;
    metrics.authentication.set({ mode, chosen: isChosen ? 'yes' : 'no' }, 1);
    const hash = makeKeyedHash(config.database.hashKey ?? (await readHashKey(db)));
    if (config.environment === 'PRODUCTION' && config.limits.allowedCountries === null) {
      log.warn('ALLOWED_COUNTRIES is not set: texts are sent to numbers of every country');
    }
    const { callbackPort } = config.listen;
    let baseUrl = '';
    let callbackBaseUrl: string | null = null;
    const life = makeLife({
      config,
      db,
      twilio,
      account,
      log,
      clock,
      metrics,
      hash,
      seal: sealing.seal,
      callbackUrl: () => config.twilio.callbackUrl ?? `${baseUrl}/dhos/v1/sms/callback`,
      listenerPorts: () => [baseUrl, callbackBaseUrl ?? baseUrl].map((url) => Number(URL.parse(url)?.port || 80)),
      stopping: stopping.signal,
    });
    started.defer(() => life.redactor.drain());
    const timetable = startTimetable(life.rounds, log);
    started.defer(() => timetable.stop());

    let work: Background | null = null;
    const limits = { ...config.limits.requests, countRefused: (rule: Rule) => metrics.refused.inc({ rule }) };
    const callbackApp =
      callbackPort === null ? null : await buildCallbackServer({ log, metrics, limits, ...life.doors });
    const app = await buildServer({
      log,
      metrics,
      isProduction: config.environment === 'PRODUCTION',
      limits,
      ...life.doors,
      checks: { ...life.doors.checks, ...(checksKeptMs !== undefined && { keptMs: checksKeptMs }) },
      identity: {
        authenticate: config.auth.mode === 'apikey' ? makeAuthenticate({ db, log }) : null,
        countRefused: (reason) => metrics.callersRefused.inc({ reason }),
        onRoute,
      },
      lists: { note: life.doors.note, db, streams, hash, countryCode: config.countryCode },
      health: {
        checks: {
          serving: async () => (stopping.signal.aborted ? 'shutting down' : 'ok'),
          database: () => checkDatabase(db),
        },
        registry: metrics.registry,
        version: readVersion(),
      },
      console: { files: await readConsole(consoleFolder), door: consoleDoor(config) },
    });
    // Together: a request and a piece of work may each take nearly as long as a stop may.
    started.defer(async () => {
      await Promise.all([app.close(), callbackApp?.close(), work?.stop()]);
    });
    baseUrl = await listen(app, config.listen);
    if (callbackApp !== null && callbackPort !== null) {
      callbackBaseUrl = await listen(callbackApp, { ...config.listen, port: callbackPort }, 'CALLBACK_PORT');
    }
    // Not before there is an address that Twilio can call back.
    work = life.startWork();
    return {
      baseUrl,
      callbackBaseUrl,
      databaseUrl,
      simulator,
      stop: async ({ afterMs = 0 } = {}) => {
        stopping.abort();
        // Readiness says 503 by now; whoever sends requests here has so long to notice.
        await delay(afterMs);
        await started.disposeAsync();
      },
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

function consoleDoor({ auth, environment }: Config): ConsoleDeps['door'] {
  if (auth.mode === 'apikey') return 'open';
  return environment === 'DEVELOPMENT' ? 'this machine' : 'closed';
}

/** Loaded only where it is used, as the embedded PostgreSQL is: a production process carries neither. */
async function openSimulator(options: { quiet: boolean; speed: number; clock: Clock }): Promise<Simulator> {
  const { startSimulator } = await import('./simulator/simulator.ts');
  return startSimulator(options);
}

async function findDatabase(config: DatabaseConfig, log: Log, started: AsyncDisposableStack): Promise<string> {
  if (config.server.kind === 'external') return config.server.url;
  const { startEmbeddedPostgres } = await import('./db/embedded.ts');
  const postgres = await startEmbeddedPostgres({
    dataDir: config.dataDir,
    database: 'sms',
    onProgress: (line) => log.info(line),
  });
  started.defer(() => postgres.stop());
  return postgres.url;
}

/** Whose account is used: the configured one, else the simulator's. A token of its own when nothing ever calls back. */
function twilioAccount(config: Config, simulator: Simulator | null) {
  const { accountSid, authTokens } = config.twilio;
  const baseUrl = simulator?.baseUrl ?? config.twilio.baseUrl;
  if (config.twilio.server === 'lively' && simulator !== null) {
    return { baseUrl, accountSid: simulator.accountSid, authTokens: [simulator.authToken] };
  }
  return { baseUrl, accountSid, authTokens: authTokens.length > 0 ? authTokens : [randomBytes(16).toString('hex')] };
}
