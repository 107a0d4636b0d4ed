import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { insertOriginalRow } from '../support/rows.ts';
import { type TestService, tenant, text } from '../support/service.ts';
import { type FakeTwilio, isCreate, newSid, resource, sidIn, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import { ended, forEach, manners, numberOf, postUntilTaken, startAlone, startScene } from './support.ts';

const inOrder = ['queued', 'sending', 'sent', 'delivered', 'read'] as const;
type Word = (typeof inOrder)[number];
const orders = permutations(inOrder);
const AT_ONCE = 20;

function permutations<Word>(words: readonly Word[]): Word[][] {
  if (words.length <= 1) return [[...words]];
  return words.flatMap((word) => permutations(words.filter((other) => other !== word)).map((rest) => [word, ...rest]));
}

let twilio: FakeTwilio;
let service: TestService;
beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startAlone({ ...twilioAt(twilio.url), TWILIO_MAX_CONCURRENCY: '200' });
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

type Step = { readonly message_status: Word; readonly status_before: string | null; readonly status_after: string };

/** What each callback of a message did, in the order in which they were taken. */
function stepsOf(sid: string): Promise<Step[]> {
  return service.query<Step>(
    'SELECT message_status, status_before, status_after FROM callback WHERE twilio_sid = $1 ORDER BY id',
    [sid],
  );
}

const rankOf = (status: string | null) => ['accepted', ...inOrder].indexOf(status ?? '');

function expectNeverBack(steps: readonly Step[]): void {
  for (const { message_status, status_before, status_after } of steps) {
    expect(rankOf(status_after)).toBe(Math.max(rankOf(status_before), rankOf(message_status)));
  }
}

const callBack = async (sid: string, word: string, query = '') => {
  const answer = await service.callback({ MessageSid: sid, MessageStatus: word }, { query });
  expect(answer.status).toBe(204);
};

describe('Callbacks in each of the 120 orders of five statuses', () => {
  const last = inOrder.at(-1);

  test('each one twice: the status ends at the last one and never goes back', async () => {
    expect(orders).toHaveLength(120);
    await forEach(orders, AT_ONCE, async (order) => {
      const { uuid, sid } = await insertOriginalRow(service, { status: 'accepted' });
      for (const word of order) for (let copy = 0; copy < 2; copy++) await callBack(sid, word);
      expect((await service.call(`/dhos/v1/sms/${uuid}`)).json.status).toBe(last);
      const steps = await stepsOf(sid);
      expect(steps.map(({ message_status }) => message_status)).toEqual(order.flatMap((word) => [word, word]));
      expectNeverBack(steps);
      expect(steps.at(-1)?.status_after).toBe(last);
    });
  });

  test('before the create is answered, and before tx 2: the answer does not take the status back', async () => {
    const orderOf = new Map(orders.map((order) => [order.join(' '), order]));
    const sids = new Map<string, string>();
    twilio.answerWith(async (asked) => {
      if (!isCreate(asked)) return { status: 200, body: resource({ sid: sidIn(asked.path), status: 'delivered' }) };
      const { Body = '', StatusCallback = '' } = asked.form;
      const sid = newSid();
      sids.set(Body, sid);
      for (const word of orderOf.get(Body) ?? []) await callBack(sid, word, new URL(StatusCallback).search);
      return { status: 201, body: resource({ sid }) };
    });
    await forEach(orders, AT_ONCE, async (order, n) => {
      const content = order.join(' ');
      const answer = await postUntilTaken(service, numberOf(n), content, 'sync');
      expect([answer.status, answer.json.status, answer.json.twilio_sid]).toEqual([200, last, sids.get(content)]);
      expectNeverBack(await stepsOf(answer.json.twilio_sid));
    });
    twilio.answerWith(undefined);
    expect(await service.query('SELECT FROM duplicate_handover')).toEqual([]);
  });

  test('before the create is answered, without our id: kept, and all of them count when the answer comes', async () => {
    twilio.answerWith(async (asked) => {
      if (!isCreate(asked)) return { status: 200, body: resource({ sid: sidIn(asked.path), status: 'delivered' }) };
      const sid = newSid();
      for (const word of (asked.form.Body ?? '').split(' ').slice(1)) await callBack(sid, word);
      return { status: 201, body: resource({ sid }) };
    });
    await forEach(orders, AT_ONCE, async (order, n) => {
      const answer = await postUntilTaken(service, numberOf(n), `bare ${order.join(' ')}`, 'sync');
      expect([answer.status, answer.json.status]).toEqual([200, last]);
      const [kept] = await service.query('SELECT FROM callback WHERE twilio_sid = $1 AND message_uuid IS NULL', [
        answer.json.twilio_sid,
      ]);
      expect(kept).toBeUndefined();
    });
    twilio.answerWith(undefined);
  });

  test('all at once: one final status, the right one', async () => {
    const { uuid, sid } = await insertOriginalRow(service, { status: 'accepted' });
    await forEach(orders.flat(), 100, (word) => callBack(sid, word));
    expect((await service.call(`/dhos/v1/sms/${uuid}`)).json.status).toBe(last);
    const steps = await stepsOf(sid);
    expect(steps).toHaveLength(600);
    expectNeverBack(steps);
  });
});

describe('Callbacks of a busy day: 10 % lost, 20 % doubled, all shuffled', () => {
  test('after a bulk update every message has the status that Twilio gives it', { timeout: 60_000 }, async () => {
    const scene = await startScene({
      rules: [
        { on: 'callback', when: { probability: 0.1 }, do: { lose: true } },
        { on: 'callback', when: { probability: 0.2 }, do: { double: true } },
        { on: 'callback', when: {}, do: { shuffle: 4_000 } },
      ],
      hasCallbacks: true,
      speed: 20,
    });
    // Endings of every kind: delivered, undelivered, failed, sent for ever.
    const receivers = Array.from({ length: 200 }, (_, n) => (n % 10 < 5 ? `+44770090099${n % 5}` : numberOf(n)));
    await forEach(receivers, AT_ONCE, async (receiver, n) => {
      const { headers } = await postUntilTaken(scene.service, receiver, `Busy day, ${n}.`, manners[n % 2] ?? 'sync');
      await ended(scene.service, headers.get('x-message-id') ?? '');
    });
    await scene.simulator.settled();
    expect(scene.simulator.journal()).toContain('"outcome":"lost"');
    expect((await scene.service.call('/dhos/v1/sms/bulk_update', { method: 'POST' })).status).toBe(204);

    const truth = new Map(scene.simulator.messages().map(({ sid, status }) => [sid, status]));
    const found = (await scene.service.call('/dhos/v1/sms', { headers: tenant })).json;
    expect(found).toHaveLength(200);
    const seen = new Map(found.map((one: { twilio_sid: string; status: string }) => [one.twilio_sid, one.status]));
    expect(seen).toEqual(truth);
    expect(new Set(truth.values())).toEqual(new Set(['delivered', 'undelivered', 'failed', 'sent']));
    await scene.stop();
  });
});

test('a callback that is lost is made up for by the next one', async () => {
  const { uuid, sid } = await insertOriginalRow(service, { ...text, status: 'queued' });
  await callBack(sid, 'delivered');
  expect((await service.call(`/dhos/v1/sms/${uuid}`)).json.status).toBe('delivered');
});
