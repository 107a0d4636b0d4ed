import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import { type Clock, within } from '../clock.ts';
import type { Db } from '../db/db.ts';
import { NoAnswer, Refusal } from '../errors.ts';
import {
  type Accepted,
  awaitEarlier,
  awaitTwin,
  type Earlier,
  type Repeated,
  type SendOrder,
} from '../message/accept.ts';
import type { SendAgain } from '../message/idempotency-keys.ts';
import type { Message } from '../message/message.ts';
import { type Licence, RECORDING_MS, type Sent } from '../message/send.ts';
import type { View } from '../tenant/caller.ts';
import type { Slots } from '../twilio/slots.ts';
import { type Rule, refusalOf } from './refused.ts';
import { answer, message, toWire } from './schemas.ts';
import { asksForAsync } from './send-headers.ts';

/** What sending a message and sending one again have in common: an order is recorded, handed to Twilio and answered. */

export type SendMessageDeps = {
  readonly db: Db;
  readonly clock: Clock;
  /** Places for calls to Twilio; one is taken before anything is recorded. */
  readonly slots: Slots;
  readonly twilioTimeoutMs: number;
  readonly countryCode: string;
  readonly isQuiet: boolean;
  readonly accept: (order: SendOrder) => Promise<Accepted>;
  readonly findSentAgain: (asked: SendAgain) => Promise<Repeated | null>;
  readonly send: (licence: Licence, log: FastifyBaseLogger) => Promise<Sent>;
  /** A message that this replica has recorded waits to be sent by its claim loop. */
  readonly onReady: (uuid: string) => void;
  readonly countRefused: (rule: Rule) => void;
};

/** The platform's clients give up after 15 s, so an answer leaves within 14. */
const ANSWER_WITHIN_MS = 13_500;
const WAIT_FOR_SLOT_MS = 2_000;
const BUSY_RETRY_AFTER_S = 5;
/** An exchange with Twilio that could not have this long is not begun. */
const LEAST_CALL_MS = 1_000;

/** What the caller is told. */
export type Outcome = { readonly sent: Sent; readonly isReplayed: boolean };

export type Asked = Omit<SendOrder, 'send' | 'answerBy'>;

export const sentAnswers = {
  200: answer('Twilio has it', message),
  202: answer('Recorded; this service owns it to the end. `Location` names it', message),
};

/**
 * With `Prefer: respond-async` it is recorded now and sent by the claim loop; else it is sent before this answers. What is known to
 * be a repeat is answered as the first request is.
 */
