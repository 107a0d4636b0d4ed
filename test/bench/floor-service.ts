import { randomUUID } from 'node:crypto';
import fastify from 'fastify';
import pg from 'pg';
import { Pool } from 'undici';

/**
 * The floor of sending: one insert, the call, one update, the answer. It forgets a message when it dies in between, sends
 * it twice when it is asked twice, and believes whatever Twilio says.
 */
const [databaseUrl = '', twilioUrl = '', account = '', token = '', connections = '64'] = process.argv.slice(2);
const database = new pg.Pool({ connectionString: databaseUrl, max: 10 });
const twilio = new Pool(twilioUrl, { connections: Number(connections), pipelining: 1 });
const headers = {
  authorization: `Basic ${Buffer.from(`${account}:${token}`).toString('base64')}`,
  'content-type': 'application/x-www-form-urlencoded',
};
const app = fastify({ forceCloseConnections: true });

type Text = { sender: string; receiver: string; content: string };

app.post<{ Body: Text }>('/dhos/v1/sms', async (request) => {
  const { sender, receiver, content } = request.body;
  const uuid = randomUUID();
  await database.query({
    name: 'insert',
    text: `INSERT INTO floor_message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status,
                                      trustomer_code, product_name)
           VALUES ($1, now(), 'unknown', now(), 'unknown', $2, $3, $4, 'accepted', $5, $6)`,
    values: [uuid, sender, receiver, content, request.headers['x-trustomer'], request.headers['x-product']],
  });
  const { sid, status } = await create({ To: receiver, From: sender, Body: content });
  const { rows } = await database.query({
    name: 'update',
    text: 'UPDATE floor_message SET twilio_sid = $2, status = $3, modified = now() WHERE uuid = $1 RETURNING *',
    values: [uuid, sid, status],
  });
  return rows[0];
});

async function create(form: Record<string, string>): Promise<{ sid: string; status: string }> {
  const { statusCode, body } = await twilio.request({
    method: 'POST',
    path: `/2010-04-01/Accounts/${account}/Messages.json`,
    headers,
    body: new URLSearchParams({ ...form, StatusCallback: 'https://sms.example/dhos/v1/sms/callback' }).toString(),
  });
  if (statusCode !== 201) throw new Error(`Twilio answered ${statusCode}`);
  return (await body.json()) as { sid: string; status: string };
}

console.log(`listening on ${await app.listen({ port: 0, host: '127.0.0.1' })}`);
