import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { freshText, startTestService, type TestService, tenant } from '../support/service.ts';
import { type FakeTwilio, isCreate, type Reply, resource, startFakeTwilio, twilioAt } from '../support/twilio.ts';

let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '1000' });
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});
beforeEach(() => twilio.answerWith(undefined));

const later = (text: object, to: TestService) => to.post(text, { ...tenant, prefer: 'respond-async' });
const createsOf = ({ content }: ReturnType<typeof freshText>) =>
  twilio.asked.filter((asked) => isCreate(asked) && asked.form.Body === content);
const error = (status: number, code: number): Reply => ({ status, body: { code, message: 'words', status } });
const count = async () => (await service.query('SELECT FROM message')).length;

describe('the same text again', () => {
  /** Another replica, which is configured otherwise. */
  const another = (env: Record<string, string>) =>
    startTestService({ ...twilioAt(twilio.url), ...env }, { databaseUrl: service.databaseUrl });

  test('within DUPLICATE_WINDOW_S: answered with the first message, sent once', async () => {
    const windowed = await another({ DUPLICATE_WINDOW_S: '60' });
    const text = freshText();
    const first = await windowed.post(text);
    const again = await Promise.all([windowed.post(text), windowed.post(text), later(text, windowed)]);
    for (const { status, json } of again) expect([status, json.uuid]).toEqual([200, first.json.uuid]);
    expect(createsOf(text)).toHaveLength(1);

    const others = [
      await windowed.post({ ...text, sender: '+447700900002' }),
      await windowed.post({ ...text, receiver: '+447700900124' }),
      await windowed.post(text, { 'x-trustomer': 'TVH', 'x-product': 'GDM' }),
    ];
    expect(new Set([first, ...others].map(({ json }) => json.uuid)).size).toBe(4);
    await windowed.query("UPDATE message SET created = created - interval '61 s' WHERE content = $1", [text.content]);
    expect((await windowed.post(text)).json.uuid).not.toBe(first.json.uuid);
    await windowed.stop();
  });

  test('many at once within the window are one message; one that was refused stands for nothing', async () => {
    const windowed = await another({ DUPLICATE_WINDOW_S: '60' });
    const text = freshText();
    const answers = await Promise.all(Array.from({ length: 20 }, () => windowed.post(text)));
    expect(new Set(answers.map(({ status, json }) => `${status} ${json.uuid}`)).size).toBe(1);
    expect(createsOf(text)).toHaveLength(1);
    const refused = freshText();
    twilio.answerWith(() => error(400, 21610));
    expect((await windowed.post(refused)).status).toBe(422);
    twilio.answerWith(undefined);
    expect((await windowed.post(refused)).status).toBe(200);
    await windowed.stop();
  });

  test('at once, while the first is being sent: the second waits and is sent after it', async () => {
    const two = await another({ TWILIO_TIMEOUT_MS: '3000' });
    const text = freshText();
    const arrived = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    twilio.answerWith(async () => {
      arrived.resolve();
      await go.promise;
      return { status: 201, body: resource() };
    });
    const first = two.post(text);
    await arrived.promise;
    const second = two.post(text);
    expect(await Promise.race([second, delay(300, 'waits')])).toBe('waits');
    expect(createsOf(text)).toHaveLength(1);
    go.resolve();
    const [one, other] = await Promise.all([first, second]);
    expect([one.status, other.status, createsOf(text).length]).toEqual([200, 200, 2]);
    expect(one.json.uuid).not.toBe(other.json.uuid);
    await two.stop();
  });

  test('at once, while nobody knows what became of the first: 503 after its time, nothing recorded, nothing sent', async () => {
    const text = freshText();
    twilio.answerWith((asked) => (isCreate(asked) ? 'hang up' : { status: 503, body: '' }));
    expect((await service.post(text)).status).toBe(202);
    const before = await count();
    const began = performance.now();
    const answer = await service.post(text);
    expect(performance.now() - began).toBeLessThan(14_000);
    const detail =
      'An identical text to this number is on its way, and whether Twilio has it is not known yet. Nothing was sent: ask again.';
    expectProblem(answer, 503, detail);
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
    expect([await count(), createsOf(text).length]).toEqual([before, 1]);
  });
});