export async function carryOut(
  deps: SendMessageDeps,
  asked: Asked | Repeated,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Outcome> {
  const isForLater = asksForAsync(request.raw);
  if (isForLater) reply.header('preference-applied', 'respond-async');
  if ('kind' in asked) return answerEarlier(deps, asked, performance.now() + ANSWER_WITHIN_MS);
  return isForLater ? recordForLater(deps, asked) : recordAndSend(deps, asked, request.log);
}

/** `Prefer: respond-async`: recorded now, sent by the claim loop. */
async function recordForLater(deps: SendMessageDeps, asked: Asked): Promise<Outcome> {
  const answerBy = performance.now() + ANSWER_WITHIN_MS;
  const accepted = await inTime(deps.accept({ ...asked, send: 'later', answerBy }), answerBy);
  if (accepted.kind !== 'recorded') return answerEarlier(deps, accepted, answerBy);
  deps.onReady(accepted.message.uuid);
  return { sent: { kind: 'ours', message: accepted.message }, isReplayed: false };
}

/**
 * The two halves of a POST, within the time its caller waits: recorded first, then handed to Twilio. While an identical text
 * may or may not be at Twilio it waits, without a place, for that to be resolved.
 */
async function recordAndSend(deps: SendMessageDeps, asked: Asked, log: FastifyBaseLogger): Promise<Outcome> {
  const answerBy = performance.now() + ANSWER_WITHIN_MS;
  for (;;) {
    const outcome = await tryToSend(deps, asked, answerBy, log);
    if ('sent' in outcome) return outcome;
    if (!(await awaitTwin(deps, outcome.textHash, answerBy - LEAST_CALL_MS - RECORDING_MS))) {
      throw notSent('An identical text to this number is on its way, and whether Twilio has it is not known yet.');
    }
  }
}

async function tryToSend(
  deps: SendMessageDeps,
  asked: Asked,
  answerBy: number,
  log: FastifyBaseLogger,
): Promise<Outcome | Extract<Accepted, { kind: 'twin' }>> {
  const release = await deps.slots.take(WAIT_FOR_SLOT_MS);
  if (release === null) throw busy(deps);
  // Before it is recorded: what recording takes is not the call's, whose deadline stands in the row.
  const began = performance.now();
  const leftMs = answerBy - began - RECORDING_MS;
  if (leftMs < LEAST_CALL_MS) {
    release();
    throw busy(deps);
  }
  const withinMs = Math.floor(Math.min(deps.twilioTimeoutMs, leftMs));
  const accepting = deps.accept({ ...asked, send: { withinMs }, answerBy });
  const sending = accepting.then(async (accepted): Promise<Sent | Accepted> => {
    if (accepted.kind !== 'recorded') return accepted;
    return deps.send({ message: accepted.message, n: 1, giveUpAt: began + withinMs, isAwaited: true }, log);
  });
  sending.finally(release).catch(() => {});

  const accepted = await inTime(accepting, answerBy);
  if (accepted.kind === 'twin') return accepted;
  if (accepted.kind !== 'recorded') {
    release();
    return answerEarlier(deps, accepted, answerBy);
  }
  const sent = await within(answerBy - performance.now(), sending);
  if (sent === 'too late') return { sent: { kind: 'ours', message: accepted.message }, isReplayed: false };
  return { sent: sent as Sent, isReplayed: false };
}

/** The database is too slow, and the message may be recorded at any moment: nothing true can be said. */
async function inTime<T>(work: Promise<T>, answerBy: number): Promise<T> {
  const result = await within(answerBy - performance.now(), work);
  if (result !== 'too late') return result;
  work.catch(() => {});
  throw new NoAnswer();
}

/** Nothing was recorded by this request: an earlier one stands for it, or something stands in its way. */
async function answerEarlier(
  deps: SendMessageDeps,
  accepted: Exclude<Accepted, { kind: 'recorded' }>,
  answerBy: number,
): Promise<Outcome> {
  switch (accepted.kind) {
    case 'repeated':
      return { sent: sentOfEarlier(await awaitEarlier(deps, accepted.uuid, answerBy)), isReplayed: true };
    case 'key of another request':
      throw new Refusal('key of another request', 'This Idempotency-Key stands for another request: use a new one.');
    case 'refused':
      deps.countRefused(accepted.rule);
      throw refusalOf(accepted.rule, accepted.retryAfterS);
    case 'twin':
      throw notSent('Another request with this Idempotency-Key has just failed.');
    case 'voided':
      throw notSent('The database broke off.', accepted.uuid);
    case 'nobody knows':
      throw new NoAnswer();
    default:
      return accepted satisfies never;
  }
}

/** How the earlier message stands now, as an answer. */
function sentOfEarlier(earlier: Earlier | null): Sent {
  if (earlier === null || (earlier.kind === 'known' && earlier.message.deleted !== null)) {
    throw new Refusal('conflict', 'The message that this Idempotency-Key stands for was deleted: use a new one.');
  }
  if (earlier.kind === 'still running') {
    throw new Refusal('conflict', 'The first request with this Idempotency-Key is still running.', {
      retryAfterS: BUSY_RETRY_AFTER_S,
    });
  }
  return sentOfMessage(earlier.message);
}

function sentOfMessage(earlier: Message): Sent {
  if (earlier.twilio_sid !== null) return { kind: 'handed over', message: earlier };
  if (earlier.status !== 'error') return { kind: 'ours', message: earlier };
  const reason = earlier.error_message ?? 'It was not sent.';
  return { kind: 'refused', message: earlier, code: earlier.error_code, reason };
}

function busy({ countRefused }: SendMessageDeps): Refusal {
  countRefused('busy');
  return notSent('Too many messages are on their way to Twilio.');
}

function notSent(reason: string, messageId?: string): Refusal {
  return new Refusal('unavailable', `${reason} Nothing was sent: ask again.`, {
    retryAfterS: BUSY_RETRY_AFTER_S,
    ...(messageId !== undefined && { messageId }),
  });
}

/** `view`: in clear only for who has just sent the very text and number, or may read them. */
export function answerSent(reply: FastifyReply, { sent, isReplayed }: Outcome, view: View) {
  const { uuid } = sent.message;
  reply.header('x-message-id', uuid);
  if (isReplayed) reply.header('idempotency-replayed', 'true');
  switch (sent.kind) {
    case 'handed over':
      return toWire(sent.message, view);
    case 'ours':
      reply.code(202).header('location', `/dhos/v1/sms/${uuid}`);
      return toWire(sent.message, view);
    case 'refused':
      throw new Refusal('refused by Twilio', sent.reason, { messageId: uuid, errorCode: sent.code });
    case 'not sent':
      throw new Refusal('unavailable', `${sent.reason} The message was not and will not be sent: ask again.`, {
        messageId: uuid,
        retryAfterS: sent.retryAfterS,
      });
    default:
      return sent satisfies never;
  }
}
