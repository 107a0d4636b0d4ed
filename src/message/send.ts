import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { DatabaseUnavailable, type Db, type Tx } from '../db/db.ts';
import type { Log } from '../log.ts';
import type { TwilioClient } from '../twilio/client.ts';
import { meaningOf } from '../twilio/error-codes.ts';
import type { CreateOutcome } from '../twilio/outcome.ts';
import type { Accepted } from './accept.ts';
import { closeAttempt, type Outcome } from './attempts.ts';
import { claimCallbacks } from './callbacks.ts';
import { evidenceOf, evidenceOfCallback } from './evidence.ts';
import type { Message } from './message.ts';
import { getMessage, recordError, recordEvidence, SidTaken } from './messages.ts';

/** Who has the message now (CONTRACT.md, "Who owns the message after the answer"). */
export type Sent =
  | { readonly kind: 'handed over'; readonly message: Message }
  /** Twilio may or may not have it: this service follows it. */
  | { readonly kind: 'unknown'; readonly message: Message }
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
  readonly statusCallbackOf: (uuid: string, attempt: number) => string;
  readonly countSend: (outcome: Outcome) => void;
};

/** An exchange that cannot have this long is not begun. */
const LEAST_EXCHANGE_MS = 1_000;
/** How long the answer waits for a database that went away during the exchange; the callback completes the row later. */
export const RECORDING_MS = 3_000;
const RECORDING_PAUSE_MS = 100;
const RETRY_AFTER_S = 30;

/** Hands attempt n to Twilio and records what Twilio said. No connection or transaction is held during the call. */
export async function sendMessage(deps: SendDeps, accepted: Accepted, to: string): Promise<Sent> {
  const { message, attempt } = accepted;
  const timeoutMs = attempt.deadline.getTime() - deps.clock.now().getTime();
  const outcome: CreateOutcome =
    timeoutMs < LEAST_EXCHANGE_MS
      ? { kind: 'not processed', reason: 'no time was left for the call' }
      : await deps.twilio.create({
          from: message.sender,
          to,
          body: message.content,
          statusCallback: deps.statusCallbackOf(message.uuid, attempt.n),
          timeoutMs,
        });
  deps.countSend(outcome.kind);
  logOutcome(deps.log, message.uuid, outcome);
  const { message: recorded, isRecorded } = await recordOutcome(deps, accepted, outcome);
  // A refusal that is not on record must not be promised: the row still says that Twilio may have it.
  if (!isRecorded && outcome.kind !== 'accepted') return { kind: 'unknown', message };
  return sentOf(outcome, recorded);
}

/** The message as it stands after the outcome is recorded; what it must look like, when the database is gone for long. */
async function recordOutcome(
  deps: SendDeps,
  { message, attempt }: Accepted,
  outcome: CreateOutcome,
): Promise<{ message: Message; isRecorded: boolean }> {
  const record = (tx: Tx) => recordInTransaction(deps, tx, { uuid: message.uuid, n: attempt.n, outcome });
  const giveUpAt = deps.clock.now().getTime() + RECORDING_MS;
  for (;;) {
    try {
      return { message: await deps.db.transaction(record), isRecorded: true };
    } catch (error) {
      if (error instanceof SidTaken) {
        deps.log.error({ messageId: message.uuid }, 'Twilio answered with the SID of another message: outcome unknown');
        outcome = { kind: 'unknown', httpStatus: 201, reason: 'the SID belongs to another message' };
      } else if (!(error instanceof DatabaseUnavailable) || deps.clock.now().getTime() > giveUpAt) {
        deps.log.error({ err: error, messageId: message.uuid, outcome: outcome.kind }, 'an outcome was not recorded');
        return { message: messageAfter(message, outcome), isRecorded: false };
      }
      await delay(RECORDING_PAUSE_MS);
    }
  }
}

async function recordInTransaction(
  deps: SendDeps,
  tx: Tx,
  { uuid, n, outcome }: { uuid: string; n: number; outcome: CreateOutcome },
): Promise<Message> {
  if (outcome.kind === 'accepted') {
    await recordEvidence(tx, uuid, evidenceOf(outcome.message, 'answer', deps.isQuiet));
    // Callbacks that outran this answer and did not carry our id.
    for (const callback of await claimCallbacks(tx, uuid, outcome.message.sid)) {
      await recordEvidence(tx, uuid, evidenceOfCallback(callback));
    }
  }
  if (outcome.kind === 'refused' || outcome.kind === 'not processed') await recordError(tx, uuid, errorOf(outcome));
  await closeAttempt(tx, {
    uuid,
    n,
    outcome: outcome.kind,
    httpStatus: 'httpStatus' in outcome ? outcome.httpStatus : null,
    errorCode: 'code' in outcome ? outcome.code : null,
  });
  const message = await getMessage(tx, uuid);
  if (message === null) throw new Error('the message is no longer in the table');
  return message;
}

function messageAfter(message: Message, outcome: CreateOutcome): Message {
  if (outcome.kind === 'unknown') return message;
  if (outcome.kind === 'accepted') {
    return { ...message, twilio_sid: outcome.message.sid, status: outcome.message.status };
  }
  const error = errorOf(outcome);
  return { ...message, status: 'error', error_code: error.code, error_message: error.message };
}

type NotAccepted = Extract<CreateOutcome, { kind: 'refused' | 'not processed' }>;

/** In our words: Twilio's own sentences repeat the number. */
function errorOf(outcome: NotAccepted): { code: string | null; message: string } {
  if (outcome.kind === 'not processed') return { code: null, message: `Twilio was not reached: ${outcome.reason}.` };
  return { code: outcome.code, message: meaningOf(outcome.code) ?? 'Twilio refused the message.' };
}

function sentOf(outcome: CreateOutcome, message: Message): Sent {
  // Whatever the answer was, a callback may have proved meanwhile that Twilio has it.
  if (message.twilio_sid !== null) return { kind: 'handed over', message };
  switch (outcome.kind) {
    case 'accepted':
    case 'unknown':
      return { kind: 'unknown', message };
    case 'not processed':
      return { kind: 'not sent', message, reason: errorOf(outcome).message, retryAfterS: RETRY_AFTER_S };
    case 'refused': {
      const reason = errorOf(outcome).message;
      if (outcome.errorClass === 'for good' || outcome.errorClass === 'configuration') {
        return { kind: 'refused', message, code: outcome.code, reason };
      }
      return { kind: 'not sent', message, reason, retryAfterS: Math.ceil(outcome.retryAfterS ?? RETRY_AFTER_S) };
    }
    default:
      return outcome satisfies never;
  }
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
