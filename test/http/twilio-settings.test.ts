import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { startTestService, text } from '../support/service.ts';
import { type FakeTwilio, resource, startFakeTwilio, twilioAt } from '../support/twilio.ts';

let twilio: FakeTwilio;

beforeAll(async () => {
  twilio = await startFakeTwilio();
});
afterAll(() => twilio.stop());

describe('Configuration: TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET', () => {
  test('are used for API calls instead of the token; callbacks stay signed with the token', async () => {
    const keys = { TWILIO_API_KEY_SID: 'SKkey', TWILIO_API_KEY_SECRET: 'of-the-key' };
    const keyed = await startTestService({ ...twilioAt(twilio.url), ...keys, TWILIO_CALLBACK_OVERRIDES: '' });
    const { json } = await keyed.post(text);
    const asked = twilio.asked.at(-1);
    expect(asked?.authorization).toBe(`Basic ${Buffer.from('SKkey:of-the-key').toString('base64')}`);
    expect(asked?.path).toBe('/2010-04-01/Accounts/ACtest/Messages.json');
    expect(asked?.form.StatusCallback).toBe(`https://sms.example/dhos/v1/sms/callback?m=${json.uuid}&a=1`);
    const fields = { MessageSid: json.twilio_sid, MessageStatus: 'sent' };
    expect((await keyed.callback(fields)).status).toBe(204);
    expect((await keyed.callback(fields, { authToken: 'of-the-key' })).status).toBe(403);
    await keyed.stop();
  });
});

describe('Configuration: TWILIO_BASE_URL', () => {
  test('may have a path of its own', async () => {
    const behindProxy = await startTestService(twilioAt(`${twilio.url}/proxy/twilio/`));
    expect((await behindProxy.post(text)).status).toBe(200);
    expect(twilio.asked.at(-1)?.path).toBe('/proxy/twilio/2010-04-01/Accounts/ACtest/Messages.json');
    await behindProxy.stop();
  });
});

describe('Configuration: COUNTRY_CODE', () => {
  test('is where a number without a country prefix is read', async () => {
    const american = await startTestService({ ...twilioAt(twilio.url), COUNTRY_CODE: 'us' });
    expect((await american.post({ ...text, receiver: '(202) 555-0142' })).status).toBe(200);
    expect(twilio.asked.at(-1)?.form.To).toBe('+12025550142');
    await american.stop();
  });
});

describe('Configuration: TWILIO_MAX_CONCURRENCY', () => {
  test('every place at Twilio is taken: nothing is recorded, no message is named', async () => {
    const busy = await startTestService({ ...twilioAt(twilio.url), TWILIO_MAX_CONCURRENCY: '1' });
    const release = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    twilio.answerWith(async () => {
      asked.resolve();
      await release.promise;
      return { status: 201, body: resource() };
    });
    const first = busy.post(text);
    await asked.promise;
    const second = await busy.post(text);
    twilio.answerWith(undefined);
    release.resolve();
    expectProblem(second, 503, 'Too many messages are on their way to Twilio. Nothing was sent: ask again.');
    expect([second.headers.get('retry-after'), second.headers.has('x-message-id')]).toEqual(['5', false]);
    expect((await first).status).toBe(200);
    expect(await busy.query('SELECT status FROM message')).toEqual([{ status: 'queued' }]);
    await busy.stop();
  });
});

describe('On HTTP bounds', () => {
  test('a POST answers within 14 s, also when it waited for its turn and Twilio never answers', async () => {
    const env = { ...twilioAt(twilio.url), TWILIO_MAX_CONCURRENCY: '1', TWILIO_TIMEOUT_MS: '11000' };
    const busy = await startTestService(env);
    const asked = Promise.withResolvers<void>();
    twilio.answerWith(async () => {
      asked.resolve();
      await delay(1_500);
      twilio.answerWith(() => 'silence');
      return { status: 201, body: resource() };
    });
    const first = busy.post(text);
    await asked.promise;
    const started = performance.now();
    const second = await busy.post(text);
    const tookMs = performance.now() - started;
    twilio.answerWith(undefined);
    expect([(await first).status, second.status]).toEqual([200, 202]);
    expect(tookMs).toBeLessThan(14_000);
    await busy.stop();
  });
});
