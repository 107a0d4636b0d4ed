import { createHmac, timingSafeEqual } from 'node:crypto';
import fastify from 'fastify';
import pg from 'pg';

/**
 * The floor of callback intake: verify the signature, write the event and make the guarded update in one commit, answer.
 * It knows one spelling of its URL and one token, keeps no callback of an unknown SID apart and redacts nothing.
 */
const [databaseUrl = '', callbackUrl = '', token = ''] = process.argv.slice(2);
const database = new pg.Pool({ connectionString: databaseUrl, max: 10 });
const app = fastify({ forceCloseConnections: true });
app.removeAllContentTypeParsers();
app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
  done(null, body);
});

const rank = (status: string) =>
  `array_position('{accepted,queued,sending,sent,delivered,undelivered,failed,canceled}', ${status}::text)`;
const record = `
  WITH believed AS (
    UPDATE floor_message SET status = $2, modified = now()
    WHERE twilio_sid = $1 AND ${rank('$2')} > ${rank('status')} AND ${rank('status')} < ${rank("'delivered'")}
    RETURNING uuid)
  INSERT INTO floor_callback (received, twilio_sid, message_status, parameters)
  SELECT now(), $1, $2, $3 FROM (SELECT count(*) FROM believed) AS done`;

app.post<{ Body: string }>('/dhos/v1/sms/callback', async (request, reply) => {
  const form = new URLSearchParams(request.body);
  const query = request.url.slice(request.url.indexOf('?'));
  if (!isSigned(callbackUrl + query, form, String(request.headers['x-twilio-signature'])))
    return reply.code(403).send();
  const parameters = JSON.stringify(Object.fromEntries(form));
  const values = [form.get('MessageSid'), form.get('MessageStatus'), parameters];
  await database.query({ name: 'record', text: record, values });
  return reply.code(204).send();
});

function isSigned(url: string, form: URLSearchParams, signature: string): boolean {
  const fields = [...form].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => name + value);
  const expected = createHmac('sha1', token)
    .update(url + fields.join(''))
    .digest();
  const given = Buffer.from(signature, 'base64');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

console.log(`listening on ${await app.listen({ port: 0, host: '127.0.0.1' })}`);
