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

  test('lists by receiver, sender and date, page by page', async () => {
    const simulator = await simulate();
    const client = officialClient(simulator);
    for (let n = 1; n <= 7; n++) await client.messages.create({ to: receiver, from: sender, body: `text ${n}` });
    await client.messages.create({ to: '+447700900124', from: 'ACME', body: 'another' });
    await simulator.settled();
    const bodies = (messages: { body: string }[]) => messages.map(({ body }) => body);
    const all = ['text 7', 'text 6', 'text 5', 'text 4', 'text 3', 'text 2', 'text 1'];
    expect(bodies(await client.messages.list({ to: receiver, pageSize: 3 }))).toEqual(all);
    expect(bodies(await client.messages.list({ to: receiver, pageSize: 3, limit: 5 }))).toEqual(all.slice(0, 5));
    expect(bodies(await client.messages.list({ from: 'ACME' }))).toEqual(['another']);
    const page = await client.messages.page({ to: receiver, pageSize: 3 });
    const next = await page.nextPage();
    expect(bodies(next?.instances ?? [])).toEqual(all.slice(3, 6));
    expect(bodies((await next?.previousPage())?.instances ?? [])).toEqual(all.slice(0, 3));
    const [sent] = await client.messages.list({ limit: 1 });
    const day = { after: 86_400_000, before: -86_400_000 };
    const dateSent = sent?.dateSent ?? new Date(0);
    const shifted = (ms: number) => new Date(dateSent.getTime() + ms);
    expect(await client.messages.list({ dateSent, from: 'ACME' })).toHaveLength(1);
    expect(
      await client.messages.list({ dateSentAfter: shifted(day.before), dateSentBefore: shifted(day.after) }),
    ).toHaveLength(8);
    expect(await client.messages.list({ dateSentAfter: shifted(day.after) })).toEqual([]);
  });

  test('cancels a message before it is sent', async () => {
    const client = officialClient(await simulate({ speed: 0 }));
    const { sid } = await client.messages.create({ to: receiver, from: sender, body: 'Hello' });
    expect(await client.messages(sid).update({ status: 'canceled' })).toMatchObject({ status: 'canceled' });
    await expect(client.messages(sid).update({ status: 'canceled' })).rejects.toMatchObject({ code: 30409 });
  });

  test('removes a message once it is final', async () => {
    const simulator = await simulate({ speed: 0 });
    const client = officialClient(simulator);
    const { sid } = await client.messages.create({ to: receiver, from: sender, body: 'Hello' });
    await expect(client.messages(sid).remove()).rejects.toMatchObject({ code: 20009 });
    await simulator.advance(60_000);
    expect(await client.messages(sid).remove()).toBe(true);
    await expect(client.messages(sid).fetch()).rejects.toMatchObject({ status: 404, code: 20404 });
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
