import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canaries, canaryText, RECEIVER } from '../support/canaries.ts';
import { expectProblem } from '../support/http.ts';
import { type Answer, freshText, startTestService, type TestService, tenant } from '../support/service.ts';
import { type FakeTwilio, isCreate, type Reply, startFakeTwilio, twilioAt } from '../support/twilio.ts';

let twilio: FakeTwilio;
/** Two replicas over one database, and what both of them are told. */
let replicas: [TestService, TestService];
let tenants = 0;

const capRefusal = 'DAILY_CAP: this tenant has sent as much as it may until midnight UTC. Nothing was sent.';
const recipientRefusal = 'RECIPIENT_LIMIT: this text went to this number as often as it may for now. Nothing was sent.';

const env = { DAILY_CAP: '5', DAILY_CAPS: 'big/gdm=300', RECIPIENT_LIMIT: '3/1h' };
const start = (more: Record<string, string> = {}, databaseUrl?: string) =>
  startTestService({ ...twilioAt(twilio.url), ...more }, databaseUrl === undefined ? {} : { databaseUrl });

beforeAll(async () => {
  twilio = await startFakeTwilio();
  const first = await start(env);
  replicas = [first, await start(env, first.databaseUrl)];
});
afterAll(async () => {
  await replicas[1].stop();
  await replicas[0].stop();
  await twilio.stop();
});

/** A tenant that nobody has sent for. */
function freshTenant(): { 'x-trustomer': string; 'x-product': string } {
  tenants += 1;
  return { 'x-trustomer': `T${tenants}`, 'x-product': 'GDM' };
}
const rowsOf = (of: { 'x-trustomer': string }) =>
  replicas[0].query('SELECT FROM message WHERE trustomer_code = $1', [of['x-trustomer'].toLowerCase()]);
const statusesOf = (answers: Answer[]) => {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};
const refusal: Reply = { status: 400, body: { code: 21610, message: 'words', status: 400 } };

