import type { Clock } from '../clock.ts';
import type { Db } from '../db/db.ts';
import { reportStatusCounts } from '../message/report.ts';
import type { HttpApp } from './app-type.ts';
import { answer, counts, countsQuery, problems } from './schemas.ts';

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
