import { z } from 'zod';
import type { Db } from '../db/db.ts';
import { listMessages } from '../message/lists.ts';
import type { HttpApp } from './app-type.ts';
import { MAX_WORD, text } from './fields.ts';
import { answer, message, problems, tenantHeaders, tenantOf, toWire } from './schemas.ts';

const MAX_LIMIT = 2_147_483_647;

const listQuery = z.strictObject({
  receiver: text(MAX_WORD).optional().describe('Exactly as stored'),
  limit: z
    .string('must come once')
    .regex(/^\d{1,10}$/, 'must be a whole number, 0 or more')
    .transform(Number)
    .refine((limit) => limit <= MAX_LIMIT, `must not be larger than ${MAX_LIMIT}`)
    .optional()
    .meta({ description: '0 or left out: no limit' }),
});

/** The tenant's messages. */
export function listMessagesRoute(app: HttpApp, db: Db): void {
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
}
