import { z } from 'zod';
import { masked } from '../message/masked.ts';
import { MAX_CONTENT_LENGTH, type Message, type Tenant } from '../message/message.ts';
import { statuses } from '../message/status.ts';
import { type Caller, reachOf, type View } from '../tenant/caller.ts';
import { instant, MAX_WORD, requiredText, tenantWord, text } from './fields.ts';
import { problem } from './problem.ts';

/** The wire format: names and forms are those of the Python service (CONTRACT.md). */

const ignored = z.unknown().optional().meta({ deprecated: true, description: 'Taken from old clients and ignored' });

export const messageRequest = z
  .strictObject(
    {
      sender: requiredText(MAX_WORD).describe('A number in E.164, a short code, a name, or a messaging service (MG…)'),
      receiver: requiredText(MAX_WORD).describe('A phone number in any usual spelling; stored as it is spelled'),
      content: requiredText(MAX_CONTENT_LENGTH).describe('The text'),
      error_code: text(MAX_WORD).nullish().meta({ deprecated: true, description: 'Kept until Twilio gives its own' }),
      error_message: text(2000).nullish().meta({ deprecated: true, description: 'Kept until Twilio gives its own' }),
      valid_until: instant.nullish().meta({
        format: 'date-time',
        description:
          'After this moment it is not sent any more, and becomes `error`. In the future, at most a year away',
      }),
      status: ignored,
      twilio_sid: ignored,
      date_sent: ignored,
      trustomer_code: ignored,
      product_name: ignored,
    },
    { error: (issue) => (issue.code === 'invalid_type' ? 'a JSON object is expected' : undefined) },
  )
  .meta({
    id: 'MessageRequest',
    examples: [
      { sender: '+447700900001', receiver: '+447700900123', content: 'Your appointment is on Monday at 10:00.' },
    ],
  });

export const timestamp = z.string().meta({ format: 'date-time' });

export const message = z
  .object({
    uuid: z.string(),
    created: timestamp.describe('UTC, with milliseconds, like every time here'),
    created_by: z.string(),
    modified: timestamp,
    modified_by: z.string(),
    sender: z.string(),
    receiver: z.string().describe('Exactly as it was sent'),
    content: z.string(),
    status: z
      .string()
      .optional()
      .describe(`One of ${Object.keys(statuses).join(', ')}`),
    twilio_sid: z.string().optional().describe('Once Twilio has it'),
    date_sent: timestamp.optional().describe('When Twilio handed it to the carrier'),
    trustomer_code: z.string(),
    product_name: z.string(),
    error_code: z.string().optional().describe("Twilio's code, when something went wrong"),
    error_message: z.string().optional(),
    deleted: timestamp.optional(),
    redacted: timestamp.optional().describe("When Twilio's copy of the text was emptied"),
    valid_until: timestamp.optional().describe('As asked for: after it nothing is sent'),
    content_emptied: timestamp.optional().describe('When the text was emptied here; `content` is empty then'),
    number_emptied: timestamp.optional().describe('When the number was emptied here; `receiver` is a keyed hash then'),
  })
  .meta({
    id: 'Message',
    description: 'A message; what is not known is left out',
    examples: [
      {
        content: 'Your appointment is on Monday at 10:00.',
        created: '2026-11-23T15:20:45.561Z',
        created_by: 'unknown',
        modified: '2026-11-23T15:20:45.616Z',
        modified_by: 'unknown',
        product_name: 'gdm',
        receiver: '+447700900123',
        sender: '+447700900001',
        status: 'queued',
        trustomer_code: 'ouh',
        twilio_sid: 'SM0123456789abcdef0123456789abcdef',
        uuid: '90422bdb-077e-4c62-8dfe-315ba3cea0ce',
      },
    ],
  });

export const event = z
  .object({
    at: timestamp,
    what: z.string().describe('The kind of event'),
    actor: z.string().describe('caller, service, twilio or operator'),
    summary: z.string().describe('In plain words'),
    attempt: z.int().optional().describe('Of handing it to Twilio'),
    status_before: z.string().optional(),
    status_after: z.string().optional(),
    twilio_sid: z.string().optional(),
    http_status: z.int().optional().describe("Of Twilio's answer"),
    error_code: z.string().optional().describe("Twilio's code"),
    parameters: z
      .record(z.string(), z.string())
      .optional()
      .describe('Of a callback: what Twilio sent, but text and numbers'),
  })
  .meta({
    id: 'Event',
    description: 'Something that happened to a message',
    examples: [
      {
        at: '2026-11-23T15:20:45.616Z',
        what: 'attempt ended',
        actor: 'service',
        summary: 'Attempt 1: Twilio took it, as queued.',
        attempt: 1,
        twilio_sid: 'SM0123456789abcdef0123456789abcdef',
        http_status: 201,
      },
    ],
  });

export const settleRequest = z
  .strictObject(
    { outcome: z.enum(['sent', 'not-sent'], 'must be sent or not-sent') },
    { error: (issue) => (issue.code === 'invalid_type' ? 'a JSON object is expected' : undefined) },
  )
  .meta({ id: 'SettleRequest', examples: [{ outcome: 'not-sent' }] });

