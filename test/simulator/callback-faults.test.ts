import twilio from 'twilio';
import { describe, expect, test } from 'vitest';
import type { SimulatorOptions } from '../../src/simulator/simulator.ts';
import { create, journalOf, receiveCallbacks, simulateDriven } from './support.ts';

const { validateRequest } = twilio;

/** Sends one text under this rule for callbacks and lets an hour pass. */
async function sendUnder(rules: string, options: SimulatorOptions = {}, to = '+447700900123') {
  const simulator = await simulateDriven(rules, { authToken: 'first', authTokenSecondary: 'second', ...options });
  const server = await receiveCallbacks();
  const url = `${server.url}?m=me&a=1`;
  await create(simulator, { StatusCallback: url, To: to });
  await simulator.advance(3_600_000);
  const signedWith = ({ headers, form }: (typeof server.received)[number]) =>
    ['first', 'second'].find((token) => validateRequest(token, String(headers['x-twilio-signature']), url, form));
  return {
    simulator,
    received: server.received,
    statuses: server.received.map(({ form }) => form.MessageStatus),
    entries: journalOf(simulator, 'callback'),
    signedWith,
  };
}

const rule = (actions: string, when = '{}') => `rules: [{ on: callback, when: ${when}, do: ${actions} }]`;

describe('a callback', () => {
  test('is lost, and the journal says so', async () => {
    const { statuses, entries } = await sendUnder(rule('{ lose: true }', '{ status: sent }'));
    expect(statuses).toEqual(['sending', 'delivered']);
    expect(entries).toMatchObject([
      { status: 'sending', attempt: 1, outcome: 204, url: '/callback?m=me&a=1' },
      { status: 'sent', outcome: 'lost', fault: 'lose', rules: [1] },
      { status: 'delivered', outcome: 204 },
    ]);
  });

  test('is doubled, to the byte', async () => {
    const { received, statuses, entries } = await sendUnder(rule('{ double: true }', '{ status: sent }'));
    expect(statuses).toEqual(['sending', 'sent', 'sent', 'delivered']);
    expect(received[1]?.form).toEqual(received[2]?.form);
    expect(received[1]?.headers['x-twilio-signature']).toBe(received[2]?.headers['x-twilio-signature']);
    expect(entries[2]).toMatchObject({ fault: 'double' });
  });

  test('comes half a minute after the next', async () => {
    const { statuses, entries } = await sendUnder(rule('{ delay: 30s }', '{ status: sending }'));
    expect(statuses).toEqual(['sent', 'delivered', 'sending']);
    expect(entries[2]).toMatchObject({ at: expect.stringMatching(/^00:00:30/), fault: 'delay' });
  });

  test('comes in some order', async () => {
    const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
    const orders = await Promise.all(seeds.map((seed) => sendUnder(rule('{ shuffle: 1m }'), { seed })));
    for (const { statuses } of orders) expect(statuses.toSorted()).toEqual(['delivered', 'sending', 'sent']);
    expect(new Set(orders.map(({ statuses }) => statuses.join())).size).toBeGreaterThan(2);
  });

  test('is forged: another status, and a signature of nobody', async () => {
    const { received, statuses, signedWith } = await sendUnder(rule('{ forge: true }', '{ status: delivered }'));
    expect(statuses).toEqual(['sending', 'sent', 'delivered', 'failed']);
    expect(received.map(signedWith)).toEqual(['first', 'first', 'first', undefined]);
  });

  test('carries a parameter that nobody has seen before, signed like the others', async () => {
    const { received, signedWith } = await sendUnder(rule('{ extra: { NewThing: "1" } }'));
    expect(received.map(({ form }) => form.NewThing)).toEqual(['1', '1', '1']);
    expect(received.map(signedWith)).toEqual(['first', 'first', 'first']);
  });

  test('lacks a parameter', async () => {
    const { received } = await sendUnder(rule('{ without: [ErrorCode] }'), {}, '+447700900991');
    expect(received.at(-1)?.form).toMatchObject({ MessageStatus: 'undelivered' });
    expect(received.at(-1)?.form).not.toHaveProperty('ErrorCode');
  });

  test('is repeated without the error code that the first had', async () => {
    const repeat = rule('{ repeatAfter: { delay: 1s, without: [ErrorCode] } }', '{ status: undelivered }');
    const { received } = await sendUnder(repeat, {}, '+447700900991');
    const codes = received.map(({ form }) => [form.MessageStatus, form.ErrorCode]);
    expect(codes.slice(2)).toEqual([
      ['undelivered', '30005'],
      ['undelivered', undefined],
    ]);
  });

  test.for([
    [rule('{ signWith: secondary }'), 'second'],
    [rule('{ signWith: wrong }'), undefined],
    ['signWith: secondary', 'second'],
    ['', 'first'],
  ] as const)('under the scenario %s is signed with %s', async ([scenario, token]) => {
    const { received, signedWith } = await sendUnder(scenario);
    expect(received.map(signedWith)).toEqual([token, token, token]);
  });

  test('meets every rule that matches it', async () => {
    const { statuses, entries } = await sendUnder(`rules:
  - { on: callback, when: { status: sent }, do: { double: true } }
  - { on: callback, when: { status: sent }, do: { delay: 1m } }`);
    expect(statuses).toEqual(['sending', 'delivered', 'sent', 'sent']);
    expect(entries.at(-1)).toMatchObject({ rules: [1, 2] });
  });

  test('is lost once in ten', async () => {
    const simulator = await simulateDriven(rule('{ lose: true }', '{ probability: 0.1 }'));
    const server = await receiveCallbacks();
    await Promise.all(
      Array.from({ length: 100 }, (_, n) => create(simulator, { StatusCallback: server.url, Body: `text ${n}` })),
    );
    await simulator.advance(60_000);
    expect(server.received.length).toBeGreaterThan(250);
    expect(server.received.length).toBeLessThan(290);
    expect(journalOf(simulator, 'callback')).toHaveLength(300);
  });
});

test('the second token is as good for calling as the first', async () => {
  const simulator = await simulateDriven('', { authTokenSecondary: 'second' });
  expect(await create({ ...simulator, authToken: 'second' })).toMatchObject({ status: 201 });
});
