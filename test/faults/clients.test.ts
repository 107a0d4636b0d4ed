import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rawRequest, sendRaw } from '../support/http.ts';
import { eventually, type TestService, tenant, text } from '../support/service.ts';
import { type FakeTwilio, healthy, isCreate, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import { createsOf, ended, numberOf, post, startAlone } from './support.ts';

let twilio: FakeTwilio;
let service: TestService;
beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startAlone(twilioAt(twilio.url));
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

const headers = { 'content-type': 'application/json', ...tenant };
const request = (content: string, more: Record<string, string> = {}) =>
  rawRequest('POST', '/dhos/v1/sms', { ...headers, ...more }, JSON.stringify({ ...text, content }));
const rowsOf = (content: string) =>
  service.query<{ uuid: string }>('SELECT uuid FROM message WHERE content = $1', [content]);

async function expectNothingSent(content: string): Promise<void> {
  expect(await rowsOf(content)).toEqual([]);
  expect(createsOf(twilio, content)).toEqual([]);
}

/** Sends the first bytes at once, and of the rest one a second; answers the status and after how long it came. */
async function sendSlowly(bytes: Buffer, atOnce: number): Promise<{ status: number; afterMs: number }> {
  const { hostname, port } = new URL(service.baseUrl);
  const socket = connect(Number(port), hostname);
  const begun = performance.now();
  let received = '';
  let at = atOnce;
  socket.on('data', (chunk) => {
    received += chunk;
  });
  socket.on('error', () => {});
  socket.write(bytes.subarray(0, atOnce));
  const dripping = setInterval(() => socket.write(bytes.subarray(at, ++at)), 1_000);
  await once(socket, 'close');
  clearInterval(dripping);
  return { status: Number(received.split(' ')[1]), afterMs: performance.now() - begun };
}

describe.concurrent('A slow client', () => {
  test('that sends its headers a byte a second is cut off with 408 after 10 s', async () => {
    const content = 'Its headers take for ever.';
    const { status, afterMs } = await sendSlowly(request(content), 30);
    expect(status).toBe(408);
    expect(afterMs).toBeLessThan(13_000);
    await expectNothingSent(content);
  });

  test('that sends its body a byte a second is cut off with 408 after 15 s', async () => {
    const content = 'Its body takes for ever, because it has so many letters in it.';
    const bytes = request(content);
    const { status, afterMs } = await sendSlowly(bytes, bytes.indexOf('\r\n\r\n') + 10);
    expect(status).toBe(408);
    expect(afterMs).toBeLessThan(18_000);
    await expectNothingSent(content);
  });

  test('that sends half a callback is cut off too, and nothing is kept', async () => {
    const body = 'MessageSid=SM1&MessageStatus=sent';
    // Without anything that could be a signature its body would not be waited for.
    const signature = { 'x-twilio-signature': `${'A'.repeat(27)}=` };
    const headers = { 'content-type': 'application/x-www-form-urlencoded', ...signature };
    const bytes = rawRequest('POST', '/dhos/v1/sms/callback', headers, body);
    const { status } = await sendSlowly(bytes, bytes.length - 25);
    expect(status).toBe(408);
    expect(await service.query("SELECT FROM callback WHERE twilio_sid = 'SM1'")).toEqual([]);
  });

  test('and 200 of them at once keep nobody else waiting', async () => {
    const slow = Array.from({ length: 200 }, (_, n) => sendSlowly(request(`One of many slow ones, ${n}.`), 40));
    const begun = performance.now();
    const answer = await post(service, numberOf(0), 'Between 200 slow ones.', 'sync');
    expect(answer.status).toBe(200);
    expect(performance.now() - begun).toBeLessThan(5_000);
    for (const { status } of await Promise.all(slow)) expect(status).toBe(408);
    expect(await service.query("SELECT FROM message WHERE content LIKE 'One of many slow ones%'")).toEqual([]);
  });

  test('that goes away while its message is on its way: the message is sent, once', async () => {
    const content = 'Its caller has gone.';
    const answered = Promise.withResolvers<void>();
    twilio.answerWith(async (asked) => {
      if (asked.form.Body === content) await answered.promise;
      return healthy(asked);
    });
    const { hostname, port } = new URL(service.baseUrl);
    const socket = connect(Number(port), hostname, () => socket.write(request(content)));
    await eventually(async () => createsOf(twilio, content).length === 1);
    socket.destroy();
    answered.resolve();
    const [row] = await rowsOf(content);
    expect(await ended(service, row?.uuid ?? '')).toMatchObject({ status: 'queued', attempts: 1 });
    expect(createsOf(twilio, content)).toHaveLength(1);
  });
});

describe('Headers', () => {
  test.each([['idempotency-key'], ['x-request-id'], ['x-trustomer'], ['x-product'], ['prefer']])(
    'over 16 KiB in %s: 431, nothing is sent',
    async (name) => {
      const content = `20 KiB of ${name}`;
      expect((await sendRaw(service.baseUrl, request(content, { [name]: 'x'.repeat(20 * 1024) }))).status).toBe(431);
      await expectNothingSent(content);
    },
  );

  test.each([
    ['a carriage return', 'a\rx-trustomer: b'],
    ['a line feed', 'a\nx-trustomer: b'],
    ['a folded line', 'a\r\n b'],
    ['NUL', 'a\0b'],
  ])('with %s inside: 400, nothing is sent', async (what, value) => {
    for (const name of ['idempotency-key', 'x-request-id', 'x-product']) {
      const content = `${what} in ${name}`;
      expect([(await sendRaw(service.baseUrl, request(content, { [name]: value }))).status, name]).toEqual([400, name]);
      await expectNothingSent(content);
    }
  });

  test('a text, a sender and a receiver cannot break out of the request to Twilio', async () => {
    const before = twilio.asked.filter(isCreate).length;
    const content = 'a\r\nHost: evil\r\n\r\nPOST /x HTTP/1.1\r\n\r\n&To=%2B447700900999&Body=other';
    const sender = 'x\r\nX: y&From=z';
    const answer = await service.post({ ...text, content, sender });
    expect(answer.status).toBe(200);
    const [asked, ...more] = twilio.asked.filter(isCreate).slice(before);
    expect(more).toEqual([]);
    expect(asked?.form).toMatchObject({ To: '+447700900123', From: sender, Body: content });
    expect(Object.keys(asked?.form ?? {}).sort()).toEqual(['Body', 'From', 'StatusCallback', 'To']);
  });
});

describe('An operator’s word on a message', () => {
  test.each([
    ['JSON 5,000 levels deep', '['.repeat(5_000) + ']'.repeat(5_000)],
    ['__proto__', '{"__proto__":{"outcome":"sent"}}'],
    ['an outcome 5,000 levels deep', `{"outcome":${'['.repeat(5_000)}${']'.repeat(5_000)}}`],
    ['an unknown outcome', '{"outcome":"perhaps"}'],
    ['one field too many', '{"outcome":"sent","status":"delivered"}'],
    ['nothing', ''],
  ])('with a body that is %s: 400', async (_what, body) => {
    const path = '/dhos/v1/sms/90422bdb-077e-4c62-8dfe-315ba3cea0ce/settle';
    const answer = await service.call(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    expect(answer.status).toBe(400);
  });

  test.each(['events', 'settle'])('%s of an id that nobody could have: 404', async (what) => {
    for (const id of ['x'.repeat(400), '%00', '%F0%9F%99%82', '..%2F..', "'%3B--"]) {
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"outcome":"sent"}' };
      const answer = await service.call(`/dhos/v1/sms/${id}/${what}`, what === 'settle' ? init : {});
      expect([id, answer.status]).toEqual([id, 404]);
    }
  });
});
