import twilio from 'twilio';
import { describe, expect, test } from 'vitest';
import { officialClient, receiveCallbacks, receiver, sender, simulate } from './support.ts';

const { validateRequest } = twilio;

describe('the official client', () => {
  test('creates a message, which is queued', async () => {
    const client = officialClient(await simulate());
    const message = await client.messages.create({ to: receiver, from: sender, body: 'Hello' });
    expect(message).toMatchObject({
      sid: expect.stringMatching(/^SM[0-9a-f]{32}$/),
      to: receiver,
      from: sender,
      body: 'Hello',
      status: 'queued',
      direction: 'outbound-api',
      numSegments: '1',
      numMedia: '0',
      messagingServiceSid: null,
      errorCode: null,
      errorMessage: null,
      price: null,
      dateSent: null,
      dateCreated: expect.any(Date),
    });
  });

  test('creates through a Messaging Service: accepted, and without a sender', async () => {
    const client = officialClient(await simulate());
    const messagingServiceSid = `MG${'a'.repeat(32)}`;
    const message = await client.messages.create({ to: receiver, messagingServiceSid, body: 'Hello' });
    expect(message).toMatchObject({ status: 'accepted', from: null, messagingServiceSid, numSegments: '0' });
  });

  test('fetches the message as it is by then', async () => {
    const simulator = await simulate();
    const client = officialClient(simulator);
    const { sid } = await client.messages.create({ to: receiver, from: sender, body: 'Hello' });
    await simulator.settled();
    const message = await client.messages(sid).fetch();
    expect(message).toMatchObject({ sid, status: 'delivered', body: 'Hello', dateSent: expect.any(Date) });
  });

  test('redacts a final message, as often as it likes', async () => {
    const simulator = await simulate();
    const client = officialClient(simulator);
    const { sid } = await client.messages.create({ to: receiver, from: sender, body: 'Hello' });
    await simulator.settled();
    expect(await client.messages(sid).update({ body: '' })).toMatchObject({ sid, body: '', status: 'delivered' });
    expect(await client.messages(sid).update({ body: '' })).toMatchObject({ sid, body: '' });
    expect((await client.messages(sid).fetch()).body).toBe('');
    expect(simulator.messages()).toMatchObject([{ body: '' }]);
  });

  test('is told why it was refused', async () => {
    const client = officialClient(await simulate());
    await expect(client.messages.create({ to: '+447700900996', from: sender, body: 'Hello' })).rejects.toMatchObject({
      status: 400,
      code: 21610,
      moreInfo: 'https://www.twilio.com/docs/errors/21610',
    });
  });

  test('may use an API key', async () => {
    const simulator = await simulate({ apiKeys: { SKone: 'secret' } });
    const client = officialClient(simulator, 'SKone', 'secret');
    const { sid } = await client.messages.create({ to: receiver, from: sender, body: 'Hello' });
    expect(await client.messages(sid).fetch()).toMatchObject({ sid });
  });

  test('accepts the signature of every callback, the URL with port and query', async () => {
    const simulator = await simulate({ authToken: 'the token' });
    const server = await receiveCallbacks();
    const statusCallback = `${server.url}?tenant=a%20b&id=7`;
    for (const to of [receiver, '+447700900990', '+447700900993']) {
      await officialClient(simulator).messages.create({ to, from: sender, body: 'Grüße ✓', statusCallback });
    }
    await simulator.settled();
    expect(server.received).toHaveLength(3 + 3 + 2);
    for (const { headers, form } of server.received) {
      expect(validateRequest('the token', String(headers['x-twilio-signature']), statusCallback, form)).toBe(true);
      expect(validateRequest('another', String(headers['x-twilio-signature']), statusCallback, form)).toBe(false);
    }
  });
});
