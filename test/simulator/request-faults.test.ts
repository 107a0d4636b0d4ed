import { describe, expect, test } from 'vitest';
import { drawLatency } from '../../src/simulator/latency.ts';
import { readScenario } from '../../src/simulator/read-scenario.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { ask, call, create, fine, journalOf, receiveCallbacks, simulate, simulateDriven } from './support.ts';

const onCreate = (actions: string, when = '{}') => `rules:\n  - { on: create, when: ${when}, do: ${actions} }`;

const post = (simulator: Simulator, init: RequestInit = {}) =>
  ask(simulator, '/Messages.json', { form: fine(), ...init });

describe('a create that the scenario wants to fail', () => {
  test.for([
    [429, 20429],
    [500, 20500],
    [503, 20503],
    [502, 502],
    [401, 20003],
  ] as const)('is answered %i, code %i, and nothing is created', async ([answer, code]) => {
    const simulator = await simulateDriven(onCreate(`{ answer: ${answer} }`));
    const { status, headers, json } = await create(simulator);
    expect({ status, json }).toMatchObject({ status: answer, json: { code, status: answer } });
    expect(headers.get('retry-after')).toBeNull();
    expect(simulator.messages()).toEqual([]);
  });

  test('is answered so although the message was created', async () => {
    const simulator = await simulateDriven(onCreate('{ answer: 503, created: true }'));
    expect((await create(simulator)).status).toBe(503);
    expect(simulator.messages()).toMatchObject([{ status: 'queued' }]);
  });

  test('says when to come back', async () => {
    const simulator = await simulateDriven(onCreate('{ answer: 429, retryAfter: 5s }'));
    expect((await create(simulator)).headers.get('retry-after')).toBe('5');
  });

  test('is answered with the HTML page of a proxy', async () => {
    const response = await post(await simulateDriven(onCreate('{ answer: 502, html: true }')));
    expect(response.status).toBe(502);
    expect(response.headers.get('content-type')).toMatch('text/html');
    expect(await response.text()).toMatch(/^<html>/);
  });

  test.for([true, false])('is reset, the message created: %s', async (created) => {
    const simulator = await simulateDriven(onCreate(`{ answer: reset, created: ${created} }`));
    await expect(post(simulator)).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
    expect(simulator.messages()).toHaveLength(created ? 1 : 0);
  });

  test.for([true, false])('hangs until the client gives up, the message created: %s', async (created) => {
    const simulator = await simulateDriven(onCreate(`{ answer: hang, created: ${created} }`));
    const patience = new AbortController();
    const answer = post(simulator, { signal: patience.signal });
    await expect.poll(() => journalOf(simulator, 'create')).toMatchObject([{ fault: 'hang', done: created }]);
    await simulator.advance(3_600_000);
    patience.abort();
    await expect(answer).rejects.toThrow('aborted');
    expect(simulator.messages()).toHaveLength(created ? 1 : 0);
  });

  test.for([true, false])('is truncated in the middle of its body, the message created: %s', async (created) => {
    const simulator = await simulateDriven(onCreate(`{ answer: truncated, created: ${created} }`));
    const response = await post(simulator);
    expect(response.status).toBe(201);
    expect(Number(response.headers.get('content-length'))).toBeGreaterThan(100);
    await expect(response.text()).rejects.toThrow('terminated');
    expect(simulator.messages()).toHaveLength(created ? 1 : 0);
  });

  test('drips, a byte a second', async () => {
    const simulator = await simulateDriven(onCreate('{ answer: drip }'));
    const reader = (await post(simulator)).body?.getReader();
    const next = async () => new TextDecoder().decode((await reader?.read())?.value);
    expect(await next()).toBe('{');
    await simulator.advance(1000);
    expect(await next()).toBe('"');
    await simulator.advance(3_600_000);
    expect(await next()).toMatch(/\}$/);
    expect((await reader?.read())?.done).toBe(true);
  });

  test('never ends', async () => {
    const response = await post(await simulateDriven(onCreate('{ answer: endless }')));
    let size = 0;
    for await (const part of response.body ?? []) {
      size += part.length;
      if (size > 1_000_000) break;
    }
    expect(size).toBeGreaterThan(1_000_000);
  });

  test('is answered with wrong types', async () => {
    const simulator = await simulateDriven(onCreate('{ answer: wrong-types }'));
    expect(await create(simulator)).toMatchObject({ status: 201, json: { sid: 42, status: ['queued'] } });
    expect(simulator.messages()).toHaveLength(1);
  });

  test('is answered with the SID of an earlier message', async () => {
    const simulator = await simulateDriven(onCreate('{ answer: foreign-sid }', '{ nth: 2 }'));
    const [first, second] = [await create(simulator), await create(simulator)];
    expect(second.json.sid).toBe(first.json.sid);
    expect(new Set(simulator.messages().map(({ sid }) => sid)).size).toBe(2);
  });

  test('is accepted later than it was answered', async () => {
    const simulator = await simulateDriven(onCreate('{ answer: 503, created: 30s }'));
    expect((await create(simulator)).status).toBe(503);
    await simulator.advance(29_999);
    expect(simulator.messages()).toEqual([]);
    await simulator.advance(1);
    expect(simulator.messages()).toMatchObject([{ date_created: 'Thu, 01 Jan 2026 00:00:30 +0000' }]);
    expect(journalOf(simulator)).toMatchObject([
      { kind: 'create', http: 503, fault: '503', done: 30_000, at: '00:00:00.000' },
      { kind: 'late create', sid: simulator.messages()[0]?.sid, at: '00:00:30.000' },
    ]);
  });

  test('is answered later than it was accepted: its callbacks come first', async () => {
    const simulator = await simulateDriven(onCreate('{ answerAfter: 1h }'));
    const server = await receiveCallbacks();
    const answer = create(simulator, { StatusCallback: server.url });
    await expect.poll(() => simulator.messages()).toHaveLength(1);
    await simulator.advance(60_000);
    expect(server.received.map(({ form }) => form.MessageStatus)).toEqual(['sending', 'sent', 'delivered']);
    await simulator.advance(3_600_000);
    expect(await answer).toMatchObject({ status: 201, json: { sid: server.received[0]?.form.MessageSid } });
  });

  test('fails in its window of time only', async () => {
    const simulator = await simulateDriven(onCreate('{ answer: 503 }', '{ from: "00:30", until: "01:30" }'));
    const statuses = [];
    for (const minutes of [0, 29, 1, 59, 1]) {
      await simulator.advance(minutes * 60_000);
      statuses.push((await create(simulator)).status);
    }
    expect(statuses).toEqual([201, 201, 503, 503, 201]);
  });

  test('fails the first time only', async () => {
    const simulator = await simulateDriven(onCreate('{ answer: 503 }', '{ occurrence: 1 }'));
    expect((await create(simulator)).status).toBe(503);
    expect((await create(simulator)).status).toBe(201);
    expect((await create(simulator, { Body: 'another' })).status).toBe(503);
  });

  test('is told first what is wrong with its form', async () => {
    const simulator = await simulateDriven(onCreate('{ answer: 503 }'));
    expect(await create(simulator, { Boddy: 'x' })).toMatchObject({ status: 400, json: { code: 20001 } });
  });

  test('is not told what Twilio would have refused, had it been there', async () => {
    const simulator = await simulateDriven(onCreate('{ answer: 503 }'));
    expect((await create(simulator, { To: '+447700900996' })).status).toBe(503);
  });
});

