import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from './clock.ts';
import type { Config, DatabaseConfig } from './config.ts';
import { type Db, openDb } from './db/db.ts';
import { isMigrated, migrateUp } from './db/migrate.ts';
import { CannotStart } from './errors.ts';
import type { HttpApp } from './http/app-type.ts';
import { buildServer } from './http/server.ts';
import { bulkUpdate } from './jobs/bulk-update.ts';
import { startTimetable } from './jobs/timetable.ts';
import type { Log } from './log.ts';
import { joinKeptCallbacks, receiveCallback } from './message/callback.ts';
import { reconcile } from './message/reconcile.ts';
import { makeRedactor } from './message/redact.ts';
import { sendMessage } from './message/send.ts';
import { makeMetrics } from './metrics.ts';
import type { Simulator } from './simulator/simulator.ts';
import { statusCallbackUrl } from './twilio/callback-url.ts';
import { openTwilioClient } from './twilio/client.ts';
import { makeSlots } from './twilio/slots.ts';
import { readVersion } from './version.ts';

export type Service = {
  /** Where it listens, on loopback when it listens everywhere. */
  readonly baseUrl: string;
  readonly databaseUrl: string;
  /** Null when Twilio, or another server like it, is called. */
  readonly simulator: Simulator | null;
  /** Finishes what is in flight and stops everything it started, in reverse order (G8). */
  stop(): Promise<void>;
};

export type Options = {
  readonly log: Log;
  readonly clock?: Clock;
  /** Of the simulator: 1 = real time. */
  readonly simulatorSpeed?: number;
};

const SWEEP_EVERY_MS = 20_000;
/** A row that the platform's own SQL finished is left alone for so long: its tests read it unredacted first. */
const SWEEP_AFTER_MS = 60_000;

/** The composition root: builds each thing once and hands each only what it needs. */
export async function startService(
  config: Config,
  { log, clock = systemClock, simulatorSpeed = 1 }: Options,
): Promise<Service> {
  // What is started is stopped in reverse order, also when a later step fails.
  const started = new AsyncDisposableStack();
  const stopping = new AbortController();
  try {
    const databaseUrl = await findDatabase(config.database, log, started);
    const migrated = await migrateUp(databaseUrl);
    if (migrated.length > 0) log.info({ migrations: migrated }, 'the database was migrated');
    const db = openDb({ url: databaseUrl, poolSize: config.database.poolSize, clock });
    started.defer(() => db.close());

    const isQuiet = config.twilio.server === 'quiet';
    const simulator =
      config.twilio.server === 'twilio' ? null : await openSimulator({ quiet: isQuiet, speed: simulatorSpeed, clock });
    if (simulator !== null) started.defer(() => simulator.stop());
    const account = twilioAccount(config, simulator);
    const twilio = openTwilioClient({ ...config.twilio, ...account });
    started.defer(() => twilio.close());

    const metrics = makeMetrics(db.pool);
    const redactor = makeRedactor({
      db,
      twilio,
      log,
      maxConcurrency: config.twilio.maxConcurrency,
      stopping: stopping.signal,
      countRedaction: (result) => metrics.redactions.inc({ result }),
    });
    started.defer(() => redactor.drain());

    const join = () => joinKeptCallbacks(db);
    const timetable = startTimetable(
      [
        { name: 'join kept callbacks', everyMs: SWEEP_EVERY_MS, run: join },
        {
          name: 'redact what has ended',
          everyMs: SWEEP_EVERY_MS,
          run: () => redactor.redactFinished(new Date(clock.now().getTime() - SWEEP_AFTER_MS)),
        },
      ],
      log,
    );
    started.defer(() => timetable.stop());

    // Known once the server listens; nothing asks for it earlier.
    let baseUrl = '';
    const callbackUrl = () => config.twilio.callbackUrl ?? `${baseUrl}/dhos/v1/sms/callback`;
    const app = await buildServer({
      log,
      metrics,
      isProduction: config.environment === 'PRODUCTION',
      messages: {
        db,
        clock,
        slots: makeSlots(config.twilio.maxConcurrency),
        twilioTimeoutMs: config.twilio.timeoutMs,
        countryCode: config.countryCode,
        isQuiet,
        send: (accepted, to, requestLog) =>
          sendMessage(
            {
              db,
              clock,
              twilio,
              log: requestLog,
              isQuiet,
              statusCallbackOf: (uuid, n) =>
                statusCallbackUrl(callbackUrl(), config.twilio.callbackOverrides, { uuid, n }),
              countSend: (outcome) => metrics.sends.inc({ outcome }),
            },
            accepted,
            to,
          ),
      },
      callbacks: {
        receive: (callback, claimedUuid) => receiveCallback(db, callback, claimedUuid),
        redactor,
        callbackUrl,
        authTokens: account.authTokens,
        accountSid: isQuiet ? null : account.accountSid,
        isQuiet,
        countCallback: (result) => metrics.callbacks.inc({ result }),
      },
      bulkUpdate: () =>
        bulkUpdate({
          clock,
          log,
          joinKeptCallbacks: join,
          reconcile: () => reconcile({ db, clock, twilio, log, isQuiet, stopping: stopping.signal }),
          redactor,
          isQuiet,
        }),
      health: {
        checks: {
          serving: async () => (stopping.signal.aborted ? 'shutting down' : 'ok'),
          database: () => checkDatabase(db),
        },
        registry: metrics.registry,
        version: readVersion(),
      },
    });
    started.defer(() => app.close());
    baseUrl = await listen(app, config.listen);
    return {
      baseUrl,
      databaseUrl,
      simulator,
      stop: () => {
        stopping.abort();
        return started.disposeAsync();
      },
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
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

async function checkDatabase(db: Db): Promise<string> {
  const isCurrent = await isMigrated((text) => db.query<{ name: string }>({ text }));
  return isCurrent ? 'ok' : 'the newest migration is not applied: make migrate';
}

async function listen(app: HttpApp, { address, port }: Config['listen']): Promise<string> {
  await app.listen({ host: address, port }).catch((error: unknown) => {
    throw asCannotListen(error, address, port);
  });
  const bound = app.server.address();
  const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port;
  const isEverywhere = address === '0.0.0.0' || address === '::';
  const host = isEverywhere ? '127.0.0.1' : address.includes(':') ? `[${address}]` : address;
  return `http://${host}:${boundPort}`;
}

function asCannotListen(error: unknown, address: string, port: number): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  if (code === 'EADDRINUSE') {
    return new CannotStart(
      `Port ${port} is in use: stop what uses it, or choose another one, for example PORT=${port + 1}.`,
      { cause: error },
    );
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL') {
    return new CannotStart(`The service may not listen on ${address}, port ${port}: set LISTEN_ADDRESS or PORT.`, {
      cause: error,
    });
  }
  return error;
}
