import type { HttpApp } from './app-type.ts';
import { noContent, noQuery, problems } from './schemas.ts';

/** GET as well as POST, as cron jobs of the platform use either. HEAD must not run it. */
export async function bulkUpdateRoute(app: HttpApp, bulkUpdate: () => Promise<void>): Promise<void> {
  // A POST may carry anything; nothing in it is read.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null, undefined));

  app.route({
    method: ['GET', 'POST'],
    url: '/dhos/v1/sms/bulk_update',
    exposeHeadRoute: false,
    schema: {
      summary: 'Bring unfinished messages up to date from Twilio, then empty the finished ones there',
      description:
        'Looks at the messages of the last 7 days. Answers when it is done; one failure harms no other message.',
      tags: ['sms'],
      querystring: noQuery,
      response: { 204: noContent('Done'), ...problems(400, 503) },
    },
    handler: async (_request, reply) => {
      await bulkUpdate();
      return reply.code(204).send(null);
    },
  });
}