describe('other requests that the scenario wants to fail', () => {
  test.for([
    ['fetch', 'GET', {}, 'sid'],
    ['list', 'GET', {}, ''],
    ['update', 'POST', { form: { Body: '' } }, 'sid'],
    ['delete', 'DELETE', { method: 'DELETE' }, 'sid'],
  ] as const)('%s is answered 503', async ([on, , init, address]) => {
    const simulator = await simulateDriven(`rules: [{ on: ${on}, do: { answer: 503 } }]`);
    const { sid } = (await create(simulator)).json;
    await simulator.advance(60_000);
    const path = address === 'sid' ? `/Messages/${sid}.json` : '/Messages.json';
    expect(await call(simulator, path, init)).toMatchObject({ status: 503, json: { code: 20503 } });
    expect(simulator.messages()).toMatchObject([{ body: 'Hello' }]);
  });

  test('an update is carried out behind an answer of 503', async () => {
    const simulator = await simulateDriven('rules: [{ on: update, do: { answer: 503, done: true } }]');
    const { sid } = (await create(simulator)).json;
    await simulator.advance(60_000);
    expect((await call(simulator, `/Messages/${sid}.json`, { form: { Body: '' } })).status).toBe(503);
    expect(simulator.messages()).toMatchObject([{ body: '' }]);
  });

  test('a list has wrong types', async () => {
    const simulator = await simulateDriven('rules: [{ on: list, do: { answer: wrong-types } }]');
    expect((await call(simulator, '/Messages.json')).json).toMatchObject({ messages: { none: true } });
  });

  test('a fetch fails the first time for each message', async () => {
    const simulator = await simulateDriven('rules: [{ on: fetch, when: { occurrence: 1 }, do: { answer: 500 } }]');
    const sids = [(await create(simulator)).json.sid, (await create(simulator)).json.sid];
    const statuses = [];
    for (const sid of [...sids, ...sids]) statuses.push((await call(simulator, `/Messages/${sid}.json`)).status);
    expect(statuses).toEqual([500, 500, 200, 200]);
  });
});

