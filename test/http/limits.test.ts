import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem, rawRequest, sendRaw } from '../support/http.ts';
import { eventually, freshText, quiet, startTestService, type TestService, tenant, text } from '../support/service.ts';
import { type FakeTwilio, healthy, isCreate, startFakeTwilio, twilioAt } from '../support/twilio.ts';

const refusedBy = async (service: TestService, rule: string) =>
  Number(
    new RegExp(`^sms_refused_total\\{rule="${rule}"\\} (\\d+)`, 'm').exec((await service.call('/metrics')).text)?.[1] ??
      0,
  );
const list = (service: TestService, headers: Record<string, string> = tenant) =>
  service.call('/dhos/v1/sms', { headers });

describe('RATE_LIMIT_PER_S', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService({ ...quiet, RATE_LIMIT_PER_S: '1', RATE_LIMIT_BURST: '3' });
  });
  afterAll(() => service.stop());

  test('over the burst: 429 with Retry-After, counted, nothing recorded; another tenant goes on', async () => {
    const began = performance.now();
    const answers = [];
    for (let n = 0; n < 10; n += 1) answers.push(await service.post(freshText()));
    const mayPass = 3 + Math.ceil((performance.now() - began) / 1000);
    const passed = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status === 429);
    expect(passed.length).toBeGreaterThanOrEqual(3);
    expect(passed.length).toBeLessThanOrEqual(mayPass);
    expect(passed.length + refused.length).toBe(10);
    for (const answer of refused) {
      expectProblem(answer, 429, 'RATE_LIMIT_PER_S: too many requests of this caller. Nothing was done.');
      expect(answer.headers.get('retry-after')).toBe('1');
    }
    expect(await service.query('SELECT FROM message')).toHaveLength(passed.length);
    expect(await refusedBy(service, 'rate limit')).toBe(refused.length);
    expect((await service.post(freshText(), { 'x-trustomer': 'TVH', 'x-product': 'GDM' })).status).toBe(200);
  });

  test('it is decided before the body is read', async () => {
    const caller = { 'x-trustomer': 'EARLY', 'x-product': 'GDM' };
    for (let n = 0; n < 4; n += 1) await list(service, caller);
    const { hostname, port } = new URL(service.baseUrl);
    const socket = connect(Number(port), hostname);
    const whole = rawRequest(
      'POST',
      '/dhos/v1/sms',
      { 'content-type': 'application/json', ...caller },
      'x'.repeat(999),
    );
    socket.write(whole.subarray(0, whole.length - 999));
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1.1 429 /);
    socket.destroy();
  });

  test('without tenant headers the client’s address counts', async () => {
    const statuses = [];
    for (let n = 0; n < 5; n += 1) statuses.push((await service.call('/dhos/v1/sms/unknown')).status);
    expect(statuses.slice(0, 3)).toEqual([404, 404, 404]);
    expect(statuses).toContain(429);
  });

  test('never on what watches the service, nor on callbacks', async () => {
    for (let n = 0; n < 10; n += 1) {
      for (const path of ['/running', '/healthcheck', '/metrics', '/version']) {
        expect((await service.call(path)).status).toBe(200);
      }
      expect((await service.callback({ MessageSid: `SM${n}`, MessageStatus: 'sent' })).status).toBe(204);
    }
  });

  test('two replicas allow twice as much: the limit is each process’s own', async () => {
    const other = await startTestService(
      { ...quiet, RATE_LIMIT_PER_S: '1', RATE_LIMIT_BURST: '3' },
      { databaseUrl: service.databaseUrl },
    );
    const caller = { 'x-trustomer': 'TWICE', 'x-product': 'GDM' };
    for (const replica of [service, other]) {
      for (let n = 0; n < 3; n += 1) expect((await list(replica, caller)).status).toBe(200);
    }
    await other.stop();
  });
});

