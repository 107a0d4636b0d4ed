import { randomBytes } from 'node:crypto';
import fastify from 'fastify';

/** The floor of the simulator: takes a form, keeps it, answers 201 with JSON. No checks, no journal, no life. */
const app = fastify({ forceCloseConnections: true });
const kept = new Map<string, URLSearchParams>();
app.removeAllContentTypeParsers();
app.addContentTypeParser<string>('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
  done(null, new URLSearchParams(body));
});
app.post<{ Body: URLSearchParams }>('/2010-04-01/Accounts/:account/Messages.json', async (request, reply) => {
  const sid = `SM${randomBytes(16).toString('hex')}`;
  kept.set(sid, request.body);
  return reply.code(201).send({ sid, status: 'queued', to: request.body.get('To'), body: request.body.get('Body') });
});
console.log(`listening on ${await app.listen({ port: 0, host: '127.0.0.1' })}`);