describe('too much at once', () => {
  test('is answered 429 / 20429, and the rest is served', async () => {
    const simulator = await simulateDriven('concurrency: 2\nrules: [{ on: create, do: { answerAfter: 1s } }]');
    const answers = Array.from({ length: 5 }, (_, n) => create(simulator, { Body: `text ${n}` }));
    await expect.poll(() => journalOf(simulator, 'create')).toHaveLength(5);
    await simulator.advance(1000);
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses.sort()).toEqual([201, 201, 429, 429, 429]);
    expect(journalOf(simulator, 'create').filter(({ code }) => code === 20429)).toMatchObject(
      [3, 3, 3].map((inFlight) => ({ http: 429, fault: 'concurrency', inFlight })),
    );
  });

  test('meets a rule of its own', async () => {
    const simulator = await simulateDriven(`rules:
  - { on: create, when: { inFlightAbove: 1 }, do: { answer: 429, retryAfter: 2s } }
  - { on: create, do: { answerAfter: 1s } }`);
    const held = create(simulator);
    await expect.poll(() => simulator.messages()).toHaveLength(1);
    const { status, headers } = await create(simulator);
    expect([status, headers.get('retry-after')]).toEqual([429, '2']);
    await simulator.advance(1000);
    expect((await held).status).toBe(201);
  });
});

describe('latency', () => {
  test('has the median and the 99th percentile that it was given, and is the same for the same request', () => {
    const times = Array.from({ length: 4001 }, (_, n) => drawLatency({ median: 50, p99: 400 }, 7, `text ${n}`));
    const sorted = times.toSorted((a, b) => a - b);
    expect(sorted[2000]).toBeGreaterThan(45);
    expect(sorted[2000]).toBeLessThan(55);
    expect(sorted[3960]).toBeGreaterThan(320);
    expect(sorted[3960]).toBeLessThan(500);
    expect(drawLatency({ median: 50, p99: 400 }, 7, 'text 0')).toBe(times[0]);
  });

  test('delays answers', async () => {
    const scenario = readScenario('latency: { median: 10s, p99: 11s }');
    const simulator = await simulate({ seed: 7, speed: 200, scenario });
    const begun = performance.now();
    await create(simulator);
    // About 10 s, two hundred times as fast, are 50 ms.
    expect(performance.now() - begun).toBeGreaterThan(40);
  });

  test('keeps nobody waiting on a driven clock', async () => {
    const simulator = await simulateDriven('latency: { median: 1h, p99: 2h }');
    expect((await create(simulator)).status).toBe(201);
  });
});