describe('DAILY_CAP', () => {
  test('many at once, over two replicas: as many as the cap are recorded, the others are 429 until midnight', async () => {
    const of = freshTenant();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        (replicas[n % 2] ?? replicas[0]).post(freshText(), n % 3 === 0 ? { ...of, prefer: 'respond-async' } : of),
      ),
    );
    expect(statusesOf(answers)[429]).toBe(15);
    expect(await rowsOf(of)).toHaveLength(5);
    const [refused] = answers.filter(({ status }) => status === 429);
    if (refused === undefined) throw new Error('none was refused');
    expectProblem(refused, 429, capRefusal);
    const untilMidnightS = Number(refused.headers.get('retry-after'));
    const now = new Date();
    const expected = (Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1) - now.getTime()) / 1000;
    expect(Math.abs(untilMidnightS - expected)).toBeLessThan(30);
    expect((await replicas[0].post(freshText(), freshTenant())).status).toBe(200);
  });

  test('far from the cap requests are recorded side by side, close to it one by one: it is kept to the message', async () => {
    const of = { 'x-trustomer': 'BIG', 'x-product': 'GDM' };
    const answers: Answer[] = [];
    for (let n = 0; n < 340; n += 34) {
      const some = Array.from({ length: 34 }, (_, m) =>
        (replicas[m % 2] ?? replicas[0]).post(freshText(), { ...of, prefer: 'respond-async' }),
      );
      answers.push(...(await Promise.all(some)));
    }
    expect(statusesOf(answers)).toEqual({ 202: 300, 429: 40 });
    expect(await rowsOf(of)).toHaveLength(300);
  });

  test('a repeat of an Idempotency-Key is not counted and not refused; a refused request does not use its key up', async () => {
    const of = freshTenant();
    const texts = Array.from({ length: 5 }, freshText);
    const post = (n: number) => replicas[n % 2]?.post(texts[n], { ...of, 'idempotency-key': `day ${n}` });
    for (let n = 0; n < 5; n += 1) {
      expect((await post(n))?.status).toBe(200);
      expect((await post(n))?.headers.get('idempotency-replayed')).toBe('true');
    }
    const key = { ...of, 'idempotency-key': 'too many' };
    expect((await replicas[0].post(freshText(), key)).status).toBe(429);
    expect((await post(0))?.headers.get('idempotency-replayed')).toBe('true');
    await replicas[0].query("UPDATE message SET created = created - interval '1 day' WHERE trustomer_code = $1", [
      of['x-trustomer'].toLowerCase(),
    ]);
    expect((await replicas[0].post(freshText(), key)).status).toBe(200);
  });

  test('what was not sent is not counted, what was deleted is', async () => {
    const of = freshTenant();
    twilio.answerWith((asked) => (isCreate(asked) ? refusal : undefined) as Reply);
    for (let n = 0; n < 7; n += 1) expect((await replicas[0].post(freshText(), of)).status).toBe(422);
    twilio.answerWith(undefined);
    for (let n = 0; n < 5; n += 1) {
      const { status, json } = await replicas[0].post(freshText(), of);
      expect(status).toBe(200);
      await replicas[0].call(`/dhos/v1/sms/${json.uuid}`, { method: 'DELETE', headers: of });
    }
    expect((await replicas[0].post(freshText(), of)).status).toBe(429);
  });

  test.each([
    ['at midnight counts', '', 429],
    ['before midnight does not', " - interval '1 ms'", 200],
  ])('the day is a UTC day: what was recorded %s', async (_what, earlier, status) => {
    const of = freshTenant();
    for (let n = 0; n < 5; n += 1) await replicas[0].post(freshText(), of);
    await replicas[0].query(
      `UPDATE message SET created = date_trunc('day', now() AT TIME ZONE 'utc')${earlier} WHERE trustomer_code = $1`,
      [of['x-trustomer'].toLowerCase()],
    );
    expect((await replicas[1].post(freshText(), of)).status).toBe(status);
  });

  test('what was counted is not counted again: rows older than a minute are remembered', async () => {
    const of = freshTenant();
    for (let n = 0; n < 3; n += 1) await replicas[0].post(freshText(), of);
    await replicas[0].query(
      `UPDATE message SET created = greatest(created - interval '2 minutes', date_trunc('day', created))
       WHERE trustomer_code = $1`,
      [of['x-trustomer'].toLowerCase()],
    );
    // The other replica counts them for the first time, and then remembers them.
    for (let n = 0; n < 2; n += 1) expect((await replicas[1].post(freshText(), of)).status).toBe(200);
    for (let n = 0; n < 2; n += 1) expect((await replicas[1].post(freshText(), of)).status).toBe(429);
  });
});

