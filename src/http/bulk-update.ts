import { z } from 'zod';
import type { Db } from '../db/db.ts';
import { readBulkUpdateProgress } from '../jobs/bulk-update.ts';
import { authorOf } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import type { NoteAudit } from './audit.ts';
import { answer, noContent, noQuery, problems, timestamp } from './schemas.ts';

export type BulkUpdateRouteDeps = { readonly db: Db; readonly note: NoteAudit; readonly run: () => Promise<void> };

const progress = z
  .object({
    running: z.boolean(),
    started: timestamp.optional(),
    finished: timestamp.optional(),
    total: z.int().describe('Messages of which the end is not known'),
    asked: z.int().describe('Of these, how many Twilio was asked about so far'),
    changed: z.int(),
    gone: z.int().describe('Twilio does not have them any more'),
    failed: z.int().describe('Twilio did not tell; left for the next time'),
    redacted: z.int().describe('Texts emptied at Twilio, once it is done'),
  })
  .meta({
    id: 'BulkUpdateProgress',
    examples: [
      {
        running: true,
        started: '2026-11-23T15:20:45.561Z',
        total: 10000,
        asked: 2500,
        changed: 2100,
        gone: 0,
        failed: 1,
        redacted: 0,
      },
    ],
  });

/** GET as well as POST, as cron jobs of the platform use either. HEAD must not run it. */
export async function bulkUpdateRoutes(app: HttpApp, deps: BulkUpdateRouteDeps): Promise<void> {
  // A POST may carry anything; nothing in it is read.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null, undefined));

  app.route({
    method: ['GET', 'POST'],
    url: '/dhos/v1/sms/bulk_update',
    exposeHeadRoute: false,
    config: { scope: 'sms:admin', isForAllTenants: true },
    schema: {
      summary: 'Bring unfinished messages up to date from Twilio, then empty the finished ones there',
      description:
        'Looks at the messages of the last 7 days. Answers when it is done; one failure harms no other message. While one runs, ' +
        'on whichever replica, a second call waits for it.',
      tags: ['sms'],
      querystring: noQuery,
      response: { 204: noContent('Done'), ...problems(400, 401, 403, 503) },
    },
    handler: async (request, reply) => {
      const author = authorOf(request.caller);
      await deps.note(author, { action: 'bulk update', messageUuid: null, tenant: null, details: {} });
      await deps.run();
      return reply.code(204).send(null);
    },
  });

  app.get(
    '/dhos/v1/sms/bulk_update/progress',
    {
      config: { scope: 'sms:admin', isForAllTenants: true },
      schema: {
        summary: 'How far the latest bulk update has come',
        tags: ['sms'],
        querystring: noQuery,
        response: { 200: answer('The progress', progress), ...problems(400, 401, 403, 503) },
      },
    },
    async () => {
      const { started, finished, ...counts } = await readBulkUpdateProgress(deps.db);
      return {
        ...counts,
        ...(started !== null && { started: started.toISOString() }),
        ...(finished !== null && { finished: finished.toISOString() }),
      };
    },
  );
}
