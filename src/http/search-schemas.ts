import { z } from 'zod';
import { instant, MAX_WORD, tenantWord, text } from './fields.ts';
import { message } from './schemas.ts';

const MOST = 200;
const MOST_WORDS = 20;
/** Longer than a cursor with the longest filters. */
const MAX_SEALED = 20_000;

const words = (one: z.ZodType<string>) =>
  z
    .array(one, 'must be a list of texts')
    .min(1, 'must not be empty')
    .max(MOST_WORDS, `must not be more than ${MOST_WORDS}`);

export const searchRequest = z
  .strictObject(
    {
      q: text(MAX_WORD)
        .optional()
        .meta({
          description:
            "A message's uuid, Twilio's SID, a phone number in any usual spelling, or the last four to nine digits of one. A number, and more than " +
            'four digits of one, need a key with the scope sms:read:content',
          examples: ['07700 900123'],
        }),
      token: text(MAX_SEALED)
        .optional()
        .describe(
          'In place of `q`: what was typed, as an answer before gave it back, sealed. It may stand in an address',
        ),
      status: words(text(MAX_WORD))
        .optional()
        .meta({ description: 'Any of these words', examples: [['failed', 'undelivered']] }),
      error_code: words(z.string('must be a text').regex(/^\d{1,6}$/, "must be a code of Twilio's"))
        .optional()
        .meta({ description: "Any of these codes of Twilio's", examples: [['30003']] }),
      from: instant.optional().meta({ format: 'date-time', description: 'From here on, itself included' }),
      to: instant.optional().meta({ format: 'date-time', description: 'Up to here, itself included' }),
      trustomer_code: tenantWord.optional().describe('Only this trust'),
      product_name: tenantWord.optional().describe('Only this product'),
      limit: z
        .int('must be a whole number')
        .min(1, 'must not be less than 1')
        .max(MOST, `must not be larger than ${MOST}`)
        .optional()
        .describe('50 when left out'),
      cursor: text(MAX_SEALED)
        .optional()
        .describe('`next` of the page before. Holds all of the search, sealed; it may be sent again, but not changed'),
    },
    { error: (issue) => (issue.code === 'invalid_type' ? 'a JSON object is expected' : undefined) },
  )
  .meta({ id: 'SearchRequest', examples: [{ q: '07700 900123', status: ['failed'], limit: 50 }] });

const { uuid, created, trustomer_code, product_name, sender, status, error_code, twilio_sid, date_sent, redacted } =
  message.shape;
const { content_emptied, number_emptied } = message.shape;

export const found = z
  .object({
    uuid,
    created,
    trustomer_code,
    product_name,
    receiver: z.string().describe('Masked always: the last four digits'),
    sender,
    status,
    error_code,
    twilio_sid,
    date_sent,
    redacted,
    content_emptied,
    number_emptied,
  })
  .meta({
    id: 'Found',
    description: 'A message as a search shows it: masked, without its text; what is not known is left out',
    examples: [
      {
        uuid: '90422bdb-077e-4c62-8dfe-315ba3cea0ce',
        created: '2026-11-23T15:20:45.561Z',
        trustomer_code: 'ouh',
        product_name: 'gdm',
        receiver: '****0123',
        sender: '+447700900001',
        status: 'undelivered',
        error_code: '30003',
        twilio_sid: 'SM0123456789abcdef0123456789abcdef',
      },
    ],
  });

export const searchAnswer = z
  .object({
    messages: z.array(found).describe('Newest first'),
    next: z.string().optional().describe('`cursor` of the next page, when there is one'),
    token: z
      .string()
      .optional()
      .describe('What was typed, sealed: may stand in an address, and be sent in place of `q`'),
    kind: z.enum(['uuid', 'sid', 'number', 'last digits']).optional().describe('What the typed was taken for'),
  })
  .meta({ id: 'SearchAnswer' });
