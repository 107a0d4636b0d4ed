import { z } from 'zod';
import { instant, MAX_WORD, text } from './fields.ts';
import { answer, message } from './schemas.ts';

const MAX_LIMIT = 2_147_483_647;
/** Longer than a cursor with the longest filters. */
const MAX_CURSOR = 10_000;

const moment = instant.optional();

export const listQuery = z.strictObject({
  status: text(MAX_WORD).optional().describe('Any word, exactly as stored'),
  error_code: text(MAX_WORD)
    .optional()
    .meta({ description: "Twilio's code", examples: ['30003'] }),
  created_after: moment.meta({
    format: 'date-time',
    description: 'From here on, itself included',
    example: '2026-11-23T00:00:00Z',
  }),
  created_before: moment.meta({
    format: 'date-time',
    description: 'Up to here, itself included; before `created_after` there is nothing: an empty list',
    example: '2026-11-30T23:59:59.999Z',
  }),
  receiver: text(MAX_WORD)
    .optional()
    .meta({
      description:
        'Exactly as it was sent, also where retention has emptied the number since. `receiver_e164` finds other spellings',
      examples: ['07700 900123'],
    }),
  receiver_e164: text(MAX_WORD)
    .optional()
    .meta({
      description:
        'A phone number in any usual spelling: finds every spelling of it, also where retention has emptied the number',
      examples: ['+447700900123'],
    }),
  twilio_sid: text(MAX_WORD)
    .optional()
    .meta({ examples: ['SM0123456789abcdef0123456789abcdef'] }),
  limit: z
    .string('must come once')
    .regex(/^\d{1,10}$/, 'must be a whole number, 0 or more')
    .transform(Number)
    .refine((limit) => limit <= MAX_LIMIT, `must not be larger than ${MAX_LIMIT}`)
    .optional()
    .meta({ description: '0 or left out: no limit. With one, `Link` leads to the next page', example: 50 }),
  cursor: text(MAX_CURSOR)
    .optional()
    .describe(
      'Where the page before ended: from its `Link`. Holds the filters and the tenant, sealed. Filters may be sent again, but not changed',
    ),
});

const json = answer(
  'The messages. They have an ETag unless there are more than 1,000 of them. With `limit`, and when there are more of them, ' +
    '`Link: </dhos/v1/sms?limit=50&cursor=…>; rel="next"` is the next page',
  z.array(message),
);

/** The same list in three forms. */
export const listAnswers = {
  ...json,
  content: {
    ...json.content,
    'text/csv': {
      schema: z.string().meta({
        description:
          'RFC 4180 with a header row of the names of all fields. A cell that a spreadsheet would take for a formula, phone numbers ' +
          'with their plus among them, has an apostrophe in front, and so has one that begins with an apostrophe',
        examples: [`uuid,receiver,…\r\n90422bdb-077e-4c62-8dfe-315ba3cea0ce,'+447700900123,…\r\n`],
      }),
    },
    'application/x-ndjson': {
      schema: z.string().meta({
        description: 'Each message as JSON on a line of its own',
        examples: ['{"content":"Your appointment is on Monday at 10:00.","created":"2026-11-23T15:20:45.561Z",…}\n'],
      }),
    },
  },
};
