import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/db.ts';
import { reportStatusCounts } from '../message/report.ts';
import type { HttpApp } from './app-type.ts';
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

export function countsRoute(app: HttpApp, deps: { readonly db: Db; readonly clock: Clock }): void {
  app.get(
    '/dhos/v1/sms_status_counts',
    {
      schema: {
        summary: 'How many messages a UTC day and status, deleted ones left out',
        tags: ['report'],
        querystring: countsQuery,
        response: { 200: answer('The counts', counts), ...problems(400, 503) },
      },
    },
    async ({ query }) => ({
      data: await reportStatusCounts(deps.db, {
        start: query.start_date,
        end: query.end_date,
        trustomerCode: query.trustomer_code ?? null,
        productName: query.product_name ?? null,
      }),
      data_type: 'sms_status_counts' as const,
      description: 'This is a count of the sms statuses',
      measurement_timestamp: deps.clock.now().toISOString().replace('Z', '+00:00'),
    }),
  );
}
