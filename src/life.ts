import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import type { Db } from './db/db.ts';
import { shareCommits } from './db/shared-commits.ts';
import type { NoteAudit } from './http/audit.ts';
import { countRecentlyRefused, watchRefusedCallbacks } from './http/refused-callbacks.ts';
import type { ServerDeps } from './http/server.ts';
import { type Background, startBackground } from './jobs/background.ts';
import { bulkUpdate } from './jobs/bulk-update.ts';
import { retain } from './jobs/retention.ts';
import type { Job } from './jobs/timetable.ts';
import type { Log } from './log.ts';
import { acceptMessage, findSentAgain } from './message/accept.ts';
import { makeDailyCount } from './message/allowances.ts';
import { joinKeptCallbacks, receiveCallback } from './message/callback.ts';
import { aboutOf, recordCallbacks, type ToRecord } from './message/callbacks.ts';
import { checkAll } from './message/checks.ts';
import { eraseMessage } from './message/erase.ts';
import { purgeKeys } from './message/idempotency-keys.ts';
import type { KeyedHash } from './message/keyed-hash.ts';
import { takeUp } from './message/open-messages.ts';
import { collisionsOf, type Order, recordMessages } from './message/orders.ts';
import { recordEvidences, type Said } from './message/outcomes.ts';
import { pollNow } from './message/poll-now.ts';
import { type ReconcileDeps, reconcile } from './message/reconcile.ts';
import { makeRedactor, type Redactor } from './message/redact.ts';
import type { Sealing } from './message/sealing.ts';
import { type SendDeps, sendMessage } from './message/send.ts';
import type { Metrics } from './metrics.ts';
import { addEntries, type Entry } from './tenant/audit-entries.ts';
import { purgeSessions } from './tenant/sessions.ts';
import { statusCallbackUrl } from './twilio/callback-url.ts';
import type { TwilioClient } from './twilio/client.ts';
import { makePace, signOf } from './twilio/pace.ts';
import { makeSlots } from './twilio/slots.ts';

export type LifeDeps = {
  readonly config: Config;
  readonly db: Db;
  readonly twilio: TwilioClient;
  /** Whose callbacks are ours. */
  readonly account: { readonly accountSid: string; readonly authTokens: readonly string[] };
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly hash: KeyedHash;
  readonly seal: Sealing['seal'];
  /** Known once the service listens; nothing asks for it earlier. */
  readonly callbackUrl: () => string;
  /** The ports on which callbacks arrive, known then as well. */
  readonly listenerPorts: () => readonly number[];
  /** Aborted when the service stops. */
  readonly stopping: AbortSignal;
};

/** The steps of a message's life, each built once: for the routes, for the claim loops, and what comes round. */
export type Life = {
  readonly doors: Pick<ServerDeps, 'sendMessage' | 'callbacks' | 'checks' | 'bulkUpdate' | 'erase' | 'poll' | 'note'>;
  readonly rounds: readonly Job[];
  /** Begins to claim what is due. */
  startWork(): Background;
  readonly redactor: Redactor;
};

const HOUR_MS = 3_600_000;
const RETENTION_EVERY_MS = 600_000;
const SWEEP_EVERY_MS = 20_000;
const TAKE_UP_AT_ONCE = 2_000;
/** For each place: with Twilio answering in a tenth of a second as many get one within the 2 s that they wait. */
const WAITING_FOR_A_PLACE = 20;

