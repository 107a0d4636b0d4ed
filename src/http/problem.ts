import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest, FastifySchemaValidationError } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { DatabaseUnavailable } from '../db/db.ts';
import { NoAnswer, Refusal, type RefusalKind, refusals } from '../errors.ts';
import { TextSealed } from '../message/sealing.ts';

/** RFC 9457, with the fields of both of the Python service's error shapes: `message` = `detail`, `code` = `status`. */
export const problem = z
  .object({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    message: z.string(),
    code: z.int(),
    error_code: z.string().optional().describe("Twilio's code, when Twilio refused the message"),
    message_id: z.string().optional().describe('The recorded message that this is about'),
  })
  .meta({
    id: 'Problem',
    description: 'An error, RFC 9457',
    examples: [
      {
        ...problemOf(422, 'The receiver has opted out of texts from this sender.'),
        error_code: '21610',
        message_id: '90422bdb-077e-4c62-8dfe-315ba3cea0ce',
      },
    ],
  });

const RETRY_AFTER_S = 5;

/** Every error of every route ends here. */
export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof NoAnswer) return hangUp(request, reply);
  const refusal = asRefusal(error, request);
  if (refusal !== null) return answerRefusal(reply, refusal);
  if (error instanceof TextSealed) {
    request.log.error(
      { err: error },
      'a text cannot be opened: its content key is missing, or it is not of this message',
    );
    return sendProblem(reply, 503, 'A text that was asked for is sealed with a key that this service does not have.');
  }
  request.log.error({ err: error }, 'a request failed');
  return sendProblem(reply, 500, 'The service has a fault. Its log names it under the X-Request-ID of this answer.');
}

function hangUp(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  request.log.error('a request was left without an answer: the database broke off and did not come back');
  reply.hijack();
  request.raw.socket.destroy();
  return reply;
}

export function answerRefusal(reply: FastifyReply, refusal: Refusal): FastifyReply {
  const { retryAfterS, messageId, errorCode, allow, challenge } = refusal.extras;
  if (retryAfterS !== undefined) reply.header('retry-after', retryAfterS);
  if (challenge !== undefined) reply.header('www-authenticate', challenge);
  if (messageId !== undefined) reply.header('x-message-id', messageId);
  if (allow !== undefined) reply.header('allow', allow.join(', '));
  return sendProblem(reply, refusals[refusal.kind], refusal.message, {
    ...(errorCode != null && { error_code: errorCode }),
    ...(messageId !== undefined && { message_id: messageId }),
  });
}

export function problemOf(status: number, detail: string) {
  const title = STATUS_CODES[status] ?? 'Error';
  return { type: 'about:blank' as const, title, status, detail, message: detail, code: status };
}

function sendProblem(reply: FastifyReply, status: number, detail: string, more: object = {}): FastifyReply {
  return reply
    .code(status)
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send({ ...problemOf(status, detail), ...more });
}

function asRefusal(error: unknown, request: FastifyRequest): Refusal | null {
  if (error instanceof Refusal) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    return new Refusal('bad request', describeViolations(error.validation));
  }
  if (error instanceof DatabaseUnavailable) {
    return new Refusal('unavailable', 'The database cannot be reached. Nothing was sent: ask again.', {
      retryAfterS: RETRY_AFTER_S,
    });
  }
  return error instanceof Error && 'statusCode' in error ? asHttpRefusal(error as FastifyError, request) : null;
}

const fastifyRefusals: Readonly<Record<number, { kind: RefusalKind; detail: string }>> = {
  400: { kind: 'bad request', detail: 'The request could not be read.' },
  404: { kind: 'not found', detail: 'There is nothing at this address.' },
  415: { kind: 'unsupported media type', detail: 'This address does not take a body of that Content-Type.' },
};

function asHttpRefusal(error: FastifyError, request: FastifyRequest): Refusal | null {
  if (error.statusCode === 413) {
    return new Refusal('too large', `The body is larger than ${request.routeOptions.bodyLimit / 1024} KiB.`);
  }
  const known = fastifyRefusals[error.statusCode ?? 500];
  if (known === undefined) return null;
  const isBadJson = /JSON/.test(error.code ?? '') || error instanceof SyntaxError;
  return new Refusal(known.kind, isBadJson ? 'The body is not valid JSON.' : known.detail);
}

type Violation = FastifySchemaValidationError;

function describeViolations(violations: readonly Violation[]): string {
  // Unknown names come first: mostly they are the misspelt name of what is missing.
  const sorted = [...violations].sort((a, b) => rank(a) - rank(b));
  return sorted.slice(0, 5).map(describeViolation).join(' ');
}

/** As far as it reads like a name: who mixes up names and values sends a text, or a number, in the place of one. */
function nameOf(key: string): string {
  return /^(?:[A-Za-z_][\w-]{0,39})?$/.test(key) && !/\d{5}/.test(key) ? key : 'a name that is not repeated here';
}

function rank({ keyword }: Violation): number {
  return keyword === 'unrecognized_keys' ? 0 : 1;
}

function describeViolation({ keyword, instancePath, message, params }: Violation): string {
  if (keyword === 'unrecognized_keys' && Array.isArray(params.keys)) {
    return `Unknown: ${params.keys.slice(0, 5).map(nameOf).join(', ')}.`;
  }
  const where = instancePath.slice(1).replaceAll('/', '.') || 'The request';
  return `${where}: ${message ?? 'is not valid'}.`;
}
