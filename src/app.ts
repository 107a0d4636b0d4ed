import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Clock, systemClock } from './clock.ts';
import type { Config, DatabaseConfig } from './config.ts';
import { openDb } from './db/db.ts';
import { checkDatabase, readHashKey } from './db/installation.ts';
import { migrateUp } from './db/migrate.ts';
import { shareCommits } from './db/shared-commits.ts';
import { listen } from './http/listen.ts';
import { buildServer } from './http/server.ts';
import { startBackground } from './jobs/background.ts';
import { bulkUpdate } from './jobs/bulk-update.ts';
import { retain } from './jobs/retention.ts';
import { startTimetable } from './jobs/timetable.ts';
import type { Log } from './log.ts';
import { acceptMessage } from './message/accept.ts';
import { joinKeptCallbacks, receiveCallback } from './message/callback.ts';
import { aboutOf, recordCallbacks, type ToRecord } from './message/callbacks.ts';
import { eraseMessage } from './message/erase.ts';
import { purgeKeys } from './message/idempotency-keys.ts';
import { makeKeyedHash } from './message/keyed-hash.ts';

import { oldestUnresolvedS } from './message/messages.ts';

import { collisionsOf, type Order, recordMessages } from './message/orders.ts';
import { recordEvidences, type Said } from './message/outcomes.ts';

import { type ReconcileDeps, reconcile } from './message/reconcile.ts';
import { makeRedactor } from './message/redact.ts';
import { oldestUnredactedS } from './message/redactions.ts';
import { type SendDeps, sendMessage } from './message/send.ts';
import { makeMetrics } from './metrics.ts';
import type { Simulator } from './simulator/simulator.ts';
import { statusCallbackUrl } from './twilio/callback-url.ts';
import { openTwilioClient } from './twilio/client.ts';
import { makePace, signOf } from './twilio/pace.ts';
import { makeSlots } from './twilio/slots.ts';
import { readVersion } from './version.ts';

export type Service = {
  /** Where it listens, on loopback when it listens everywhere. */
  readonly baseUrl: string;
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
};

