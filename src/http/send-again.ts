import type { FastifyBaseLogger } from 'fastify';
import { within } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { Repeated } from '../message/accept.ts';
import { recordSentAgain } from '../message/events.ts';
import { whyNotSendAgain } from '../message/explained-actions.ts';
import { findMessage } from '../message/find.ts';
import type { Message, MessageRequest, Reach } from '../message/message.ts';
import { getOwnerWithin } from '../message/messages.ts';
import { toE164 } from '../message/phone-number.ts';
import { findStanding } from '../message/standings.ts';
import { authorOf, type Caller, reachOf, viewOf } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import { type Asked, answerSent, carryOut, type SendMessageDeps, sentAnswers } from './carry-out.ts';
import { asStoredId, noSuchMessage } from './messages.ts';
import { messageId, noQuery, problems, sendAgainHeaders } from './schemas.ts';
import { readIdempotencyKey } from './send-headers.ts';

/** The answer does not wait longer for a note in the first message's history: it may have taken its 14 s already. */
const TELL_WITHIN_MS = 500;

/** A message is sent once more, as a new one. */
export function sendAgainRoute(app: HttpApp, deps: SendMessageDeps): void {
  app.post(
    '/dhos/v1/sms/:message_id/send_again',
    {
      config: { scope: 'sms:send' },
      schema: {
        summary: 'Send a message again, as a new message',
        description:
          'With the same sender, receiver and text, for the same tenant, without `valid_until`. Limits apply as to any message; `DUPLICATE_WINDOW_S` does not, for it is meant. A repeat with the same `Idempotency-Key` is answered with the same new message, also when the first one was emptied or deleted meanwhile. The first one may have arrived: then the patient gets it twice.',
        tags: ['sms'],
        params: messageId,
        querystring: noQuery,
        headers: sendAgainHeaders,
        response: { ...sentAnswers, ...problems(400, 401, 403, 404, 409, 422, 429, 503) },
      },
    },
    async (request, reply) => {
      const { caller } = request;
      const uuid = asStoredId(request.params.message_id);
      const order = await orderOf(deps, uuid, caller, readIdempotencyKey(request.raw));
      const outcome = await carryOut(deps, order, request, reply);
      await within(TELL_WITHIN_MS, tell(deps, uuid, outcome.sent.message.uuid, request.log));
      return answerSent(reply, outcome, viewOf(caller));
    },
  );
}

/** The key first: a repeat has its answer whatever has become of the message meanwhile. */
async function orderOf(
  deps: SendMessageDeps,
  uuid: string,
  caller: Caller,
  idempotencyKey: string | null,
): Promise<Asked | Repeated> {
  const tenant = await getOwnerWithin(deps.db, uuid, reachOf(caller));
  if (tenant === null) throw noSuchMessage();
  const keyed = { tenant, idempotencyKey, repeats: uuid };
  const earlier = await deps.findSentAgain(keyed);
  if (earlier !== null) return earlier;
  const first = await findToSendAgain(deps, uuid, reachOf(caller));
  return { ...keyed, author: authorOf(caller), request: requestOf(deps, first) };
}

async function findToSendAgain({ db }: SendMessageDeps, uuid: string, reach: Reach): Promise<Message> {
  const standing = await findStanding(db, uuid, reach);
  if (standing === null) throw noSuchMessage();
  const reason = whyNotSendAgain(standing);
  if (reason !== null) throw new Refusal('conflict', reason);
  const message = await findMessage(db, uuid, reach);
  if (message === null) throw noSuchMessage();
  // Emptied in between.
  if (message.content_emptied !== null || message.number_emptied !== null) {
    throw new Refusal('conflict', 'It has just been emptied here: there is nothing to send.');
  }
  return message;
}

function requestOf({ countryCode, isQuiet }: SendMessageDeps, { sender, receiver, content }: Message): MessageRequest {
  const to = toE164(receiver, countryCode, isQuiet ? 'parsed' : 'possible');
  if (to === null) throw new Refusal('conflict', 'Its number is not one that can be sent to.');
  return { sender, receiver, to, content, validUntil: null, errorCode: null, errorMessage: null };
}

/** The message is on its way whether that is told or not. */
async function tell({ db }: SendMessageDeps, uuid: string, again: string, log: FastifyBaseLogger): Promise<void> {
  try {
    await recordSentAgain(db, uuid, again);
  } catch (error) {
    log.warn({ err: error, messageId: uuid }, 'that a message was sent again is missing from its history');
  }
}
