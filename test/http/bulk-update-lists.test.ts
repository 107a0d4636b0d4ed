import { randomUUID } from 'node:crypto';
import { Pool } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readScenario } from '../../src/simulator/read-scenario.ts';
import { metric } from '../faults/support.ts';
import { type DrivenScene, MINUTE_MS, readsOf, startDrivenScene } from '../support/driven-clock.ts';
import { eventually } from '../support/service.ts';

/** Bulk updates at the simulator: what it says of each message is the truth. */
let scene: DrivenScene;

beforeAll(async () => {
  scene = await startDrivenScene({}, { TWILIO_TIMEOUT_MS: '2000' });
});
afterAll(() => scene.stop());

const FATES = ['990', '991', '992', '993', '994'];
const receiverOf = (n: number) =>
  n % 20 === 0 ? `+447700900${FATES[(n / 20) % FATES.length]}` : `+447700900${String(n % 190).padStart(3, '0')}`;

type Created = { readonly sid: string; readonly receiver: string };

/** Texts that somebody has sent from this account. */
async function createAtTwilio(count: number): Promise<Created[]> {
  const { baseUrl, accountSid, authToken } = scene.simulator;
  const pool = new Pool(baseUrl, { connections: 16 });
  const authorization = `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString('base64')}`;
  const numbers = Array.from({ length: count }, (_, n) => n);
  const queue = numbers.values();
  const created: Created[] = [];
  const worker = async () => {
    for (const n of queue) {
      const receiver = receiverOf(n);
      const { statusCode, body } = await pool.request({
        path: `/2010-04-01/Accounts/${accountSid}/Messages.json`,
        method: 'POST',
        headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ To: receiver, From: '+447700900001', Body: `Text ${randomUUID()}` }).toString(),
      });
      if (statusCode !== 201) throw new Error(`create ${n} was answered ${statusCode}`);
      created.push({ sid: ((await body.json()) as { sid: string }).sid, receiver });
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  await pool.destroy();
  return created;
}

/** Rows as the platform's own SQL writes them; every third one is `sent`. */
async function insertRows(messages: readonly Created[]): Promise<void> {
  await scene.service.query('DELETE FROM message');
  await scene.service.query(
    `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, twilio_sid, status,
                          trustomer_code, product_name)
     SELECT substr(sid, 3), now() AT TIME ZONE 'utc', 'x', now() AT TIME ZONE 'utc', 'x', '+447700900001', receiver, 'Text',
            sid, CASE n % 3 WHEN 0 THEN 'sent' ELSE 'queued' END, 'ouh', 'gdm'
     FROM unnest($1::varchar[], $2::varchar[]) WITH ORDINALITY AS new(sid, receiver, n)`,
    [messages.map(({ sid }) => sid), messages.map(({ receiver }) => receiver)],
  );
}

const bulkUpdate = async () =>
  expect((await scene.service.call('/dhos/v1/sms/bulk_update', { method: 'POST' })).status).toBe(204);

/** Every row has the status, the error code and the words that the simulator has. */
async function expectTruth(count: number): Promise<void> {
  const rows = await scene.service.query<{ sid: string; status: string; code: string | null; words: string | null }>(
    'SELECT twilio_sid AS sid, status, error_code AS code, error_message AS words FROM message',
  );
  expect(rows).toHaveLength(count);
  const truth = new Map(scene.simulator.messages().map((message) => [message.sid, message]));
  const told = rows.map(({ sid }) => {
    const { status, error_code, error_message } = truth.get(sid) ?? {};
    return { sid, status, code: error_code == null ? null : String(error_code), words: error_message };
  });
  expect(rows).toEqual(told);
}