/**
 * Keys in the order of the alphabet, those without a value left out, as the Python service wrote them. No message leaves
 * but through here, so whoever answers one has to say how much of it its reader may see.
 */
export function toWire(message: Message, view: View) {
  return write(view === 'clear' ? message : masked(message));
}

function write(row: Message): z.infer<typeof message> {
  return {
    content: row.content,
    ...(row.content_emptied !== null && { content_emptied: row.content_emptied.toISOString() }),
    created: row.created.toISOString(),
    created_by: row.created_by,
    ...(row.date_sent !== null && { date_sent: toIsoUtc(row.date_sent) }),
    ...(row.deleted !== null && { deleted: row.deleted.toISOString() }),
    ...(row.error_code !== null && { error_code: row.error_code }),
    ...(row.error_message !== null && { error_message: row.error_message }),
    modified: row.modified.toISOString(),
    modified_by: row.modified_by,
    ...(row.number_emptied !== null && { number_emptied: row.number_emptied.toISOString() }),
    product_name: row.product_name,
    receiver: row.receiver,
    ...(row.redacted !== null && { redacted: row.redacted.toISOString() }),
    sender: row.sender,
    ...(row.status !== null && { status: row.status }),
    trustomer_code: row.trustomer_code,
    ...(row.twilio_sid !== null && { twilio_sid: row.twilio_sid }),
    uuid: row.uuid,
    ...(row.valid_until !== null && { valid_until: row.valid_until.toISOString() }),
  };
}

/** Rows of the Python service hold `2021-02-03 12:34:56+00:00`; what no clock would write is passed on as it is. */
export function toIsoUtc(dateSent: string): string {
  const hasZone = /(Z|GMT|[+-]\d\d:?\d\d)$/.test(dateSent);
  const milliseconds = Date.parse(hasZone ? dateSent : `${dateSent}Z`);
  return Number.isNaN(milliseconds) ? dateSent : new Date(milliseconds).toISOString();
}

export const noQuery = z.strictObject({});

export const messageId = z.object({ message_id: z.string().describe("The message's uuid") });

/** On whose behalf: read in any case, stored in lower case. The other headers pass through. */
export const tenantHeaders = z.looseObject({
  'x-trustomer': tenantWord.describe('The trust, for example OUH'),
  'x-product': tenantWord.describe('The product, for example GDM'),
});

/** Read by send-headers.ts, which needs to know whether they came twice. */
const orderHeaders = {
  'idempotency-key': z
    .unknown()
    .optional()
    .meta({
      type: 'string',
      description:
        'One key, one message: 1 to 255 printable ASCII characters. The same request again within 72 hours is answered with the same message',
      examples: ['appointment-4711-reminder'],
    }),
  prefer: z
    .unknown()
    .optional()
    .meta({
      type: 'string',
      description: '`respond-async`: answer 202 as soon as the message is recorded, send it afterwards',
      examples: ['respond-async'],
    }),
};

export const sendHeaders = tenantHeaders.extend(orderHeaders);
/** The tenant is that of the message which is sent again. */
export const sendAgainHeaders = z.looseObject(orderHeaders);

/** A key's own tenant before whatever the headers say, which is the same: identity.ts sees to that. */
export function tenantOf(caller: Caller, headers: z.output<typeof tenantHeaders>): Tenant {
  const reach = reachOf(caller);
  if (reach !== 'all tenants') return reach;
  return { trustomerCode: headers['x-trustomer'], productName: headers['x-product'] };
}

/** An answer, for the document. */
export function answer(description: string, schema: z.ZodType, contentType = 'application/json') {
  return { description, content: { [contentType]: { schema } } };
}

export const noContent = (description: string) => z.null().describe(description);

const problemMeanings: Readonly<Record<number, string>> = {
  400: 'The request is wrong: change it. Nothing was recorded or sent',
  401: 'With AUTH_MODE=apikey: no key, or none that is good. Nothing was done',
  403: 'Not yours, not within the scopes of the key, not signed by Twilio, or not allowed by a limit that the answer names. Nothing was changed or sent',
  404: 'There is no such message',
  406: 'The list is not there in any form that `Accept` names',
  409: 'Not now, or not any more: the answer says why. Nothing was sent by this request',
  413: 'The body is larger than 64 KiB; a callback is at most 16 KiB',
  415: 'The Content-Type is not taken here',
  422: 'Twilio refused this message for good: it was not and will not be sent. Or the Idempotency-Key stands for another request',
  429: 'A limit that the answer names is reached. Nothing was recorded or sent: ask again after `Retry-After` seconds',
  503: 'PostgreSQL or Twilio cannot be reached, or too much is asked at once. What was asked was not and will not be done: ask again after `Retry-After` seconds',
};

/** The errors of a route, for the document. */
export function problems(...statusCodes: number[]) {
  return Object.fromEntries(
    statusCodes.map((status) => [status, answer(problemMeanings[status] ?? '', problem, 'application/problem+json')]),
  );
}
