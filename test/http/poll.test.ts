import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { eventually, freshText, quiet, startTestService, type TestService } from '../support/service.ts';
import { type FakeTwilio, isCreate, resource, sidIn, startFakeTwilio, twilioAt } from '../support/twilio.ts';

const poll = (service: TestService, uuid: string, headers: Record<string, string> = {}) =>
  service.call(`/dhos/v1/sms/${uuid}/poll`, { method: 'POST', headers });
const fetched = async (service: TestService, uuid: string) =>
  (await service.call(`/dhos/v1/sms/${uuid}/events`)).json.filter(({ what }: { what: string }) => what === 'fetched');

describe('Where callbacks are lost', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService({}, { speed: 200 });
    service.simulator?.useScenario({ rules: [{ on: 'callback', when: {}, do: { lose: true } }] });
  });
  afterAll(() => service.stop());

  const endedAtTwilio = async (receiver: string) => {
    const { uuid, twilio_sid } = (await service.post({ ...freshText(), receiver })).json;
    const statusOf = () => service.simulator?.messages().find(({ sid }) => sid === twilio_sid)?.status ?? '';
    await eventually(async () => /delivered|failed/.test(statusOf()));
    expect((await service.call(`/dhos/v1/sms/${uuid}`)).json.status).not.toMatch(/delivered|failed/);
    return uuid as string;
  };

  test('a look at Twilio heals it: status, error and redaction', async () => {
    const uuid = await endedAtTwilio('+447700900990');
    const answer = await poll(service, uuid);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      said: 'undelivered',
      changed: true,
      message: { uuid, status: 'undelivered', error_code: '30003' },
    });
    expect(await fetched(service, uuid)).toMatchObject([{ summary: 'Twilio was asked and said undelivered.' }]);
    await eventually(async () => (await service.call(`/dhos/v1/sms/${uuid}`)).json.redacted);
    expect((await service.call(`/dhos/v1/sms/${uuid}/explanation`)).json).toMatchObject({
      tone: 'bad',
      error: { code: '30003', can_we_fix: 'no' },
    });
  });

  test('two looks at once change nothing twice', async () => {
    const uuid = await endedAtTwilio('+447700900321');
    const answers = await Promise.all(Array.from({ length: 5 }, () => poll(service, uuid)));
    expect(answers.map(({ status, json }) => [status, json.message.status, json.said])).toEqual(
      answers.map(() => [200, 'delivered', 'delivered']),
    );
    expect(answers.filter(({ json }) => json.changed)).toHaveLength(1);
    expect(await fetched(service, uuid)).toHaveLength(1);
  });
});

describe('A look at a Twilio', () => {
  let twilio: FakeTwilio;
  let service: TestService;
  let uuid: string;
  let sid: string;
  beforeAll(async () => {
    twilio = await startFakeTwilio();
  });
  beforeEach(async () => {
    // Each with a pace of its own.
    twilio.answerWith(undefined);
    service = await startTestService(twilioAt(twilio.url));
    ({ uuid, twilio_sid: sid } = (await service.post(freshText())).json);
    return () => service.stop();
  });
  afterAll(() => twilio.stop());
  const rowOf = async () => (await service.query('SELECT * FROM message WHERE uuid = $1', [uuid]))[0];
  const fetches = () => twilio.asked.filter((asked) => asked.method === 'GET' && sidIn(asked.path) === sid).length;

  test('that has nothing new changes nothing, not even when it is polled next', async () => {
    twilio.answerWith((asked) => ({ status: 200, body: resource({ sid: sidIn(asked.path), status: 'queued' }) }));
    const before = await rowOf();
    const answer = await poll(service, uuid);
    expect([answer.status, answer.json.said, answer.json.changed]).toEqual([200, 'queued', false]);
    expect(await rowOf()).toEqual(before);
  });

  test('that uses a word of next year changes nothing, and the word is not repeated', async () => {
    twilio.answerWith((asked) => ({
      status: 200,
      body: resource({ sid: sidIn(asked.path), status: '+447700900123' }),
    }));
    const answer = await poll(service, uuid);
    expect([answer.status, answer.json.said, answer.json.changed]).toEqual([200, 'unknown', false]);
  });

  test('that has it no more says so once, and it is polled no more', async () => {
    twilio.answerWith(() => ({ status: 404, body: { code: 20404, message: 'gone', status: 404 } }));
    const answer = await poll(service, uuid);
    expect([answer.status, answer.json.changed, answer.json.said]).toEqual([200, false, undefined]);
    expect(await rowOf()).toMatchObject({ step: null, status: 'queued' });
    await poll(service, uuid);
    expect(
      await service.query("SELECT kind FROM event WHERE kind = 'gone' AND message_uuid = $1", [uuid]),
    ).toHaveLength(1);
  });

  test.each([
    ['hangs up', 'hang up' as const],
    ['has a fault', { status: 500, body: { code: 20500, message: 'x', status: 500 } }],
    ['does not know us', { status: 401, body: { code: 20003, message: 'x', status: 401 } }],
  ])('that %s: 503, nothing changes, and it is left in peace for a moment', async (_what, reply) => {
    twilio.answerWith(() => reply);
    const before = await rowOf();
    const asked = fetches();
    const answers = [await poll(service, uuid), await poll(service, uuid)];
    for (const answer of answers) {
      expectProblem(answer, 503, 'Twilio does not tell at the moment. Nothing was changed: ask again.');
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(10);
    }
    expect(fetches() - asked).toBe(1);
    expect(await rowOf()).toEqual(before);
  });

  test('that has too many requests: 503, with as long as it asks for', async () => {
    twilio.answerWith(() => ({
      status: 429,
      body: { code: 20429, message: 'x', status: 429 },
      headers: { 'retry-after': '77' },
    }));
    expect((await poll(service, uuid)).headers.get('retry-after')).toBe('77');
  });

  test('is not possible without a SID: 409', async () => {
    twilio.answerWith((asked) =>
      isCreate(asked) ? { status: 400, body: { code: 21211, message: 'x', status: 400 } } : { status: 500, body: {} },
    );
    const refused = await service.post(freshText());
    expectProblem(await poll(service, refused.json.message_id), 409, /no SID/);
  });
});

describe('With keys, and without Twilio', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
  });
  afterAll(() => service.stop());

  test('it is audited, masked without the scope for content, and 404 for another tenant and once deleted', async () => {
    const admin = await createKey(service.databaseUrl, { tenant: ouh, name: 'night', scopes: ['sms:admin'] });
    const all = await createKey(service.databaseUrl, { tenant: ouh, name: 'all' });
    const other = await createKey(service.databaseUrl, { tenant: { ...ouh, trustomerCode: 'other' } });
    const { uuid } = (await service.post(freshText(), all.bearer)).json;
    const answer = await poll(service, uuid, admin.bearer);
    expect(answer.json).toMatchObject({
      said: 'sent',
      changed: false,
      message: { content: '[masked]', status: 'sent' },
    });
    const audited = await service.query("SELECT actor_name, details FROM audit WHERE action = 'polled'");
    expect(audited).toEqual([{ actor_name: 'night', details: { said: 'sent', changed: false } }]);
    expect((await poll(service, uuid, all.bearer)).json.message.receiver).toBe('+447700900123');
    expectProblem(await poll(service, uuid, other.bearer), 404, /no such message/);
    await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: all.bearer });
    expectProblem(await poll(service, uuid, all.bearer), 404, /no such message/);
  });
});
