import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { reportStatusCounts } from '../message/report.ts';
import { type Caller, reachOf } from '../tenant/caller.ts';
import { chooseType } from './accept.ts';
import type { HttpApp } from './app-type.ts';
import { csvLine } from './csv.ts';
import { instant, tenantWord } from './fields.ts';
import { answer, problems, timestamp } from './schemas.ts';

const countsQuery = z.strictObject({
  start_date: instant.meta({ format: 'date-time', description: 'From here on, itself included' }),
  end_date: instant.meta({ format: 'date-time', description: 'Up to here, itself included' }),
  trustomer_code: tenantWord.optional().describe('Only this trust'),
  product_name: tenantWord.optional().describe('Only this product'),
});

const counts = z
  .object({
    data: z.record(z.string(), z.record(z.string(), z.int())).describe('UTC day → status → how many'),
    data_type: z.literal('sms_status_counts'),
    description: z.string(),
    measurement_timestamp: timestamp,
  })
  .meta({
    id: 'StatusCounts',
    examples: [
      {
        data: { '2019-11-14': { delivered: 2, sent: 1 } },
        data_type: 'sms_status_counts',
        description: 'This is a count of the sms statuses',
        measurement_timestamp: '2026-11-23T15:20:46.279+00:00',
      },
    ],
  });

const json = answer('The counts', counts);

const countsAnswers = {
  ...json,
  content: {
    ...json.content,
    'text/csv': {
      schema: z.string().meta({
        description:
          'RFC 4180 with a header row, a line for each day and status. A status that a spreadsheet would take for a formula ' +
          'has an apostrophe in front, and so has one that begins with an apostrophe',
        examples: ['day,status,count\r\n2019-11-14,delivered,2\r\n2019-11-14,sent,1\r\n'],
      }),
    },
  },
};

type Asked = { readonly trustomer_code?: string | undefined; readonly product_name?: string | undefined };

export function countsRoute(app: HttpApp, deps: { readonly db: Db; readonly clock: Clock }): void {
  app.get(
    '/dhos/v1/sms_status_counts',
    {
      config: { scope: 'sms:report' },
      schema: {
        summary: 'How many messages a UTC day and status, deleted ones left out',
        tags: ['report'],
        querystring: countsQuery,
        response: { 200: countsAnswers, ...problems(400, 401, 403, 406, 503) },
      },
    },
    async ({ query, headers, caller }, reply) => {
      const type = chooseType(headers.accept, ['application/json', 'text/csv']);
      const data = await reportStatusCounts(deps.db, {
        start: query.start_date,
        end: query.end_date,
        ...countedFor(caller, query),
      });
      reply.header('vary', 'accept');
      if (type === 'text/csv') {
        reply.header('content-disposition', 'attachment; filename="sms_status_counts.csv"');
        return reply.type('text/csv; charset=utf-8; header=present').send(asCsv(data));
      }
      const answered: z.output<typeof counts> = {
        data,
        data_type: 'sms_status_counts',
        description: 'This is a count of the sms statuses',
        measurement_timestamp: deps.clock.now().toISOString().replace('Z', '+00:00'),
      };
      return reply.type('application/json; charset=utf-8').send(JSON.stringify(answered));
    },
  );
}

/** A key of one tenant counts that tenant's messages, whether it says so or not. */
export function countedFor(caller: Caller, { trustomer_code: trust, product_name: product }: Asked) {
  const reach = reachOf(caller);
  if (reach === 'all tenants') return { trustomerCode: trust ?? null, productName: product ?? null };
  if ((trust ?? reach.trustomerCode) !== reach.trustomerCode || (product ?? reach.productName) !== reach.productName)
    throw new Refusal('forbidden', 'trustomer_code, product_name: are not those of this key.');
  return reach;
}

function asCsv(data: Awaited<ReturnType<typeof reportStatusCounts>>): string {
  const lines = Object.entries(data).flatMap(([day, statuses]) =>
    Object.entries(statuses).map(([status, count]) => csvLine([day, status, count])),
  );
  return csvLine(['day', 'status', 'count']) + lines.join('');
}
