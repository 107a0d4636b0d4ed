import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sign } from '../../src/twilio/signature.ts';
import { expectProblem, rawRequest, sendRaw } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { type Answer, eventually, startTestService, type TestService, tenant, text } from '../support/service.ts';
import { type FakeTwilio, newSid, startFakeTwilio, twilioAt } from '../support/twilio.ts';

const url = 'https://sms.example/dhos/v1/sms/callback';
const form = { 'content-type': 'application/x-www-form-urlencoded' };

let twilio: FakeTwilio;
let service: TestService;
/** Of the second listener. */
let baseUrl: string;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), CALLBACK_PORT: '0' });
  baseUrl = service.callbackBaseUrl ?? '';
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

async function call(path: string, init: RequestInit = {}, at = baseUrl): Promise<Answer> {
  const response = await fetch(at + path, init);
  const body = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text: body,
    json: body === '' ? null : JSON.parse(body),
  };
}

const callback = (fields: Record<string, string>, token = 'token-of-the-tests', at = baseUrl) => {
  const body = new URLSearchParams(fields);
  const headers = { ...form, 'x-twilio-signature': sign(token, url, body) };
  return call('/dhos/v1/sms/callback', { method: 'POST', headers, body: body.toString() }, at);
};

describe('With CALLBACK_PORT', () => {
  test('callbacks are taken there, and their messages move', async () => {
    const { uuid, sid } = await insertOriginalRow(service, { status: 'queued' });
    expect((await callback({ MessageSid: sid, MessageStatus: 'sent' })).status).toBe(204);
    expect((await service.call(`/dhos/v1/sms/${uuid}`)).json.status).toBe('sent');
  });

  test('a wrong signature is 403 there, too', async () => {
    expectProblem(await callback({ MessageSid: newSid(), MessageStatus: 'sent' }, 'of a stranger'), 403, /signature/);
  });

  test('it can be asked whether it runs', async () => {
    expect((await call('/running')).json).toEqual({ running: true });
    expect((await call('/running', { method: 'HEAD' })).status).toBe(200);
  });

  test('every other address of the service is 404 there, whatever the method', async () => {
    const document = (await service.call('/openapi.json')).json as { paths: Record<string, unknown> };
    const paths = Object.keys(document.paths).map((path) =>
      path.replace(/\{\w+\}/g, '90422bdb-077e-4c62-8dfe-315ba3cea0ce'),
    );
    const others = [
      ...paths,
      '/openapi.json',
      '/openapi.yaml',
      '/ui/',
      '/',
      '/dhos/v1/sms/callback/',
      '/nowhere',
    ].filter((path) => path !== '/dhos/v1/sms/callback' && path !== '/running');
    expect(others.length).toBeGreaterThan(12);
    for (const path of others) {
      for (const method of ['GET', 'POST', 'DELETE', 'PUT', 'OPTIONS']) {
        const hasBody = method === 'POST' || method === 'PUT';
        const headers = { ...tenant, ...(hasBody && { 'content-type': 'application/json' }) };
        const answer = await call(path, { method, headers, ...(hasBody && { body: JSON.stringify(text) }) });
        expectProblem(answer, 404, 'There is nothing at this address.');
      }
    }
    expect(twilio.asked).toEqual([]);
  });

  test('what is refused there leaves no line at the level of requests', async () => {
    await call('/find-me-in-the-log', { headers: { 'x-request-id': 'refused-there' } });
    await call('/running', { headers: { 'x-request-id': 'answered-there' } });
    const levelOf = (id: string) =>
      service
        .logged()
        .split('\n')
        .filter((line) => line.includes(`"requestID":"${id}"`))
        .map((line) => JSON.parse(line).level);
    await eventually(async () => levelOf('answered-there').length > 0);
    expect([levelOf('refused-there'), levelOf('answered-there')]).toEqual([['DEBUG'], ['INFO']]);
  });

  test('its two addresses know their methods', async () => {
    expectProblem(await call('/dhos/v1/sms/callback'), 405, 'This address knows POST.');
    expectProblem(await call('/running', { method: 'DELETE' }), 405, 'This address knows GET, HEAD.');
  });

  test('the first listener keeps the callback, so that callbacks of before find it', async () => {
    expect((await service.callback({ MessageSid: newSid(), MessageStatus: 'sent' })).status).toBe(204);
  });

  test('the sizes and the shape of errors are those of the first', async () => {
    const large = `MessageStatus=${'x'.repeat(16 * 1024)}`;
    const tooLarge = await call('/dhos/v1/sms/callback', { method: 'POST', headers: form, body: large });
    expectProblem(tooLarge, 413, 'The body is larger than 16 KiB.');
    const headers = { ...form, 'x-padding': 'x'.repeat(20_000) };
    const { status, body } = await sendRaw(baseUrl, rawRequest('POST', '/dhos/v1/sms/callback', headers));
    expect([status, JSON.parse(body).detail]).toEqual([431, 'The headers are larger than 16 KiB.']);
    const broken = await sendRaw(baseUrl, 'nonsense\r\n\r\n');
    expect([broken.status, JSON.parse(broken.body).detail]).toEqual([400, 'The request is not valid HTTP.']);
  });
});

test('a stop finishes the callback that is in flight there, and nobody is let in afterwards', async () => {
  const own = await startTestService({ ...twilioAt(twilio.url), CALLBACK_PORT: '0' });
  const { uuid, sid } = await insertOriginalRow(own, { status: 'queued' });
  const holder = new pg.Client({ connectionString: own.databaseUrl });
  await holder.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT 1 FROM message WHERE uuid = $1 FOR UPDATE', [uuid]);

  const answer = callback({ MessageSid: sid, MessageStatus: 'sent' }, undefined, own.callbackBaseUrl ?? '');
  await eventually(async () => {
    const { rows } = await holder.query(
      `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return rows.length > 0;
  });
  const stopping = own.stop();
  const isRefused = () =>
    call('/running', {}, own.callbackBaseUrl ?? '').then(
      () => false,
      () => true,
    );
  await eventually(isRefused);
  await holder.query('COMMIT');
  await holder.end();
  expect((await answer).status).toBe(204);
  await stopping;
});

test('without CALLBACK_PORT there is no second listener', async () => {
  const alone = await startTestService(twilioAt(twilio.url));
  expect(alone.callbackBaseUrl).toBeNull();
  await alone.stop();
});
