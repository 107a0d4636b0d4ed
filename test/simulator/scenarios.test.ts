import { globSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readScenarioFile } from '../../src/simulator/read-scenario.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { isSigned } from '../../src/twilio/signature.ts';
import {
  basic,
  call,
  create,
  officialClient,
  type Receiver,
  receiveCallbacks,
  receiver,
  sender,
  simulate,
} from './support.ts';

const folder = path.resolve(import.meta.dirname, '../../scenarios');
const shown = new Set<string>();

/** The scenario of the repository, on a clock that the test drives. */
async function play(
  name: string,
): Promise<{ simulator: Simulator; sink: Receiver; send: (text?: object) => ReturnType<typeof create> }> {
  shown.add(name);
  const scenario = readScenarioFile(path.join(folder, `${name}.yaml`));
  const simulator = await simulate({ speed: 0, seed: 1, scenario, authTokenSecondary: 'the-second-token' });
  const sink = await receiveCallbacks();
  return {
    simulator,
    sink,
    send: (text = {}) => create(simulator, { StatusCallback: `${sink.url}?m=1&a=1`, ...text }),
  };
}

const minutes = (n: number) => n * 60_000;
const statusesAt = (sink: Receiver) => sink.received.map(({ form }) => form.MessageStatus);

/** Whatever is answered, HTML too; rejects when the answer does not come whole. */
async function statusOfCreate(simulator: Simulator, form: Record<string, string>): Promise<number> {
  const { baseUrl, accountSid, authToken } = simulator;
  const answer = await fetch(`${baseUrl}/2010-04-01/Accounts/${accountSid}/Messages.json`, {
    method: 'POST',
    headers: { authorization: basic(accountSid, authToken) },
    body: new URLSearchParams(form),
  });
  await answer.text();
  return answer.status;
}

