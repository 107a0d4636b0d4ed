import { randomUUID } from 'node:crypto';
import { Pool } from 'undici';
import { type CopiedMessage, copyRows, plainReceiver, SENDER, sendOriginal } from './copied-rows.ts';
import { account, type Replica, type Stage } from './stage.ts';

/** A message that Twilio has, as the service knows it, and how it will end. */
export type StormMessage = CopiedMessage & { readonly end: End };

type End = { readonly status: 'delivered' | 'undelivered' | 'failed'; readonly errorCode: string | null };

const CONNECTIONS = 64;

/**
 * Messages that are at the simulator, where each has ended already, and in the database, where each is as it was right
 * after Twilio's 201. The simulator has no callback URL for them: the storm tells what became of them.
 */
export async function prepareMessages(stage: Stage, replica: Replica, count: number): Promise<StormMessage[]> {
  const original = await sendOriginal(replica);
  const messages = await createAtTwilio(stage.simulator.url, count);
  await advance(stage.simulator.url, '10m');
  await copyRows(stage, original, messages);
  await stage.query('ANALYZE');
  return messages;
}

async function createAtTwilio(url: string, count: number): Promise<StormMessage[]> {
  const pool = new Pool(url, { connections: CONNECTIONS });
  const messages: StormMessage[] = [];
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const { receiver, end } = fateOf(next++);
      messages.push({ uuid: randomUUID(), sid: await create(pool, receiver), receiver, end });
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  await pool.close();
  return messages;
}

/** By the simulator's numbers with a fate, so that both tell the same story. */
function fateOf(n: number): { receiver: string; end: End } {
  if (n % 10 === 0) return { receiver: '+447700900990', end: { status: 'undelivered', errorCode: '30003' } };
  if (n % 10 === 1) return { receiver: '+447700900993', end: { status: 'failed', errorCode: '30008' } };
  return { receiver: plainReceiver(n), end: { status: 'delivered', errorCode: null } };
}

const authorization = `Basic ${Buffer.from(`${account.sid}:${account.token}`).toString('base64')}`;

async function create(pool: Pool, receiver: string): Promise<string> {
  const { statusCode, body } = await pool.request({
    method: 'POST',
    path: `/2010-04-01/Accounts/${account.sid}/Messages.json`,
    headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ To: receiver, From: SENDER, Body: `Storm ${randomUUID()}` }).toString(),
  });
  const { sid } = (await body.json()) as { sid: string };
  if (statusCode !== 201) throw new Error(`the simulator answered a create with ${statusCode}`);
  return sid;
}

async function advance(url: string, by: string): Promise<void> {
  const answer = await fetch(`${url}/_simulator/clock`, { method: 'POST', body: JSON.stringify({ advance: by }) });
  if (!answer.ok) throw new Error(`the clock answered ${answer.status}: ${await answer.text()}`);
}
