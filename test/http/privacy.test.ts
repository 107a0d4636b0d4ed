import { afterAll, beforeAll, expect, test } from 'vitest';
import { rawRequest, sendRaw } from '../support/http.ts';
import { type Answer, eventually, startTestService, type TestService, tenant } from '../support/service.ts';
import { type FakeTwilio, newSid, startFakeTwilio, twilioAt } from '../support/twilio.ts';

// Words and digits that occur nowhere else: found in a log, they came from a patient's message.
const content = 'Canary: Mrs Tweety-Zwitscher, your smear test is on Monday';
const digits = '7700900877';
const number = `+44${digits}`;
const sender = '+447700900866';
const canaries = /tweety|zwitscher|smear test|7700 ?900 ?8(77|66)|c0ffee-token/i;

let lively: TestService;
let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  lively = await startTestService({ TWILIO_CALLBACK_OVERRIDES: '' });
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), TWILIO_AUTH_TOKEN: 'c0ffee-token' });
});
afterAll(async () => {
  await lively.stop();
  await service.stop();
  await twilio.stop();
});

const message = { sender, receiver: number, content };
const text = JSON.stringify(message);
const json = { 'content-type': 'application/json' };

/** The request was logged, and nothing of the patient with it or before it. */
async function expectSilent(of: TestService): Promise<void> {
  await of.call('/version', { headers: { 'x-request-id': 'the-last-one' } });
  await eventually(async () => of.logged().includes('the-last-one'));
  expect(of.logged()).not.toMatch(canaries);
}

test('a whole life, watched at level DEBUG, leaves neither text nor number in the log', async () => {
  const sent = await lively.post(message);
  await eventually(async () => (await lively.call(`/dhos/v1/sms/${sent.json.uuid}`)).json.redacted);
  await lively.call(`/dhos/v1/sms?receiver=${encodeURIComponent(number)}`, { headers: tenant });
  await lively.call('/dhos/v1/sms/bulk_update', { method: 'POST' });
  await lively.call(`/dhos/v1/sms/${sent.json.uuid}`, { method: 'DELETE', headers: tenant });
  expect(lively.logged()).toContain(sent.json.uuid);
  await expectSilent(lively);
});

test.each<[string, number, () => Promise<Answer>]>([
  ['a field of the wrong type', 400, () => service.post({ ...message, sender: [content] })],
  ['a number that is not possible', 400, () => service.post({ ...message, receiver: `${number}${digits}` })],
  ['a text that is too long', 400, () => service.post({ ...message, content: content.repeat(100) })],
  [
    'JSON that breaks off',
    400,
    () => service.call('/dhos/v1/sms', { method: 'POST', headers: json, body: text.slice(1) }),
  ],
  ['missing headers', 400, () => service.post(message, {})],
  ['a body of another type', 415, () => service.call('/dhos/v1/sms', { method: 'POST', body: text })],
  ['a body that is too large', 413, () => service.post({ ...message, status: content.repeat(2000) })],
  ['a path that nobody knows', 404, () => service.call(`/${number}/${encodeURIComponent(content)}`)],
  ['an id that nobody knows', 404, () => service.call(`/dhos/v1/sms/${number}`)],
  ['a path that cannot be decoded', 400, () => service.call(`/dhos/v1/sms/${digits}%E0%A4%A`)],
  ['a wrong limit', 400, () => service.call(`/dhos/v1/sms?limit=${digits}${digits}`, { headers: tenant })],
  ['a wrong date', 400, () => service.call(`/dhos/v1/sms_status_counts?start_date=${digits}&end_date=${digits}`)],
  ['a method that is not there', 405, () => service.call('/dhos/v1/sms', { method: 'PUT', headers: json, body: text })],
  ['a forged callback', 403, () => service.callback({ To: number, Body: content }, { authToken: 'wrong' })],
  ['a callback without its fields', 400, () => service.callback({ To: number, Body: content, From: sender })],
])('%s: %d repeats neither text nor number, in its answer or in the log', async (_what, status, ask) => {
  const answer = await ask();
  expect(answer.status).toBe(status);
  expect(answer.text).not.toMatch(canaries);
  await expectSilent(service);
});

test.each([
  [
    'refuses for good, repeating the number',
    422,
    { status: 400, body: { code: 21211, message: `'To' ${number} is bad` } },
  ],
  ['refuses with a code nobody knew', 422, { status: 400, body: { code: 29999, message: `${number}: ${content}` } }],
  ['is too busy', 503, { status: 429, body: { code: 20429, message: number } }],
  ['does not know us', 503, { status: 401, body: { code: 20003, message: `${number} c0ffee-token` } }],
] as const)('Twilio %s: %d says it in words of ours', async (_what, status, reply) => {
  twilio.answerWith(() => reply);
  const answer = await service.post(message);
  twilio.answerWith(undefined);
  expect(answer.status).toBe(status);
  expect(answer.text).not.toMatch(canaries);
  const found = await service.call(`/dhos/v1/sms/${answer.json.message_id}`);
  expect(found.json.error_message).not.toMatch(canaries);
  await expectSilent(service);
});

test.each([
  ['breaks', { status: 500, body: `${number} ${content}` }],
  ['hangs up', 'hang up'],
  ['answers nonsense', { status: 201, body: `<p>${number}</p>` }],
] as const)('Twilio %s: the log keeps quiet', async (what, reply) => {
  twilio.answerWith(() => reply);
  // Of its own: while Twilio may or may not have a text, an identical one has to wait.
  const own = { ...message, content: `${content}, ${what}` };
  expect((await service.post(own)).status).toBe(202);
  twilio.answerWith(undefined);
  await expectSilent(service);
});

test('a callback with number and text, kept or applied, is logged by its ids only', async () => {
  const sid = newSid();
  const fields = { MessageSid: sid, MessageStatus: 'undelivered', ErrorMessage: number, To: number, Body: content };
  expect((await service.callback(fields)).status).toBe(204);
  expect(service.logged()).toContain(sid);
  await expectSilent(service);
});

test('bytes that are no UTF-8 and requests that are no HTTP', async () => {
  const broken = Buffer.concat([Buffer.from(text.slice(0, -2)), Buffer.from([0xff])]);
  const answer = await sendRaw(service.baseUrl, rawRequest('POST', '/dhos/v1/sms', { ...json, ...tenant }, broken));
  expect([answer.status, canaries.test(answer.body)]).toEqual([400, false]);
  const none = await sendRaw(service.baseUrl, `${number} ${content}\r\n\r\n`);
  expect([none.status, canaries.test(none.body)]).toEqual([400, false]);
  await expectSilent(service);
});
