import { describe, expect, test } from 'vitest';
import { basic, call, create, officialClient, receiveCallbacks, receiver, sender, simulate } from './support.ts';

describe('the quiet mode', () => {
  test('answers sent to a create of any form, with a fresh SID each time', async () => {
    const simulator = await simulate({ quiet: true });
    const one = await create(simulator, { To: '07700 900123', From: 'anything at all', Body: 'Hello' });
    const other = await create(simulator, { To: '07700 900123', From: 'anything at all', Body: 'Hello' });
    expect(one).toMatchObject({ status: 201, json: { status: 'sent', to: '07700 900123', body: 'Hello' } });
    expect(one.json.sid).toMatch(/^SM[0-9a-f]{32}$/);
    expect(other.json.sid).not.toBe(one.json.sid);
  });

  test('finds every message there could be: sent, its text empty', async () => {
    const simulator = await simulate({ quiet: true });
    const { status, json } = await call(simulator, '/Messages/any-sid.json');
    expect(status).toBe(200);
    expect(json).toMatchObject({ sid: 'any-sid', status: 'sent', body: '' });
  });

  test('redacts every message there could be', async () => {
    const simulator = await simulate({ quiet: true });
    const message = await officialClient(simulator)
      .messages(`SM${'0'.repeat(32)}`)
      .update({ body: '' });
    expect(message).toMatchObject({ status: 'sent', body: '' });
  });

  test('takes any credentials and any account', async () => {
    const simulator = { ...(await simulate({ quiet: true })), accountSid: 'test' };
    const headers = { authorization: basic('test', 'test') };
    const form = { To: receiver, From: sender, Body: 'Hello' };
    expect(await call(simulator, '/Messages.json', { form, headers })).toMatchObject({
      status: 201,
      json: { account_sid: 'test' },
    });
  });

  test('knows no magic, calls nobody back and remembers nothing', async () => {
    const simulator = await simulate({ quiet: true });
    const server = await receiveCallbacks();
    await create(simulator, { To: '+447700900999', StatusCallback: server.url });
    await simulator.settled();
    expect(simulator.messages()).toEqual([]);
    expect(simulator.callbacks()).toEqual([]);
    expect(server.received).toEqual([]);
  });
});
