import { z } from 'zod';
import type { Db } from '../db/db.ts';
import { countErrors, type ErrorCounts } from '../message/error-counts.ts';
import { errorCodes } from '../twilio/error-codes.ts';
import type { HttpApp } from './app-type.ts';
import { countedFor } from './counts.ts';
import { errorCode, toWireErrorCode } from './error-schemas.ts';
import { instant, tenantWord } from './fields.ts';
import { answer, noQuery, problems } from './schemas.ts';

const query = z.strictObject({
  from: instant.meta({ format: 'date-time', description: 'Messages recorded from here on, itself included' }),
  to: instant.meta({ format: 'date-time', description: 'Up to here, itself included' }),
  trustomer_code: tenantWord.optional().describe('Only this trust'),
  product_name: tenantWord.optional().describe('Only this product'),
  error_code: z
    .string('must come once')
    .regex(/^\d{1,6}$/, "must be a code of Twilio's")
    .optional()
    .meta({ description: 'Only this code', example: '30003' }),
});

const errorCounts = z
  .object({
    data: z
      .record(z.string(), z.record(z.string(), z.int()))
      .describe('UTC day → code → how many; `other` is what is no code of Twilio’s'),
    tenants: z
      .array(z.object({ trustomer_code: z.string(), product_name: z.string(), count: z.int() }))
      .describe('Whom it hit, the most first'),
  })
  .meta({
    id: 'ErrorCounts',
    examples: [
      {
        data: { '2026-11-23': { '21610': 2, '30003': 17 } },
        tenants: [{ trustomer_code: 'ouh', product_name: 'gdm', count: 19 }],
      },
    ],
  });

/** What goes wrong: what each code means, and how often it comes. */
export function errorRoutes(app: HttpApp, { db }: { readonly db: Db }): void {
  app.get(
    '/dhos/v1/error_codes',
    {
      config: { scope: 'sms:report' },
      schema: {
        summary: "What Twilio's error codes mean, what to do, and who can do it",
        tags: ['report'],
        querystring: noQuery,
        response: { 200: answer('Every code that is known here', z.array(errorCode)), ...problems(400, 401, 403) },
      },
    },
    async () => errorCodes.map(toWireErrorCode),
  );

  app.get(
    '/dhos/v1/error_counts',
    {
      config: { scope: 'sms:report' },
      schema: {
        summary: 'How many messages a UTC day and error code, deleted ones left out, and whom they hit',
        tags: ['report'],
        querystring: query,
        response: { 200: answer('The counts', errorCounts), ...problems(400, 401, 403, 503) },
      },
    },
    async (request) => {
      const { from, to, error_code } = request.query;
      const filter = { start: from, end: to, errorCode: error_code ?? null };
      return toWire(await countErrors(db, { ...filter, ...countedFor(request.caller, request.query) }));
    },
  );
}

function toWire({ days, tenants }: ErrorCounts): z.infer<typeof errorCounts> {
  const data: Record<string, Record<string, number>> = {};
  for (const { day, code, count } of days) {
    data[day] = { ...data[day], [code]: (data[day]?.[code] ?? 0) + count };
  }
  return {
    data,
    tenants: tenants.map(({ trustomerCode, productName, count }) => ({
      trustomer_code: trustomerCode,
      product_name: productName,
      count,
    })),
  };
}
