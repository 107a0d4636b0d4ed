import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import type { Reach } from '../message/message.ts';
import { countRedactions } from '../message/redactions.ts';
import { type Caller, reachOf } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import { instant } from './fields.ts';
import { answer, problems, tenantHeaders, tenantOf, timestamp } from './schemas.ts';

const query = z.strictObject({
  from: instant.meta({ format: 'date-time', description: 'Messages recorded from here on, itself included' }),
  to: instant.meta({ format: 'date-time', description: 'Up to here, itself included' }),
  all_tenants: z
    .enum(['true', 'false'], 'must be true or false')
    .optional()
    .describe('true: of all tenants together; needs a key for all tenants, and no tenant headers'),
});

/** Both, but for a report of all tenants. */
const headers = tenantHeaders.partial();

const redactionReport = z
  .object({
    from: timestamp,
    to: timestamp,
    finished: z
      .int()
      .describe('Twilio had the text and the message has ended: emptied_at_twilio + outstanding + left_alone'),
    emptied_at_twilio: z.int().describe('Twilio’s answer showed the empty text, or Twilio no longer had the message'),
    outstanding: z.int().describe('Not emptied at Twilio yet; tried again until it is'),
    oldest_outstanding: timestamp.optional().describe('When the oldest of them was recorded'),
    emptied_here: z.int().describe('Texts emptied in this service’s database'),
    numbers_emptied_here: z.int(),
    unfinished: z.int().describe('Twilio has the text, and the message has not ended: it may not be emptied yet'),
    left_alone: z.int().describe('Ended before the take-over from the Python service, and left as they were'),
    measurement_timestamp: timestamp,
  })
  .meta({
    id: 'RedactionReport',
    description: 'What became of the texts of the messages of a tenant, or of all tenants, deleted ones included',
    examples: [
      {
        from: '2026-11-01T00:00:00.000Z',
        to: '2026-11-30T23:59:59.999Z',
        finished: 1204,
        emptied_at_twilio: 1201,
        outstanding: 3,
        oldest_outstanding: '2026-11-23T15:20:45.561Z',
        emptied_here: 0,
        numbers_emptied_here: 0,
        unfinished: 17,
        left_alone: 0,
        measurement_timestamp: '2026-11-23T15:20:46.279Z',
      },
    ],
  });

/** The statement that an information-governance lead asks for. */
export function redactionReportRoute(app: HttpApp, { db, clock }: { readonly db: Db; readonly clock: Clock }): void {
  app.get(
    '/dhos/v1/redaction_report',
    {
      config: { scope: 'sms:report' },
      schema: {
        summary: 'How many texts were emptied, at Twilio and here, and how many still wait for it',
        tags: ['report'],
        querystring: query,
        headers,
        response: { 200: answer('The report', redactionReport), ...problems(400, 401, 403, 503) },
      },
    },
    async (request) => {
      const { from, to } = request.query;
      const counts = await countRedactions(db, { reach: reachAsked(request), from, to });
      return {
        from: new Date(from).toISOString(),
        to: new Date(to).toISOString(),
        finished: counts.finished,
        emptied_at_twilio: counts.emptiedAtTwilio,
        outstanding: counts.outstanding,
        ...(counts.oldestOutstanding !== null && { oldest_outstanding: counts.oldestOutstanding.toISOString() }),
        emptied_here: counts.emptiedHere,
        numbers_emptied_here: counts.numbersEmptiedHere,
        unfinished: counts.unfinished,
        left_alone: counts.leftAlone,
        measurement_timestamp: clock.now().toISOString(),
      };
    },
  );
}

type Asked = {
  readonly caller: Caller;
  readonly query: z.output<typeof query>;
  readonly headers: z.output<typeof headers>;
};

function reachAsked({ caller, query, headers }: Asked): Reach {
  const isForAll = query.all_tenants === 'true';
  if (isForAll && reachOf(caller) !== 'all tenants')
    throw new Refusal('forbidden', 'all_tenants: needs a key for all tenants.');
  if (isForAll) return 'all tenants';
  const given = tenantHeaders.safeParse(headers);
  if (given.success) return tenantOf(caller, given.data);
  const missing = [...new Set(given.error.issues.map(({ path }) => path.join('.')))];
  throw new Refusal('bad request', missing.map((name) => `${name}: is missing.`).join(' '));
}