export function makeLife(deps: LifeDeps): Life {
  const { config, db, twilio, account, log, clock, metrics, hash, seal, callbackUrl, listenerPorts, stopping } = deps;
  const { settleMs, ambiguousSend, duplicateWindowS } = config.sending;
  const { timeoutMs, maxConcurrency, callbackOverrides } = config.twilio;
  const { countryCode, retention, limits } = config;
  const isQuiet = config.twilio.server === 'quiet';
  const slots = makeSlots(maxConcurrency, maxConcurrency * WAITING_FOR_A_PLACE);
  const countToday = makeDailyCount();
  const refusedOfLate = countRecentlyRefused(() => clock.now().getTime());
  const pace = newPace();
  const pollPace = newPace();
  let work: Background | null = null;

  const onDuplicate = (messageId: string, twilioSid: string) => {
    metrics.duplicateHandovers.inc();
    log.error({ messageId, twilioSid }, 'Twilio has a second copy of a message: the patient may have got it twice');
  };
  const recordOrder = shareCommits({
    record: (orders: readonly Order[]) => recordMessages(db, orders),
    about: collisionsOf,
  });
  const accepting = { db, log, record: recordOrder, hash, seal, settleMs, duplicateWindowS, limits, countToday };
  const recordSaid = shareCommits({
    record: (said: readonly Said[]) => recordEvidences(db, said),
    about: ({ uuid }) => [uuid],
  });
  const recordCallback = shareCommits({
    record: (callbacks: readonly ToRecord[]) => recordCallbacks(db, callbacks),
    about: aboutOf,
  });

  const addEntry = shareCommits({ record: (entries: readonly Entry[]) => addEntries(db, entries), about: () => [] });
  const note: NoteAudit = async (actor, entry) => {
    if (actor !== null) await addEntry({ actor, ...entry });
  };

  const redactor = makeRedactor({
    db,
    twilio,
    log,
    pace: newPace(),
    maxConcurrency,
    callWithinMs: timeoutMs,
    stopping,
    countRedaction: (result) => metrics.redactions.inc({ result }),
  });
  const sending: Omit<SendDeps, 'log'> = {
    db,
    clock,
    twilio,
    isQuiet,
    settleMs,
    recordAnswer: recordSaid,
    statusCallbackOf: (uuid, n) => statusCallbackUrl(callbackUrl(), callbackOverrides, { uuid, n }),
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
    stopping,
  };
  const emptying = {
    db,
    hash,
    countryCode,
    countEmptied: (what: string, count: number) => metrics.emptied.inc({ what }, count),
  };
  const join = () => joinKeptCallbacks(db);
  const days = { text: retention.contentDays, number: retention.numberDays };
  const isKeptForGood = days.text === 0 && days.number === 0;
  const retaining: Job = {
    name: 'retention',
    everyMs: RETENTION_EVERY_MS,
    run: () => retain({ ...emptying, log, days, stopping }),
  };

  return {
    redactor,
    doors: {
      sendMessage: {
        db,
        clock,
        slots,
        twilioTimeoutMs: timeoutMs,
        countryCode,
        isQuiet,
        accept: (order) => acceptMessage(accepting, order),
        findSentAgain: (asked) => findSentAgain(accepting, asked),
        send: (licence, requestLog) => sendMessage({ ...sending, log: requestLog }, licence),
        onReady: (uuid) => work?.ready(uuid),
        countRefused: (rule) => metrics.refused.inc({ rule }),
      },
      callbacks: {
        receive: (callback, claim) => receiveCallback(recordCallback, callback, claim),
        redactor,
        callbackUrl,
        authTokens: account.authTokens,
        apiKeySecret: config.twilio.apiKey?.secret ?? null,
        listenerPorts,
        refused: watchRefusedCallbacks({
          count: (reason) => {
            metrics.signatureFailures.inc({ reason });
            refusedOfLate.add(reason);
          },
          nowMs: () => performance.now(),
        }),
        accountSid: isQuiet ? null : account.accountSid,
        isQuiet,
        onDuplicate,
        countCallback: (result) => metrics.callbacks.inc({ result }),
      },
      poll: (message) => pollNow({ ...reconciling, pace: pollPace }, message),
      checks: { check: (reach) => checkAll({ db, log, refusedCallbacks: refusedOfLate.read }, reach) },
      erase: (uuid, tenant, author) => eraseMessage(emptying, uuid, tenant, author),
      note,
      bulkUpdate: {
        db,
        note,
        run: () =>
          bulkUpdate({
            db,
            log,
            joinKeptCallbacks: join,
            reconcile: (onProgress) => reconcile(reconciling, onProgress),
            redactor,
            isQuiet,
            onRemaining: (count) => metrics.bulkUpdateRemaining.set(count),
            stopping,
          }),
      },
    },
    rounds: [
      { name: 'join kept callbacks', everyMs: SWEEP_EVERY_MS, run: join },
      { name: 'take up messages from before', everyMs: SWEEP_EVERY_MS, run: () => takeUp(db, TAKE_UP_AT_ONCE) },
      { name: 'redact second copies', everyMs: SWEEP_EVERY_MS, run: () => redactor.redactDuplicates() },
      { name: 'forget old idempotency keys', everyMs: HOUR_MS, run: () => purgeKeys(db) },
      { name: 'forget sessions that have ended', everyMs: HOUR_MS, run: () => purgeSessions(db) },
      ...(isKeptForGood ? [] : [retaining]),
    ],
    startWork: () => {
      work = startBackground({
        db,
        log,
        slots,
        pace,
        callWithinMs: timeoutMs,
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
        stopping,
      });
      return work;
    },
  };
}

function newPace() {
  return makePace(() => performance.now(), Math.random);
}
