import { STATUS_CODES } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { refusals } from '../../src/errors.ts';
import { rawRequest, sendRaw } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { freshText, startTestService, type TestService, tenant, text } from '../support/service.ts';
import { type FakeTwilio, startFakeTwilio, twilioAt } from '../support/twilio.ts';

let twilio: FakeTwilio;
let service: TestService;
/** Of a clinic, and of everybody's operator. */
let clinic: Record<string, string>;
let operator: Record<string, string>;
let uuid: string;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), AUTH_MODE: 'apikey', DAILY_CAPS: 'tvh/gdm=1' });
  clinic = { ...(await createKey(service.databaseUrl, { tenant: ouh })).bearer, ...tenant };
  operator = { ...(await createKey(service.databaseUrl)).bearer };
  ({ uuid } = await insertOriginalRow(service));
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

type Said = { readonly status: number; readonly headers: Headers; readonly text: string };

const json = { 'content-type': 'application/json' };
const sms = '/dhos/v1/sms';
const get = (path: string, headers: Record<string, string> = clinic): Promise<Said> => service.call(path, { headers });
const settle = (body: object): Promise<Said> =>
  service.call(`${sms}/${uuid}/settle`, {
    method: 'POST',
    headers: { ...json, ...clinic },
    body: JSON.stringify(body),
  });

/** What no HTTP client would send; the head as `fetch` would show it. */
async function raw(bytes: string | Buffer): Promise<Said> {
  const { status, head, body } = await sendRaw(service.baseUrl, bytes);
  const lines = head.split('\r\n').slice(1);
  return { status, headers: new Headers(lines.map((line) => line.split(/: (.*)/, 2) as [string, string])), text: body };
}

async function refusedByTwilio(): Promise<Said> {
  twilio.answerWith(() => ({ status: 400, body: { code: 21610, message: 'Error: at x.js:1:1', status: 400 } }));
  const answer = await service.post(freshText(), clinic);
  twilio.answerWith(undefined);
  return answer;
}

async function overTheCap(): Promise<Said> {
  const others = { ...operator, 'x-trustomer': 'TVH', 'x-product': 'GDM' };
  expect((await service.post(freshText(), others)).status).toBe(200);
  return service.post(freshText(), others);
}

/** A row whose key nobody has. */
async function sealedForGood(): Promise<Said> {
  const sealed = await insertOriginalRow(service);
  await service.query("UPDATE message SET content_key_id = 'lost' WHERE uuid = $1", [sealed.uuid]);
  return get(`${sms}/${sealed.uuid}`);
}

/** Whoever reads in clear is noted first, where nothing can be noted any more. */
async function faulty(): Promise<Said> {
  await service.query('ALTER TABLE audit RENAME TO away');
  try {
    return await get(`${sms}/${uuid}`);
  } finally {
    await service.query('ALTER TABLE away RENAME TO audit');
  }
}

const many = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`a${n}`, '1']));

const errors: [number, string, () => Promise<Said>][] = [
  [400, 'JSON that breaks off', () => raw(rawRequest('POST', sms, { ...json, ...clinic }, '{"a"'))],
  [400, 'an address that cannot be decoded', () => get(`${sms}/%E0%A4%A`)],
  [400, 'bytes that are no HTTP', () => raw('HELLO\r\n\r\n')],
  [401, 'nobody’s key', () => get(sms, { authorization: 'Bearer polaris_000000000000_x' })],
  [403, 'another tenant’s name', () => get(sms, { ...clinic, 'x-trustomer': 'tvh' })],
  [403, 'a forged callback', () => service.callback({ MessageSid: 'SM1' }, { authToken: 'forged' })],
  [404, 'an unknown message', () => get(`${sms}/unknown`)],
  [404, 'an unknown address', () => get('/src/index.ts')],
  [405, 'a method that nobody knows here', () => service.call(sms, { method: 'PATCH', headers: clinic })],
  [406, 'a picture of the list', () => get(sms, { ...clinic, accept: 'image/png' })],
  [408, 'a request that does not come to its end', () => raw('POST /dhos/v1/sms HTTP/1.1\r\nhost: sms\r\n')],
  [409, 'what is settled already', () => settle({ outcome: 'sent' })],
  [413, 'a body of 70 KB', () => raw(rawRequest('POST', sms, { ...json, ...clinic }, 'x'.repeat(70_000)))],
  [414, 'an address of 13 KB', () => get(`${sms}?receiver=${'x'.repeat(13_000)}`)],
  [415, 'XML', () => service.post(text, { ...clinic, 'content-type': 'application/xml' })],
  [422, 'what Twilio refuses', refusedByTwilio],
  [429, 'a text too many in a day', overTheCap],
  [431, 'headers of 20 KB', () => raw(rawRequest('GET', sms, { ...clinic, 'x-long': 'x'.repeat(20_000) }))],
  [431, '200 headers', () => get(sms, { ...clinic, ...many })],
  [500, 'a fault of ours', faulty],
  [503, 'a text whose key is lost', sealedForGood],
];

const inside =
  /\bat \S+ \(|[a-z]:\d+:\d+|\.[cm]?[jt]s\b|node_modules|node:|FST_|zod|Error:|Unexpected|SELECT|relation|\/(?:src|tmp|home|work)\//;
const protection = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
  server: null,
  'x-powered-by': null,
};

function expectOneShape({ status, headers, text: body }: Said): void {
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json(; charset=utf-8)?$/);
  const { error_code, message_id, ...problem } = JSON.parse(body);
  const { detail } = problem;
  const title = STATUS_CODES[status];
  expect(problem).toEqual({ type: 'about:blank', title, status, detail, message: detail, code: status });
  expect(detail).toMatch(/^[A-Za-z].*\.$/);
  expect(error_code === undefined ? 'none' : error_code).toMatch(/^(?:none|\d{5})$/);
  expect(message_id === undefined ? 'none' : message_id).toMatch(/^(?:none|[0-9a-f-]{36})$/);
}

describe('Every error has one shape, is protected, and tells nothing of the inside', () => {
  test.each(errors)('%i, %s', async (status, _what, provoke) => {
    const answer = await provoke();
    expect([answer.status, answer.text]).toEqual([status, expect.stringMatching(/^\{/)]);
    expectOneShape(answer);
    expect(answer.text).not.toMatch(inside);
    expect(JSON.stringify([...answer.headers])).not.toMatch(inside);
    for (const [name, value] of Object.entries(protection))
      expect([name, answer.headers.get(name)]).toEqual([name, value]);
  });

  test('each status that the service can answer is among them', () => {
    const walked = new Set(errors.map(([status]) => status));
    // Of Node's parser and of a fault: they are no refusals.
    const known = new Set([...Object.values(refusals), 408, 500]);
    expect([...walked].toSorted()).toEqual([...known].toSorted());
  });

  test('a fault of ours has its reason in the log, where the caller’s id leads to it', async () => {
    const answer = await faulty();
    const id = answer.headers.get('x-request-id') ?? '';
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(answer.text).toContain('X-Request-ID');
    expect(service.logged()).toMatch(new RegExp(`"requestID":"${id}".*"message":"a request failed"`));
  });
});
