import etag from '@fastify/etag';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { HttpApp } from './app-type.ts';

/** A strong ETag on every answer, and 304 for the caller who holds that answer already. */
export async function tagAnswers(app: HttpApp): Promise<void> {
  // The plugin's own 304 would also replace errors and the answers to a POST.
  await app.register(etag, { replyWith304: false });
  app.addHook('onSend', async (request, reply, payload) => {
    if (!isUnchanged(request, reply)) return payload;
    reply.code(304);
    // RFC 9110, 8.6: a length would be that of the 200. A HEAD's is counted from its payload, which is never sent.
    return request.method === 'HEAD' ? payload : null;
  });
}

/** RFC 9110, 13.1.2: only a look-up that succeeds is conditional; a list of tags, weak ones and `*` count. What is streamed has no tag. */
function isUnchanged(request: FastifyRequest, reply: FastifyReply): boolean {
  const known = request.headers['if-none-match'];
  if (known === undefined || reply.statusCode !== 200 || !['GET', 'HEAD'].includes(request.method)) return false;
  const etag = reply.getHeader('etag');
  if (etag === undefined) return false;
  const tags = known.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes('*') || tags.includes(String(etag));
}