const HOUR_MS = 3_600_000;
const RETENTION_EVERY_MS = 600_000;
const SWEEP_EVERY_MS = 20_000;

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
    const db = openDb({ url: databaseUrl, poolSize: config.database.poolSize });
    started.defer(() => db.close());

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
    const redactor = makeRedactor({
      db,
      twilio,
      log,
      pace: newPace(),
      maxConcurrency: config.twilio.maxConcurrency,
      callWithinMs: config.twilio.timeoutMs,
      stopping: stopping.signal,
      countRedaction: (result) => metrics.redactions.inc({ result }),
    });
    started.defer(() => redactor.drain());

    const onDuplicate = (messageId: string, twilioSid: string) => {
      metrics.duplicateHandovers.inc();
      log.error({ messageId, twilioSid }, 'Twilio has a second copy of a message: the patient may have got it twice');
    };

    const record = shareCommits({
      record: (orders: readonly Order[]) => recordMessages(db, orders),
      about: collisionsOf,
    });
    const recordCallback = shareCommits({
      record: (callbacks: readonly ToRecord[]) => recordCallbacks(db, callbacks),
      about: aboutOf,
    });
    const join = () => joinKeptCallbacks(db);
    const hash = makeKeyedHash(config.database.hashKey ?? (await readHashKey(db)));
    const { countryCode, retention } = config;
    const emptying = {
      db,
      hash,
      countryCode,
      countEmptied: (what: string, count: number) => metrics.emptied.inc({ what }, count),
    };
    const days = { text: retention.contentDays, number: retention.numberDays };
    const retaining = { ...emptying, log, days, stopping: stopping.signal };
    const timetable = startTimetable(
      [
        { name: 'join kept callbacks', everyMs: SWEEP_EVERY_MS, run: join },
        { name: 'redact second copies', everyMs: SWEEP_EVERY_MS, run: () => redactor.redactDuplicates() },
        { name: 'forget old idempotency keys', everyMs: HOUR_MS, run: () => purgeKeys(db) },
        ...(days.text + days.number > 0
          ? [{ name: 'retention', everyMs: RETENTION_EVERY_MS, run: () => retain(retaining) }]
          : []),
      ],
      log,
    );
    started.defer(() => timetable.stop());

    // Known once the server listens; nothing asks for it earlier.
    let baseUrl = '';
    const callbackUrl = () => config.twilio.callbackUrl ?? `${baseUrl}/dhos/v1/sms/callback`;
    const { settleMs, ambiguousSend, duplicateWindowS } = config.sending;
    const slots = makeSlots(config.twilio.maxConcurrency);
    const pace = newPace();
    const recordSaid = shareCommits({
      record: (said: readonly Said[]) => recordEvidences(db, said),
      about: ({ uuid }) => [uuid],
    });
    const sending: Omit<SendDeps, 'log'> = {
      db,
      clock,
      twilio,
      isQuiet,
      settleMs,
      recordAnswer: recordSaid,
      statusCallbackOf: (uuid, n) => statusCallbackUrl(callbackUrl(), config.twilio.callbackOverrides, { uuid, n }),
      onOutcome: (outcome) => {
        pace.note(signOf(outcome));
        metrics.countOutcome(outcome);
      },
      onDuplicate,
      random: Math.random,
    };
    const reconciling: ReconcileDeps = {
      db,
      twilio,
      log,
      isQuiet,
      record: recordSaid,
      onAsked: (how, result, count) => metrics.statusChecks.inc({ how, result }, count),
      onSilent: (count) => metrics.silent.inc(count),
      stopping: stopping.signal,
    };
    const startWork = () =>
      startBackground({
        db,
        log,
        slots,
        pace,
        callWithinMs: config.twilio.timeoutMs,
        settleMs,
        send: (licence) => sendMessage({ ...sending, log }, licence),
        resolve: {
          db,
          twilio,
          log,
          settleMs,
          mayResend: ambiguousSend === 'resolve',
          isQuiet,
          onLook: (look) => metrics.looks.inc({ look }),
          onDuplicate,
          random: Math.random,
        },
        reconcile: reconciling,
        redactor,
        onExpired: (count) => metrics.expired.inc(count),
        stopping: stopping.signal,
      });
    let work: ReturnType<typeof startBackground> | null = null;

    const app = await buildServer({
      log,
      metrics,
      isProduction: config.environment === 'PRODUCTION',
      sendMessage: {
        db,
        clock,
        slots,
        twilioTimeoutMs: config.twilio.timeoutMs,
        countryCode,
        isQuiet,
        accept: (order) => acceptMessage({ db, log, record, hash, settleMs, duplicateWindowS }, order),
        send: (licence, requestLog) => sendMessage({ ...sending, log: requestLog }, licence),
        onReady: (uuid) => work?.ready(uuid),
      },
      callbacks: {
        receive: (callback, claim) => receiveCallback(recordCallback, callback, claim),
        redactor,
        callbackUrl,
        authTokens: account.authTokens,
        accountSid: isQuiet ? null : account.accountSid,
        isQuiet,
        onDuplicate,
        countCallback: (result) => metrics.callbacks.inc({ result }),
      },
      erase: (uuid, tenant) => eraseMessage(emptying, uuid, tenant),
      bulkUpdate: {
        db,
        run: () =>
          bulkUpdate({
            db,
            log,
            joinKeptCallbacks: join,
            reconcile: (onProgress) => reconcile(reconciling, onProgress),
            redactor,
            isQuiet,
            onRemaining: (count) => metrics.bulkUpdateRemaining.set(count),
            stopping: stopping.signal,
          }),
      },
      health: {
        checks: {
          serving: async () => (stopping.signal.aborted ? 'shutting down' : 'ok'),
          database: () => checkDatabase(db),
        },
        registry: metrics.registry,
        version: readVersion(),
      },
    });
    // Together: a request and a piece of work may each take nearly as long as a stop may.
    started.defer(async () => {
      await Promise.all([app.close(), work?.stop()]);
    });
    baseUrl = await listen(app, config.listen);
    // Not before there is an address that Twilio can call back.
    work = startWork();
    return {
      baseUrl,
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

function newPace() {
  return makePace(() => performance.now(), Math.random);
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