describe('RECIPIENT_LIMIT', () => {
  const alike = freshText();

  test('the same text to the same number, however it is spelled: 429 with Retry-After beyond the limit', async () => {
    const of = freshTenant();
    for (const receiver of ['+447700900123', '07700 900123', 'tel:+44-7700-900123']) {
      expect((await replicas[0].post({ ...alike, receiver }, of)).status).toBe(200);
    }
    const key = { ...of, 'idempotency-key': 'again' };
    for (const answer of [await replicas[1].post(alike, key), await replicas[0].post(alike, key)]) {
      expectProblem(answer, 429, recipientRefusal);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(3_500);
      expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(3_600);
    }
    expect(await rowsOf(of)).toHaveLength(3);
    const other = await replicas[0].post({ ...alike, receiver: '+447700900124' }, of);
    expect([other.status, (await replicas[0].post(freshText(), of)).status]).toEqual([200, 200]);
    expect((await replicas[0].post(alike, freshTenant())).status).toBe(200);

    await replicas[0].query("UPDATE message SET created = created - interval '1 hour' WHERE trustomer_code = $1", [
      of['x-trustomer'].toLowerCase(),
    ]);
    expect((await replicas[0].post(alike, key)).status).toBe(200);
  });

  test('Retry-After says when the oldest one that counts is over', async () => {
    const of = freshTenant();
    for (let n = 0; n < 3; n += 1) await replicas[0].post(alike, of);
    await replicas[0].query(
      `UPDATE message SET created = created - interval '50 minutes' WHERE uuid =
         (SELECT uuid FROM message WHERE trustomer_code = $1 ORDER BY created LIMIT 1)`,
      [of['x-trustomer'].toLowerCase()],
    );
    const answer = await replicas[0].post(alike, of);
    expect(answer.status).toBe(429);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(500);
    expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(600);
  });

  test('many at once, over two replicas: as many as the limit are recorded', async () => {
    const of = freshTenant();
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, n) => (replicas[n % 2] ?? replicas[0]).post(alike, of)),
    );
    expect(statusesOf(answers)).toEqual({ 200: 3, 429: 13 });
    expect(await rowsOf(of)).toHaveLength(3);
  });

  test('a repeat of an Idempotency-Key is not counted and not refused', async () => {
    const of = freshTenant();
    const key = { ...of, 'idempotency-key': 'one' };
    const first = await replicas[0].post(alike, key);
    for (let n = 0; n < 4; n += 1) expect((await replicas[1].post(alike, key)).json.uuid).toBe(first.json.uuid);
    for (let n = 0; n < 2; n += 1) expect((await replicas[0].post(alike, of)).status).toBe(200);
    expect((await replicas[0].post(alike, of)).status).toBe(429);
    expect((await replicas[1].post(alike, key)).json.uuid).toBe(first.json.uuid);
  });

  test('what was not sent is not counted: asking again after a refusal is safe', async () => {
    const of = freshTenant();
    twilio.answerWith((asked) => (isCreate(asked) ? refusal : undefined) as Reply);
    for (let n = 0; n < 4; n += 1) expect((await replicas[0].post(alike, of)).status).toBe(422);
    twilio.answerWith(undefined);
    for (let n = 0; n < 3; n += 1) expect((await replicas[0].post(alike, of)).status).toBe(200);
    expect((await replicas[0].post(alike, of)).status).toBe(429);
  });

  test('within DUPLICATE_WINDOW_S the same text is the first message, which is neither counted nor refused', async () => {
    const windowed = await start(
      { DUPLICATE_WINDOW_S: '60', RECIPIENT_LIMIT: '1/1h', DAILY_CAP: '1' },
      replicas[0].databaseUrl,
    );
    const of = freshTenant();
    const first = await windowed.post(alike, of);
    for (let n = 0; n < 3; n += 1) {
      const { status, json } = await windowed.post(alike, of);
      expect([status, json.uuid]).toEqual([200, first.json.uuid]);
    }
    await windowed.query("UPDATE message SET created = created - interval '61 s' WHERE trustomer_code = $1", [
      of['x-trustomer'].toLowerCase(),
    ]);
    expectProblem(await windowed.post(alike, of), 429, recipientRefusal);
    await windowed.stop();
  });
});

test('each refusal is counted by its rule, and neither answers nor the log repeat what was asked', async () => {
  const service = await start({ DAILY_CAP: '1', RECIPIENT_LIMIT: '1/1h' });
  const text = { sender: 'Tweety', receiver: RECEIVER, content: canaryText() };
  expect((await service.post(text)).status).toBe(200);
  const byRecipient = await service.post(text);
  const byCap = await service.post({ ...text, content: canaryText() });
  expect([byRecipient.json.detail, byCap.json.detail]).toEqual([recipientRefusal, capRefusal]);
  expect(byRecipient.text + byCap.text + service.logged()).not.toMatch(canaries);
  const { text: metrics } = await service.call('/metrics');
  expect(metrics).toContain('sms_refused_total{rule="recipient limit"} 1');
  expect(metrics).toContain('sms_refused_total{rule="daily cap"} 1');
  expect(await service.query('SELECT FROM message')).toHaveLength(1);
  expect((await service.call('/dhos/v1/sms', { headers: tenant })).json).toHaveLength(1);
  await service.stop();
});
