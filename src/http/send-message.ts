import type { FastifyRequest } from 'fastify';
import { Refusal } from '../errors.ts';
import { toE164 } from '../message/phone-number.ts';
import { authorOf } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import { answerSent, carryOut, type SendMessageDeps, sentAnswers } from './carry-out.ts';
import { messageRequest, noQuery, problems, sendHeaders, tenantOf } from './schemas.ts';
import { readIdempotencyKey } from './send-headers.ts';

const LONGEST_VALIDITY_MS = 366 * 24 * 60 * 60 * 1000;

export function sendMessageRoute(app: HttpApp, deps: SendMessageDeps): void {
  app.post(
    '/dhos/v1/sms',
    {
      config: { scope: 'sms:send' },
      schema: {
        summary: 'Send a message',
        tags: ['sms'],
        body: messageRequest,
        querystring: noQuery,
        headers: sendHeaders,
        response: {
          ...sentAnswers,
          ...problems(400, 401, 403, 409, 413, 415, 422, 503),
        },
      },
      onRequest: requireContentType,
    },
    async (request, reply) => {
      const { sender, receiver, content, error_code, error_message, valid_until } = request.body;
      const to = toE164(receiver, deps.countryCode, deps.isQuiet ? 'parsed' : 'possible');
      if (to === null) throw new Refusal('bad request', 'receiver: must be a phone number that is possible.');
      const order = {
        tenant: tenantOf(request.caller, request.headers),
        author: authorOf(request.caller),
        request: {
          sender,
          receiver,
          to,
          content,
          validUntil: readValidUntil(valid_until ?? null, deps.clock.now()),
          errorCode: error_code ?? null,
          errorMessage: error_message ?? null,
        },
        idempotencyKey: readIdempotencyKey(request.raw),
        repeats: null,
      };
      const outcome = await carryOut(deps, order, request, reply);
      // Its reader has just sent the very text and number.
      return answerSent(reply, outcome, 'clear');
    },
  );
}

/** Fastify asks for one only where there is a body. */
async function requireContentType(request: FastifyRequest): Promise<void> {
  if (request.headers['content-type'] !== undefined) return;
  throw new Refusal('unsupported media type', 'A Content-Type is expected: application/json.');
}

function readValidUntil(text: string | null, now: Date): Date | null {
  if (text === null) return null;
  const validUntil = new Date(text);
  const leftMs = validUntil.getTime() - now.getTime();
  if (leftMs >= 1_000 && leftMs <= LONGEST_VALIDITY_MS) return validUntil;
  throw new Refusal('bad request', 'valid_until: must be in the future, and at most 366 days away.');
}
