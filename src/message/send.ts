import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { DatabaseUnavailable, type Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import type { TwilioClient } from '../twilio/client.ts';
import { meaningOf } from '../twilio/error-codes.ts';
import { type CreateOutcome, mayBeTakenLater } from '../twilio/outcome.ts';
import { closingOf } from './attempts.ts';
import { claimCallbacks } from './callbacks.ts';
import { evidenceOf, evidenceOfCallback } from './evidence.ts';
import type { Message } from './message.ts';
import { getMessage } from './messages.ts';
import {
  type AttemptId,
  type EvidenceRecorded,
  recordEvidence,
  recordPutBack,
  recordRefused,
  recordRetry,
  recordUnknown,
  type Said,
  SidTaken,
} from './outcomes.ts';
import { TextSealed } from './sealing.ts';

/** Who has the message now (CONTRACT.md, "Who owns the message after the answer"). */
export type Sent =
  | { readonly kind: 'handed over'; readonly message: Message }
  /** Twilio may or may not have it, or it waits to be sent: this service owns it to its end. */
  | { readonly kind: 'ours'; readonly message: Message }
  /** Never will be sent: the request has to change. */
  | { readonly kind: 'refused'; readonly message: Message; readonly code: string | null; readonly reason: string }
  /** Was not and will not be sent; asking again is safe. */
  | { readonly kind: 'not sent'; readonly message: Message; readonly reason: string; readonly retryAfterS: number };

export type SendDeps = {
  readonly db: Db;
  readonly clock: Clock;
  readonly twilio: TwilioClient;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly isQuiet: boolean;
  readonly recordAnswer: (said: Said) => Promise<EvidenceRecorded>;
  readonly settleMs: number;
  readonly statusCallbackOf: (uuid: string, attempt: number) => string;
  readonly onOutcome: (outcome: CreateOutcome) => void;
  readonly onDuplicate: (uuid: string, twilioSid: string) => void;
  /** Draws from 0 to 1, for pauses that shall not meet. */
  readonly random: () => number;
};

/** A licence to call Twilio: committed as attempt n, good until `giveUpAt`, in milliseconds of `performance.now`. */
export type Licence = {
  readonly message: Message;
  readonly n: number;
  readonly giveUpAt: number;
  /**
   * Does a caller wait for the answer? For it a message that Twilio does not take ends; one that nobody waits for is put
   * back and tried again.
   */
  readonly isAwaited: boolean;
};

/** An exchange that cannot have this long is not begun. */
const LEAST_EXCHANGE_MS = 50;
/** How long the answer waits for a database that went away during the exchange; the callback, or the resolver, completes the row later. */
export const RECORDING_MS = 3_000;
const RECORDING_PAUSE_MS = 100;
const RETRY_AFTER_S = 30;
/** A POST is tried so often when Twilio has too many requests (GUARANTEES.md, faults). */
const TRIES = 3;

/** Hands a message to Twilio and records what Twilio said. No connection or transaction is held during the call. */
export async function sendMessage(deps: SendDeps, licence: Licence): Promise<Sent> {
  const outcome = await callTwilio(deps, licence);
  deps.onOutcome(outcome);
  const again = licence.isAwaited ? await licenceToRetry(deps, licence, outcome) : null;
  if (again !== null) return sendMessage(deps, again);
  logOutcome(deps.log, licence.message.uuid, outcome);
  const recorded = await recordOutcome(deps, licence, outcome);
  // What is not on record must not be promised: the row still says that Twilio may have it.
  if (recorded === null && outcome.kind !== 'accepted') return { kind: 'ours', message: licence.message };
  return sentOf(outcome, recorded ?? messageAfter(licence.message, outcome));
}

async function callTwilio(deps: SendDeps, { message, n, giveUpAt }: Licence): Promise<CreateOutcome> {
  const timeoutMs = giveUpAt - performance.now();
  // Also the end of a process that slept: its time is over, and somebody else may be at work on the message.
  if (timeoutMs < LEAST_EXCHANGE_MS)
    return { kind: 'not processed', reason: 'no time was left for the call', isOurs: true };
  const validForS =
    message.valid_until === null ? null : (message.valid_until.getTime() - deps.clock.now().getTime()) / 1000;
  if (validForS !== null && validForS < 1)
    return { kind: 'not processed', reason: 'its valid_until has come', isOurs: true };
  const body = textOf(message);
  if (body === null) return { kind: 'not processed', reason: 'its text cannot be opened', isOurs: true };
  return deps.twilio.create({
    from: message.sender,
    to: message.receiver_e164 ?? '',
    body,
    statusCallback: deps.statusCallbackOf(message.uuid, n),
    validForS,
    timeoutMs,
  });
}

/** Null: it is sealed with a key that we do not have, or not for this message. What comes out must not go to a patient. */
function textOf(message: Message): string | null {
  try {
    return message.content;
  } catch (error) {
    if (!(error instanceof TextSealed)) throw error;
    return null;
  }
}

/** Too many requests: after a pause, and a licence of its own, a POST may try again while its time lasts (G3). */
async function licenceToRetry(deps: SendDeps, licence: Licence, outcome: CreateOutcome): Promise<Licence | null> {
  if (outcome.kind !== 'refused' || outcome.httpStatus !== 429 || licence.n >= TRIES) return null;
  const pauseMs = outcome.retryAfterS === null ? deps.random() * 500 * 2 ** licence.n : outcome.retryAfterS * 1000;
  const withinMs = Math.floor(licence.giveUpAt - performance.now() - pauseMs);
  if (withinMs < LEAST_EXCHANGE_MS * 2) return null;
  await delay(pauseMs);
  const { message, n } = licence;
  const next = { withinMs, settleMs: deps.settleMs };
  const isLicensed = await recordRetry(deps.db, { uuid: message.uuid, n }, closingOf(outcome), next).catch(() => null);
  return isLicensed === 'licensed' ? { ...licence, n: n + 1 } : null;
}

/** The message as it stands after the outcome is recorded; null when the database is gone for long. */
async function recordOutcome(deps: SendDeps, licence: Licence, outcome: CreateOutcome): Promise<Message | null> {
  const giveUpAt = performance.now() + RECORDING_MS;
  for (;;) {
    try {
      return await record(deps, licence, outcome);
    } catch (error) {
      if (error instanceof SidTaken) {
        deps.log.error(
          { messageId: licence.message.uuid },
          'Twilio answered with the SID of another message: outcome unknown',
        );
        outcome = { kind: 'unknown', httpStatus: 201, reason: 'the SID belongs to another message' };
      } else if (!(error instanceof DatabaseUnavailable) || performance.now() > giveUpAt) {
        deps.log.error(
          { err: error, messageId: licence.message.uuid, outcome: outcome.kind },
          'an outcome was not recorded',
        );
        return null;
      }
      await delay(RECORDING_PAUSE_MS);
    }
  }
}

async function record(deps: SendDeps, licence: Licence, outcome: CreateOutcome): Promise<Message> {
  const attempt = { uuid: licence.message.uuid, n: licence.n };
  switch (outcome.kind) {
    case 'accepted':
      return recordAccepted(deps, attempt, outcome);
    case 'unknown':
      return recordUnknown(deps.db, attempt, closingOf(outcome));
    case 'refused':
    case 'not processed':
      if (!licence.isAwaited && mayBeTakenLater(outcome)) {
        return recordPutBack(deps.db, attempt, closingOf(outcome), pauseBefore(licence.n, outcome, deps.random()));
      }
      return recordRefused(deps.db, attempt, closingOf(outcome), {
        ...errorOf(outcome),
        freesKey: mayBeTakenLater(outcome),
      });
    default:
      return outcome satisfies never;
  }
}

async function recordAccepted(
  deps: SendDeps,
  { uuid, n }: AttemptId,
  outcome: Extract<CreateOutcome, { kind: 'accepted' }>,
): Promise<Message> {
  const evidence = evidenceOf(outcome.message, 'answer', deps.isQuiet);
  const { message, isDuplicate, hasKept } = await deps.recordAnswer({ uuid, attempt: n, evidence });
  if (isDuplicate) deps.onDuplicate(uuid, evidence.twilioSid);
  if (!hasKept) return message;
  // Callbacks that outran this answer and did not carry our id.
  return deps.db.transaction(async (tx) => {
    for (const callback of await claimCallbacks(tx, uuid, evidence.twilioSid)) {
      await recordEvidence(tx, uuid, evidenceOfCallback(callback, callback.received), null);
    }
    return (await getMessage(tx, uuid)) ?? message;
  });
}

const LONGEST_PAUSE_MS = 5 * 60_000;

/** Before attempt n + 1 of a message that nobody waits for: what Twilio asked for, or twice as long each time, with jitter. */
function pauseBefore(n: number, outcome: NotAccepted, draw: number): number {
  const asked = outcome.kind === 'refused' ? (outcome.retryAfterS ?? 0) * 1000 : 0;
  const backOff = Math.min(LONGEST_PAUSE_MS, 1000 * 2 ** Math.min(n, 20)) * (0.5 + draw / 2);
  return Math.ceil(Math.min(LONGEST_PAUSE_MS, Math.max(asked, backOff)));
}

function messageAfter(message: Message, outcome: CreateOutcome): Message {
  if (outcome.kind !== 'accepted') return message;
  return { ...message, twilio_sid: outcome.message.sid, status: outcome.message.status };
}

type NotAccepted = Extract<CreateOutcome, { kind: 'refused' | 'not processed' }>;

/** In our words: Twilio's own sentences repeat the number. */
function errorOf(outcome: NotAccepted): { code: string | null; message: string } {
  if (outcome.kind === 'not processed') return { code: null, message: `Twilio was not reached: ${outcome.reason}.` };
  return { code: outcome.code, message: meaningOf(outcome.code) ?? 'Twilio refused the message.' };
}

function sentOf(outcome: CreateOutcome, message: Message): Sent {
  // Whatever the answer was, a callback or a look may have proved meanwhile that Twilio has it.
  if (message.twilio_sid !== null) return { kind: 'handed over', message };
  // Or somebody else goes on with it: our slow refusal of an old attempt is no promise.
  if (message.status !== 'error' || outcome.kind === 'accepted' || outcome.kind === 'unknown') {
    return { kind: 'ours', message };
  }
  const reason = errorOf(outcome).message;
  if (!mayBeTakenLater(outcome)) {
    return { kind: 'refused', message, code: outcome.kind === 'refused' ? outcome.code : null, reason };
  }
  const retryAfterS = (outcome.kind === 'refused' ? outcome.retryAfterS : null) ?? RETRY_AFTER_S;
  return { kind: 'not sent', message, reason, retryAfterS: Math.ceil(retryAfterS) };
}

function logOutcome(log: SendDeps['log'], messageId: string, outcome: CreateOutcome): void {
  switch (outcome.kind) {
    case 'accepted':
      log.info({ messageId, twilioSid: outcome.message.sid }, 'handed to Twilio');
      break;
    case 'refused': {
      const { errorClass, httpStatus, code } = outcome;
      const needsSomebody = errorClass === 'account' || errorClass === 'configuration';
      log[needsSomebody ? 'error' : 'warn']({ messageId, errorClass, httpStatus, code }, 'refused by Twilio');
      break;
    }
    case 'not processed':
      log.warn({ messageId, reason: outcome.reason }, 'not handed to Twilio');
      break;
    case 'unknown':
      log.warn({ messageId, httpStatus: outcome.httpStatus, reason: outcome.reason }, 'Twilio may or may not have it');
      break;
    default:
      outcome satisfies never;
  }
}
