import { describe, expect, test } from 'vitest';
import type { SimulatorEvent } from '../../src/simulator/events.ts';
import { nextStep } from '../../src/simulator/life.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { call, create, receiver, simulate } from './support.ts';

describe('a message', () => {
  test('goes from queued to sending, sent and delivered', async () => {
    const { events, simulator } = await simulateWatched();
    await create(simulator);
    await simulator.settled();
    expect(statusesIn(events)).toEqual(['queued', 'sending', 'sent', 'delivered']);
  });

  test('of a Messaging Service is accepted first', async () => {
    const { events, simulator } = await simulateWatched();
    await create(simulator, { From: undefined, MessagingServiceSid: `MG${'0'.repeat(32)}` });
    await simulator.settled();
    expect(statusesIn(events)).toEqual(['accepted', 'queued', 'sending', 'sent', 'delivered']);
  });

  test('is delivered one to two and a half seconds after its create, in real time', () => {
    const totals = [0, 0.5, 0.999].map((fraction) => {
      const statuses = ['accepted', 'queued', 'sending', 'sent'] as const;
      const ending = { status: 'delivered', errorCode: null } as const;
      return statuses.reduce((ms, status) => ms + (nextStep(status, ending, () => fraction)?.afterMs ?? 0), 0);
    });
    expect(Math.min(...totals)).toBeGreaterThanOrEqual(1000);
    expect(Math.max(...totals)).toBeLessThanOrEqual(2500);
  });

  test('has the dates of the clock, in RFC 2822', async () => {
    const clock = { now: () => new Date('2026-11-23T15:20:45.678Z') };
    const simulator = await simulate({ clock });
    const date = 'Mon, 23 Nov 2026 15:20:45 +0000';
    const { json } = await create(simulator);
    expect(json).toMatchObject({ date_created: date, date_updated: date, date_sent: null });
    await simulator.settled();
    expect(simulator.messages()).toMatchObject([{ date_created: date, date_updated: date, date_sent: date }]);
  });

  test('names its segments: GSM text up to 160 places, any other up to 70', async () => {
    const simulator = await simulate();
    const segments = async (Body: string) => (await create(simulator, { Body })).json.num_segments;
    expect(await segments('a'.repeat(160))).toBe('1');
    expect(await segments(`${'a'.repeat(159)}€`)).toBe('2');
    expect(await segments('a'.repeat(307))).toBe('3');
    expect(await segments('ł'.repeat(70))).toBe('1');
    expect(await segments('ł'.repeat(71))).toBe('2');
  });

  test('shows in events without its text and with four digits of its receiver', async () => {
    const { events, simulator } = await simulateWatched();
    await create(simulator, { Body: 'canary' });
    await create(simulator, { To: '+447700900996', Body: 'canary' });
    await simulator.settled();
    expect(events).toContainEqual(expect.objectContaining({ kind: 'refused', to: '…0996', code: 21610 }));
    expect(JSON.stringify(events)).not.toMatch(/canary|900123|900996/);
    expect(events).toContainEqual(expect.objectContaining({ kind: 'created', to: '…0123' }));
  });

  test('stops where it is when the simulator stops', async () => {
    const simulator = await simulate({ speed: 1 });
    await create(simulator);
    await simulator.stop();
    await simulator.settled();
    expect(simulator.messages()).toMatchObject([{ status: 'queued' }]);
  });
});

describe('redaction', () => {
  test('before the message is final is refused with 20009, and the text stays', async () => {
    const simulator = await simulate({ speed: 1 });
    const { sid } = (await create(simulator)).json;
    const answer = await call(simulator, `/Messages/${sid}.json`, { form: { Body: '' } });
    expect(answer).toMatchObject({ status: 409, json: { code: 20009 } });
    expect(simulator.messages()).toMatchObject([{ body: 'Hello' }]);
  });

  test('of a message that stays sent for ever is refused with 20009', async () => {
    const simulator = await simulate();
    const { sid } = (await create(simulator, { To: '+447700900994' })).json;
    await simulator.settled();
    const answer = await call(simulator, `/Messages/${sid}.json`, { form: { Body: '' } });
    expect(answer).toMatchObject({ status: 409, json: { code: 20009 } });
  });

  test.for([{ Body: 'other words' }, { Status: 'sent' }, { Body: '', Status: 'canceled' }, { Body: '', Bdoy: '' }, {}])(
    'with the form %j is refused and changes nothing',
    async (form) => {
      const simulator = await simulate();
      const { sid } = (await create(simulator)).json;
      await simulator.settled();
      expect(await call(simulator, `/Messages/${sid}.json`, { form })).toMatchObject({ status: 400 });
      expect(simulator.messages()).toMatchObject([{ body: 'Hello' }]);
    },
  );

  test('of a message that nobody created is answered 404, code 20404', async () => {
    const answer = await call(await simulate(), `/Messages/SM${'0'.repeat(32)}.json`, { form: { Body: '' } });
    expect(answer).toMatchObject({ status: 404, json: { code: 20404, status: 404 } });
  });
});

describe('one seed', () => {
  const texts = Array.from({ length: 40 }, (_, n) => ({ To: receiver, Body: `text ${n % 20}` }));

  test('gives the same texts the same SIDs, whatever the order and the concurrency', async () => {
    const serial = await simulate({ seed: 7 });
    for (const text of texts) await create(serial, text);
    const concurrent = await simulate({ seed: 7 });
    await Promise.all(texts.toReversed().map((text) => create(concurrent, text)));
    expect(sidsOf(concurrent)).toEqual(sidsOf(serial));
  });

  test('gives the same text to the same receiver a new SID each time', async () => {
    const simulator = await simulate({ seed: 7 });
    await create(simulator);
    await create(simulator);
    expect(new Set(sidsOf(simulator)).size).toBe(2);
  });

  test('and another seed differ', async () => {
    const [one, other] = [await simulate({ seed: 7 }), await simulate({ seed: 8 })];
    await Promise.all([create(one), create(other)]);
    expect(sidsOf(one)).not.toEqual(sidsOf(other));
  });
});

async function simulateWatched() {
  const events: SimulatorEvent[] = [];
  const simulator = await simulate({ onEvent: (event) => events.push(event) });
  return { events, simulator };
}

function statusesIn(events: SimulatorEvent[]): string[] {
  return events.flatMap((event) => (event.kind === 'created' || event.kind === 'changed' ? [event.status] : []));
}

function sidsOf(simulator: Simulator): string[] {
  return simulator
    .messages()
    .map(({ body, sid }) => `${body}: ${sid}`)
    .sort();
}
