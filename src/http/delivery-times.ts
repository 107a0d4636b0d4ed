import { z } from 'zod';
import type { Db } from '../db/db.ts';
import { MOST_A_DAY, MOST_DAYS, MOST_READ_A_DAY, measureDeliveryTimes } from '../message/delivery-times.ts';
import type { HttpApp } from './app-type.ts';
import { countedFor } from './counts.ts';
import { instant, tenantWord } from './fields.ts';
import { answer, problems } from './schemas.ts';

const query = z.strictObject({
  from: instant.meta({ format: 'date-time', description: 'Messages recorded from here on, itself included' }),
  to: instant.meta({ format: 'date-time', description: 'Up to here, itself included' }),
  trustomer_code: tenantWord.optional().describe('Only this trust'),
  product_name: tenantWord.optional().describe('Only this product'),
});

const seconds = z.number().min(0);

const deliveryTimes = z
  .object({
    count: z
      .int()
      .describe(
        `How many deliveries were measured: of each UTC day at most the newest ${MOST_A_DAY}, of the newest ${MOST_DAYS} days of this time ` +
          `that have messages. Of all tenants together they are looked for among a day’s newest ${MOST_READ_A_DAY.toLocaleString('en')} messages`,
      ),
    median_s: seconds.optional().describe('Half of them took longer than so many seconds'),
    p95_s: seconds.optional().describe('One in twenty took longer'),
    days: z.array(z.object({ day: z.iso.date().describe('UTC'), count: z.int(), median_s: seconds, p95_s: seconds })),
  })
  .meta({
    id: 'DeliveryTimes',
    description:
      'How long messages took from when Twilio had them to when we were told that the phone had them. Deleted messages, and ' +
      'those delivered before the service kept these times, are left out',
    examples: [
      {
        count: 1204,
        median_s: 3.412,
        p95_s: 21.7,
        days: [{ day: '2026-11-23', count: 1204, median_s: 3.412, p95_s: 21.7 }],
      },
    ],
  });

/** To the millisecond, as the times are. */
const rounded = (value: number) => Math.round(value * 1000) / 1000;

export function deliveryTimesRoute(app: HttpApp, { db }: { readonly db: Db }): void {
  app.get(
    '/dhos/v1/delivery_times',
    {
      config: { scope: 'sms:report' },
      schema: {
        summary: 'How long messages took to be delivered: median and 95th percentile, by UTC day and in all',
        tags: ['report'],
        querystring: query,
        response: { 200: answer('The times', deliveryTimes), ...problems(400, 401, 403, 503) },
      },
    },
    async (request): Promise<z.output<typeof deliveryTimes>> => {
      const { from, to } = request.query;
      const rows = await measureDeliveryTimes(db, {
        start: from,
        end: to,
        ...countedFor(request.caller, request.query),
      });
      const measured = rows.map(({ day, count, medianS, p95S }) => ({
        day,
        count,
        median_s: rounded(medianS),
        p95_s: rounded(p95S),
      }));
      const { day: _, ...all } = measured.find(({ day }) => day === null) ?? { day: null, count: 0 };
      return { ...all, days: measured.flatMap(({ day, ...times }) => (day === null ? [] : [{ day, ...times }])) };
    },
  );
}