describe('scenario', () => {
  test('callbacks in random order: some message hears of its end before its beginning', async () => {
    const { simulator, sink, send } = await play('callbacks-in-random-order');
    for (let n = 0; n < 20; n += 1) await send({ Body: `text ${n}` });
    await simulator.advance(minutes(1));
    const bySid = Map.groupBy(sink.received, ({ form }) => form.MessageSid);
    const orders = new Set([...bySid.values()].map((all) => all.map(({ form }) => form.MessageStatus).join(' ')));
    expect([...bySid.values()].map((all) => all.length)).toEqual(Array(20).fill(3));
    expect(orders.size).toBeGreaterThan(2);
  });

  test('sending after delivered: half a minute later', async () => {
    const { simulator, sink, send } = await play('sending-after-delivered');
    await send();
    await simulator.advance(10_000);
    expect(statusesAt(sink)).toEqual(['sent', 'delivered']);
    await simulator.advance(30_000);
    expect(statusesAt(sink)).toEqual(['sent', 'delivered', 'sending']);
  });

  test('accepted after the client gave up: it has no answer, and Twilio has the message', async () => {
    const { simulator, send } = await play('accepted-after-the-client-gave-up');
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        Promise.race([
          send({ Body: `text ${n}` }).then(
            ({ status }) => status,
            () => 'cut' as const,
          ),
          new Promise<'gave up'>((resolve) => setTimeout(resolve, 500, 'gave up')),
        ]),
      ),
    );
    const given = answers.filter((answer) => answer === 'gave up').length;
    expect(given).toBeGreaterThan(0);
    expect(simulator.messages().length).toBeLessThan(50);
    await simulator.advance(13_000);
    expect(simulator.messages()).toHaveLength(50);
  });

  test('callback before the answer: callbacks are there when the answer comes', async () => {
    shown.add('callback-before-the-answer');
    const scenario = readScenarioFile(path.join(folder, 'callback-before-the-answer.yaml'));
    const simulator = await simulate({ speed: 4, scenario });
    const sink = await receiveCallbacks();
    const { status, json } = await create(simulator, { StatusCallback: sink.url });
    expect([status, json.status]).toEqual([201, 'queued']);
    expect(statusesAt(sink)).toEqual(['sending', 'sent', 'delivered']);
  });

  test('failed callback without its code: the code came first and does not come again', async () => {
    const { simulator, sink, send } = await play('failed-callback-without-its-code');
    await send({ To: '+447700900990' });
    await simulator.advance(minutes(1));
    const ends = sink.received.filter(({ form }) => form.MessageStatus === 'undelivered');
    expect(ends.map(({ form }) => form.ErrorCode)).toEqual(['30003', undefined]);
  });

  test('bursts of 429: without Retry-After, and over again half a minute later', async () => {
    const { simulator, send } = await play('bursts-of-429');
    const statuses: number[] = [];
    for (let n = 0; n < 11; n += 1) {
      const { status, headers } = await send({ Body: `text ${n}` });
      statuses.push(status);
      expect(headers.get('retry-after')).toBeNull();
      await simulator.advance(30_000);
    }
    expect(statuses).toEqual([201, 201, 429, 201, 201, 201, 201, 201, 429, 201, 201]);
  });

  test('truncated 201: taken, but the answer breaks off', async () => {
    const { simulator, send } = await play('truncated-201');
    const outcomes: (number | 'broken')[] = [];
    for (let n = 0; n < 5; n += 1) {
      outcomes.push(
        await send({ Body: `text ${n}` }).then(
          ({ status }) => status,
          () => 'broken' as const,
        ),
      );
    }
    expect(outcomes).toEqual([201, 201, 201, 201, 'broken']);
    expect(simulator.messages()).toHaveLength(5);
  });

  test('an hour of 503: nothing is done in it, and before and after all is well', async () => {
    const { simulator, send } = await play('an-hour-of-503');
    const before = await send();
    const sid = String(before.json.sid);
    await simulator.advance(minutes(31));
    const during = await Promise.all([
      send({ Body: 'other' }),
      call(simulator, `/Messages/${sid}.json`),
      call(simulator, '/Messages.json'),
      call(simulator, `/Messages/${sid}.json`, { form: { Body: '' } }),
      call(simulator, `/Messages/${sid}.json`, { method: 'DELETE' }),
    ]);
    expect(during.map(({ status }) => status)).toEqual(Array(5).fill(503));
    await simulator.advance(minutes(60));
    const after = await call(simulator, `/Messages/${sid}.json`);
    expect([before.status, after.status, after.json.body]).toEqual([201, 200, 'Hello']);
    expect(simulator.messages()).toHaveLength(1);
  });

  test('lists lag an hour: fetched at once, listed an hour later', async () => {
    const { simulator, send } = await play('lists-lag-an-hour');
    const sid = String((await send()).json.sid);
    const client = officialClient(simulator);
    expect((await client.messages(sid).fetch()).sid).toBe(sid);
    await simulator.advance(minutes(59));
    expect(await client.messages.list()).toEqual([]);
    await simulator.advance(minutes(2));
    expect((await client.messages.list()).map((message) => message.sid)).toEqual([sid]);
  });

  test('the second token signs: the first one does not fit', async () => {
    const { simulator, sink, send } = await play('second-token-signs');
    await send();
    await simulator.advance(minutes(1));
    expect(sink.received).toHaveLength(3);
    for (const { form, headers, url } of sink.received) {
      const fits = (token: string) =>
        isSigned(
          String(headers['x-twilio-signature']),
          new URLSearchParams(form),
          [new URL(url, sink.url).href],
          [token],
        );
      expect([fits(simulator.authToken), fits('the-second-token')]).toEqual([false, true]);
    }
  });

  test('a bad day: creates fail in every way, callbacks are lost and doubled, and the judge knows the truth', async () => {
    const { simulator, sink } = await play('a-bad-day');
    const outcomes: (number | 'broken')[] = [];
    for (let n = 0; n < 400; n += 1) {
      const form = { To: receiver, From: sender, Body: `text ${n}`, StatusCallback: `${sink.url}?m=${n}&a=1` };
      outcomes.push(await statusOfCreate(simulator, form).catch(() => 'broken' as const));
    }
    await simulator.advance(minutes(2));
    expect(new Set(outcomes)).toEqual(new Set([201, 500, 502, 'broken']));
    const accepted = simulator.judge.accepted().flatMap(({ texts }) => texts);
    expect(accepted).toHaveLength(400 - outcomes.filter((outcome) => outcome === 502).length);
    const heard = sink.received.map(({ form }) => `${form.MessageSid} ${form.MessageStatus}`);
    expect(new Set(heard).size).toBeLessThan(accepted.length * 3);
    expect(new Set(heard).size).toBeLessThan(heard.length);
  });

  test('each file in scenarios/ is shown by a test', () => {
    const files = globSync('*.yaml', { cwd: folder }).map((file) => path.parse(file).name);
    expect([...shown].sort()).toEqual(files.sort());
  });
});