describe('Unless it is configured', () => {
  test('nobody’s rate is limited, and any sender, country and number of texts is taken', async () => {
    const service = await startTestService(quiet);
    const same = freshText();
    const answers = await Promise.all(Array.from({ length: 10 }, () => service.post(same)));
    for (const { status } of answers) expect(status).toBe(200);
    expect((await service.post({ ...same, sender: 'Anybody', receiver: '+12025550100' })).status).toBe(200);
    expect((await service.call('/metrics')).text).not.toMatch(/sms_refused_total\{/);
    await service.stop();
  });
});

describe('MAX_REQUESTS', () => {
  let twilio: FakeTwilio;
  let service: TestService;
  beforeAll(async () => {
    twilio = await startFakeTwilio();
    service = await startTestService({ ...twilioAt(twilio.url), MAX_REQUESTS: '2' });
  });
  afterAll(async () => {
    await service.stop();
    await twilio.stop();
  });

  /** Two POSTs that Twilio keeps waiting until `go`. */
  async function fill() {
    const go = Promise.withResolvers<void>();
    const before = twilio.asked.filter(isCreate).length;
    twilio.answerWith(async (asked) => {
      await go.promise;
      return healthy(asked);
    });
    const answers = [service.post(freshText()), service.post(freshText())];
    await eventually(async () => twilio.asked.filter(isCreate).length === before + 2);
    return { go: go.resolve, answers };
  }

  test('above it: 503 with Retry-After at once, nothing recorded; watching and callbacks go on', async () => {
    const { go, answers } = await fill();
    const rows = (await service.query('SELECT FROM message')).length;
    for (const answer of [await service.post(freshText()), await list(service)]) {
      expectProblem(answer, 503, 'Too many requests are at work. Nothing was done: ask again.');
      expect(answer.headers.get('retry-after')).toBe('5');
    }
    expect((await service.query('SELECT FROM message')).length).toBe(rows);
    expect(await refusedBy(service, 'busy')).toBe(2);
    expect((await service.call('/healthcheck')).status).toBe(200);
    expect((await service.callback({ MessageSid: 'SM1', MessageStatus: 'sent' })).status).toBe(204);
    go();
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
    expect((await list(service)).status).toBe(200);
  });

  test('clients that go away give their places back, pipelined requests too', async () => {
    const { go, answers } = await fill();
    go();
    await Promise.all(answers);
    const { hostname, port } = new URL(service.baseUrl);
    for (let n = 0; n < 5; n += 1) {
      const stuck = Promise.withResolvers<void>();
      const before = twilio.asked.filter(isCreate).length;
      twilio.answerWith(async (asked) => {
        await stuck.promise;
        return healthy(asked);
      });
      const headers = { 'content-type': 'application/json', ...tenant, connection: 'keep-alive' };
      const post = () => rawRequest('POST', '/dhos/v1/sms', headers, JSON.stringify(freshText()));
      const socket = connect(Number(port), hostname, () => socket.write(Buffer.concat([post(), post()])));
      await eventually(async () => twilio.asked.filter(isCreate).length === before + 2);
      expect((await list(service)).status).toBe(503);
      socket.destroy();
      await eventually(async () => (await list(service)).status === 200);
      stuck.resolve();
    }
  });

  test('slow clients hold no place', async () => {
    const { hostname, port } = new URL(service.baseUrl);
    const whole = rawRequest('POST', '/dhos/v1/sms', { 'content-type': 'application/json', ...tenant }, 'x'.repeat(99));
    const sockets = Array.from({ length: 10 }, () => connect(Number(port), hostname));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    for (const socket of sockets) socket.write(whole.subarray(0, -9));
    expect((await list(service)).status).toBe(200);
    for (const socket of sockets) socket.destroy();
  });
});

describe('TWILIO_MAX_CONCURRENCY', () => {
  test('so many more wait for a place as can hope for one; the others are refused at once', async () => {
    const twilio = await startFakeTwilio();
    const service = await startTestService({ ...twilioAt(twilio.url), TWILIO_MAX_CONCURRENCY: '1' });
    const go = Promise.withResolvers<void>();
    twilio.answerWith(async (asked) => {
      await go.promise;
      return healthy(asked);
    });
    const first = service.post(freshText());
    await eventually(async () => twilio.asked.filter(isCreate).length === 1);
    const began = performance.now();
    const others = Array.from({ length: 21 }, async () => {
      const { status } = await service.post(freshText());
      return { status, afterMs: performance.now() - began };
    });
    const fastest = await Promise.race(others);
    expect(fastest.status).toBe(503);
    expect(fastest.afterMs).toBeLessThan(1_500);
    expect(await service.query('SELECT FROM message')).toHaveLength(1);
    go.resolve();
    await Promise.all([first, ...others]);
    await service.stop();
    await twilio.stop();
  });
});

describe('Addresses, headers and connections', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService({ ...quiet, MAX_CONNECTIONS: '50' });
  });
  afterAll(() => service.stop());

  test('an address longer than 12 KiB: 414', async () => {
    const just = `/dhos/v1/sms?receiver=${'x'.repeat(12 * 1024 - 22)}`;
    expect((await service.call(just, { headers: tenant })).status).toBe(400);
    expectProblem(await service.call(`${just}x`, { headers: tenant }), 414, 'The address is longer than 12 KiB.');
  });

  test('more than 100 headers: 431, and none is left out without a word', async () => {
    const request = (count: number) => {
      const all = { 'content-type': 'application/json', ...tenant };
      // host, connection and content-length come on top.
      const more = Object.fromEntries(Array.from({ length: count - 6 }, (_, n) => [`a${n}`, '1']));
      return rawRequest('POST', '/dhos/v1/sms', { ...more, ...all }, JSON.stringify(text));
    };
    expect((await sendRaw(service.baseUrl, request(100))).status).toBe(200);
    const before = (await service.query('SELECT FROM message')).length;
    for (const count of [101, 2_000]) {
      const { status, body } = await sendRaw(service.baseUrl, request(count));
      expect(status).toBe(431);
      expect(JSON.parse(body)).toMatchObject({ status: 431, detail: 'There are more than 100 headers.' });
    }
    expect((await service.query('SELECT FROM message')).length).toBe(before);
  });

  test('more connections than MAX_CONNECTIONS are closed at once', async () => {
    const { hostname, port } = new URL(service.baseUrl);
    const sockets = Array.from({ length: 60 }, () => connect(Number(port), hostname));
    let closed = 0;
    for (const socket of sockets) {
      socket.on('error', () => {});
      socket.on('close', () => {
        closed += 1;
      });
    }
    await eventually(async () => closed >= 10);
    expect(closed).toBeLessThan(60);
    for (const socket of sockets) socket.destroy();
    await eventually(async () => (await service.call('/running').catch(() => null))?.status === 200);
  });
});
