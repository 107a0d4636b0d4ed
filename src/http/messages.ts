import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Clock, within } from '../clock.ts';
import type { Db } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { type Accepted, acceptMessage } from '../message/accept.ts';
import { deleteMessage, findMessage } from '../message/find.ts';
import type { MessageRequest, Tenant } from '../message/message.ts';
import { listMessages } from '../message/messages.ts';
import { toE164 } from '../message/phone-number.ts';
import { RECORDING_MS, type Sent } from '../message/send.ts';
import type { Slots } from '../twilio/slots.ts';
import type { HttpApp } from './app-type.ts';
import {
  answer,
  listQuery,
  message,
  messageId,
  messageRequest,
  noQuery,
  problems,
  tenantHeaders,
  toWire,
} from './schemas.ts';

export type MessagesDeps = {
  readonly db: Db;
  readonly clock: Clock;
  /** Places for calls to Twilio; one is taken before anything is recorded. */
  readonly slots: Slots;
  readonly twilioTimeoutMs: number;
  readonly countryCode: string;
  readonly isQuiet: boolean;
  readonly send: (accepted: Accepted, to: string, log: FastifyBaseLogger) => Promise<Sent>;
};

/** The platform's clients give up after 15 s, so an answer leaves within 14. */
const ANSWER_WITHIN_MS = 13_500;
const WAIT_FOR_SLOT_MS = 2_000;
const BUSY_RETRY_AFTER_S = 5;

export function messageRoutes(app: HttpApp, deps: MessagesDeps): void {
  const { db } = deps;

  app.post(
    '/dhos/v1/sms',
    {
      schema: {
        summary: 'Send a message',
        tags: ['sms'],
        body: messageRequest,
        querystring: noQuery,
        headers: tenantHeaders,
        response: {
          200: answer('Twilio has it', message),
          202: answer('Recorded; this service follows it to the end. `Location` names it', message),
          ...problems(400, 413, 415, 422, 503),
        },
      },
      onRequest: requireContentType,
    },
    async (request, reply) => {
      const { sender, receiver, content, error_code, error_message } = request.body;
      const to = toE164(receiver, deps.countryCode, deps.isQuiet ? 'parsed' : 'possible');
      if (to === null) throw new Refusal('bad request', 'receiver: must be a phone number that is possible.');
      const order = { sender, receiver, content, errorCode: error_code ?? null, errorMessage: error_message ?? null };
      return answerSent(reply, await recordAndSend(deps, tenantOf(request.headers), order, to, request.log));
    },
  );

  app.get(
    '/dhos/v1/sms',
    {
      schema: {
        summary: "The tenant's messages, newest first",
        tags: ['sms'],
        querystring: listQuery,
        headers: tenantHeaders,
        response: { 200: answer('The messages', z.array(message)), ...problems(400, 503) },
      },
    },
    async (request) => {
      const { receiver, limit } = request.query;
      const tenant = tenantOf(request.headers);
      const rows = await listMessages(db, { tenant, receiver: receiver ?? null, limit: limit || null });
      return rows.map(toWire);
    },
  );

  app.get(
    '/dhos/v1/sms/:message_id',
    {
      schema: {
        summary: 'A message',
        tags: ['sms'],
        params: messageId,
        querystring: noQuery,
        response: { 200: answer('The message', message), ...problems(400, 404, 503) },
      },
    },
    async (request) => {
      const found = await findMessage(db, asStoredId(request.params.message_id));
      if (found === null) throw noSuchMessage();
      return toWire(found);
    },
  );

  app.delete(
    '/dhos/v1/sms/:message_id',
    {
      schema: {
        summary: 'Hide a message for good',
        description: 'It stays in the database, is still followed and redacted, and is no longer counted.',
        tags: ['sms'],
        params: messageId,
        querystring: noQuery,
        headers: tenantHeaders,
        response: { 200: answer('The message, with `deleted`', message), ...problems(400, 403, 404, 503) },
      },
    },
    async (request) => {
      const deleted = await deleteMessage(db, asStoredId(request.params.message_id), tenantOf(request.headers));
      if (deleted === 'not found') throw noSuchMessage();
      if (deleted === 'of another tenant') throw new Refusal('forbidden', 'This message belongs to another tenant.');
      return toWire(deleted);
    },
  );
}

/** Fastify asks for one only where there is a body. */
async function requireContentType(request: FastifyRequest): Promise<void> {
  if (request.headers['content-type'] !== undefined) return;
  throw new Refusal('unsupported media type', 'A Content-Type is expected: application/json.');
}

/** The two halves of a POST, within the time its caller waits: recorded first, then handed to Twilio. */
async function recordAndSend(
  deps: MessagesDeps,
  tenant: Tenant,
  request: MessageRequest,
  to: string,
  log: FastifyBaseLogger,
): Promise<Sent> {
  const answerBy = deps.clock.now().getTime() + ANSWER_WITHIN_MS;
  const release = await deps.slots.take(WAIT_FOR_SLOT_MS);
  if (release === null) throw notSent('Too many messages are on their way to Twilio.');
  const timeLeftMs = () => answerBy - deps.clock.now().getTime();
  const callWithinMs = Math.min(deps.twilioTimeoutMs, timeLeftMs() - RECORDING_MS);
  const deadline = new Date(deps.clock.now().getTime() + callWithinMs);

  let accepted: Accepted | null = null;
  const sending = acceptMessage(deps.db, { tenant, request, deadline })
    .then((recorded) => {
      accepted = recorded;
      return deps.send(recorded, to, log);
    })
    .finally(release);
  const sent = await within(timeLeftMs(), sending);
  if (sent !== 'too late') return sent;
  // Recorded too late: its deadline has passed, so it ends as `error` without a call to Twilio.
  sending.catch(() => {});
  if (accepted === null) throw notSent('The database is too slow.');
  return { kind: 'unknown', message: (accepted as Accepted).message };
}

function notSent(reason: string): Refusal {
  return new Refusal('unavailable', `${reason} Nothing was sent: ask again.`, { retryAfterS: BUSY_RETRY_AFTER_S });
}

function answerSent(reply: FastifyReply, sent: Sent) {
  const { uuid } = sent.message;
  reply.header('x-message-id', uuid);
  switch (sent.kind) {
    case 'handed over':
      return toWire(sent.message);
    case 'unknown':
      reply.code(202).header('location', `/dhos/v1/sms/${uuid}`);
      return toWire(sent.message);
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

function tenantOf(headers: z.output<typeof tenantHeaders>): Tenant {
  return { trustomerCode: headers['x-trustomer'], productName: headers['x-product'] };
}

/** Old rows may hold any id that fits the column; what does not fit cannot exist. */
function asStoredId(id: string): string {
  if (id.length > 36 || id.includes('\0') || !id.isWellFormed()) throw noSuchMessage();
  return id;
}

function noSuchMessage(): Refusal {
  return new Refusal('not found', 'There is no such message.');
}
