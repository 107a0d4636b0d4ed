import { randomUUID } from 'node:crypto';
import fastify, { type FastifyInstance } from 'fastify';
import pg from 'pg';
import { toE164 } from '../../src/message/phone-number.ts';
import { sign } from '../../src/twilio/signature.ts';

/**
 * The negative control of the chaos run: a small service that does what the Python service did, in its order. It calls
 * Twilio first and inserts the row then; a callback overwrites whatever status is there; the bulk update asks for one message
 * after another and is all or nothing. Same endpoints as far as the run uses them, same table, no keys. It is written as
 * carefully as that order allows: what the judge finds is the fault of the order.
 */

const env = (name: string) => process.env[name] ?? '';
const twilio = {
  messages: `${env('TWILIO_BASE_URL')}/2010-04-01/Accounts/${env('TWILIO_ACCOUNT_SID')}/Messages`,
  authorization: `Basic ${Buffer.from(`${env('TWILIO_ACCOUNT_SID')}:${env('TWILIO_AUTH_TOKEN')}`).toString('base64')}`,
  timeoutMs: Number(env('TWILIO_TIMEOUT_MS')),
};
const finished = ['delivered', 'undelivered', 'failed', 'canceled'];

const pool = new pg.Pool({ connectionString: env('DATABASE_URL'), max: 10 });
pool.on('error', () => {});

type TwilioMessage = { sid: string; status: string; error_code: number | null };
type Wanted = { sender: string; receiver: string; content: string };

/** Twilio said no, in so many words. */
class Refused extends Error {}

async function askTwilio(path: string, form?: Record<string, string>): Promise<TwilioMessage> {
  const answer = await fetch(twilio.messages + path, {
    headers: { authorization: twilio.authorization },
    signal: AbortSignal.timeout(twilio.timeoutMs),
    ...(form !== undefined && { method: 'POST', body: new URLSearchParams(form) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Refused(`Twilio answered ${answer.status}`);
  return JSON.parse(text) as TwilioMessage;
}

async function sendThenRecord({ sender, receiver, content }: Wanted, trustomer: string, product: string) {
  const sent = await askTwilio('.json', {
    From: sender,
    To: toE164(receiver, 'GB', 'possible') ?? receiver,
    Body: content,
    StatusCallback: env('TWILIO_CALL_BACK_URL'),
  });
  const uuid = randomUUID();
  await pool.query(
    `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status,
                          twilio_sid, trustomer_code, product_name)
     VALUES ($1, now() AT TIME ZONE 'utc', 'unknown', now() AT TIME ZONE 'utc', 'unknown', $2, $3, $4, $5, $6, $7, $8)`,
    [uuid, sender, receiver, content, sent.status, sent.sid, trustomer, product],
  );
  return { uuid, sender, receiver, content, status: sent.status, twilio_sid: sent.sid };
}

function addSms(app: FastifyInstance): void {
  app.post<{ Body: Wanted }>('/dhos/v1/sms', async ({ body, headers }, reply) => {
    if (!body?.sender || !body.receiver || !body.content) return reply.code(400).send({ message: 'incomplete' });
    try {
      return await sendThenRecord(body, String(headers['x-trustomer']), String(headers['x-product']));
    } catch (error) {
      return reply.code(error instanceof Refused ? 503 : 500).send({ message: 'not sent' });
    }
  });
}

function addCallback(app: FastifyInstance): void {
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, new URLSearchParams(String(body)));
  });
  app.post<{ Body: URLSearchParams }>('/dhos/v1/sms/callback', async ({ body, headers }, reply) => {
    const expected = sign(env('TWILIO_AUTH_TOKEN'), env('TWILIO_CALL_BACK_URL'), body);
    if (headers['x-twilio-signature'] !== expected) return reply.code(403).send();
    const [sid, status] = [body.get('MessageSid'), body.get('MessageStatus')];
    const { rowCount } = await pool.query(
      `UPDATE message SET status = $2, error_code = $3, modified = now() AT TIME ZONE 'utc' WHERE twilio_sid = $1`,
      [sid, status, body.get('ErrorCode')],
    );
    if (rowCount === 0) return reply.code(400).send();
    if (sid !== null && finished.includes(status ?? '')) await redact(sid);
    return reply.code(204).send();
  });
}

async function redact(sid: string): Promise<void> {
  await askTwilio(`/${sid}.json`, { Body: '' });
  await pool.query(
    `UPDATE message SET redacted = now() AT TIME ZONE 'utc' WHERE twilio_sid = $1 AND redacted IS NULL`,
    [sid],
  );
}

const recent = `created > now() AT TIME ZONE 'utc' - interval '7 days'`;

async function bulkUpdate(): Promise<void> {
  const { rows: open } = await pool.query<{ sid: string }>(
    `SELECT twilio_sid AS sid FROM message WHERE ${recent} AND status <> ALL ($1)`,
    [finished],
  );
  const found: TwilioMessage[] = [];
  for (const { sid } of open) found.push(await askTwilio(`/${sid}.json`));
  await pool.query(
    `UPDATE message SET status = found.status, modified = now() AT TIME ZONE 'utc'
     FROM unnest($1::varchar[], $2::varchar[]) AS found (sid, status) WHERE twilio_sid = found.sid`,
    [found.map(({ sid }) => sid), found.map(({ status }) => status)],
  );
  const { rows: over } = await pool.query<{ sid: string }>(
    `SELECT twilio_sid AS sid FROM message WHERE ${recent} AND status = ANY ($1) AND redacted IS NULL`,
    [finished],
  );
  for (const { sid } of over) await redact(sid);
}

const app = fastify({ forceCloseConnections: true });
addSms(app);
addCallback(app);
app.get('/healthcheck', async () => (await pool.query('SELECT 1')).rows);
app.route({
  method: ['GET', 'POST'],
  url: '/dhos/v1/sms/bulk_update',
  handler: async (_request, reply) => {
    await bulkUpdate();
    return reply.code(204).send();
  },
});
console.log(`listens on ${await app.listen({ port: 0, host: '127.0.0.1' })}`);