describe('Bulk update of 10,000 open messages that the list covers', () => {
  const COUNT = 10_000;
  let reads: { lists: number; fetches: number };

  beforeAll(async () => {
    await insertRows(await createAtTwilio(COUNT));
    await scene.pass(MINUTE_MS);
    const before = readsOf(scene);
    await bulkUpdate();
    const after = readsOf(scene);
    reads = { lists: after.lists - before.lists, fetches: after.fetches - before.fetches };
  }, 240_000);

  test('takes 20 reading requests at the most', () => {
    expect(reads.lists + reads.fetches).toBeLessThanOrEqual(20);
    expect(reads.lists).toBeGreaterThanOrEqual(10);
  });

  test('gets every status, error code and text of it right', async () => {
    await expectTruth(COUNT);
    const statuses = await scene.service.query('SELECT DISTINCT status, error_code FROM message ORDER BY 1, 2');
    expect(statuses.map(({ status, error_code }) => `${status} ${error_code ?? ''}`.trim())).toEqual([
      'delivered',
      'failed 30008',
      'sent',
      'undelivered 30003',
      'undelivered 30005',
      'undelivered 30006',
    ]);
  });

  test('tells how far it came, and as metrics', async () => {
    const { json } = await scene.service.call('/dhos/v1/sms/bulk_update/progress');
    expect(json).toMatchObject({ running: false, total: COUNT, asked: COUNT, gone: 0, failed: 0 });
    const changed = await metric(scene.service, 'sms_status_checks_total{how="list",result="changed"}');
    const noNews = await metric(scene.service, 'sms_status_checks_total{how="list",result="no news"}');
    expect([json.changed, changed + noNews]).toEqual([changed, COUNT]);
    expect(await metric(scene.service, 'sms_bulk_update_remaining')).toBe(0);
  });

  test('done again, changes nothing and asks of the unfinished alone', { timeout: 120_000 }, async () => {
    const untilEmptied = async () => {
      const [row] = await scene.service.query<{ count: number }>(
        "SELECT count(*)::int AS count FROM message WHERE redacted IS NULL AND status <> 'sent'",
      );
      return row?.count === 0;
    };
    await eventually(untilEmptied, 100_000);
    const everything = () => scene.service.query('SELECT to_jsonb(message) AS row FROM message ORDER BY uuid');
    const before = await everything();
    await bulkUpdate();
    expect(await everything()).toEqual(before);
    const { json } = await scene.service.call('/dhos/v1/sms/bulk_update/progress');
    expect(json).toMatchObject({ total: COUNT / 100, asked: COUNT / 100, changed: 0 });
    expect(await metric(scene.service, 'sms_status_checks_total{how="list",result="no news"}')).toBe(COUNT / 100);
  });
});

describe('A list that is of no use', () => {
  const COUNT = 12;
  const faults: readonly [what: string, answer: string][] = [
    ['503', 'answer: 503'],
    ["a proxy's page", 'answer: 502, html: true'],
    ['401', 'answer: 401'],
    ['an answer that breaks off', 'answer: truncated'],
    ['an answer without end', 'answer: endless'],
    ['an answer of other types', 'answer: wrong-types'],
    ['a broken connection', 'answer: reset'],
    ['silence', 'answer: hang'],
  ];

  test.each(faults)('(%s) is made up for by fetches', { timeout: 60_000 }, async (_what, answer) => {
    scene.simulator.useScenario(readScenario(`rules: [{ on: list, do: { ${answer} } }]`));
    await insertRows(await createAtTwilio(COUNT));
    await scene.pass(MINUTE_MS);
    const before = readsOf(scene);
    await bulkUpdate();
    await expectTruth(COUNT);
    expect(readsOf(scene)).toEqual({ lists: before.lists + 1, fetches: before.fetches + COUNT });
  });

  test('from its second page on: what the first one showed counts', { timeout: 60_000 }, async () => {
    scene.simulator.useScenario(readScenario('rules: [{ on: list, when: { nth: 2 }, do: { answer: 500 } }]'));
    const messages = await createAtTwilio(1_030);
    await insertRows(messages);
    await scene.pass(MINUTE_MS);
    const before = readsOf(scene);
    await bulkUpdate();
    await expectTruth(1_030);
    expect(readsOf(scene)).toEqual({ lists: before.lists + 2, fetches: before.fetches + 30 });
  });

  test('because it lags: what it does not show is fetched', { timeout: 60_000 }, async () => {
    scene.simulator.useScenario(readScenario('list: { lag: 1h }'));
    await insertRows(await createAtTwilio(300));
    await scene.pass(MINUTE_MS);
    const before = readsOf(scene);
    await bulkUpdate();
    await expectTruth(300);
    expect(readsOf(scene).fetches - before.fetches).toBe(300);
  });
});
