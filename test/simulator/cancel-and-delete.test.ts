import { describe, expect, test } from 'vitest';
import { call, create, receiveCallbacks, simulateDriven } from './support.ts';

describe('cancelling', () => {
  test.for([{}, { From: undefined, MessagingServiceSid: `MG${'0'.repeat(32)}` }])(
    'holds back a message that is not being sent yet, and its callback follows: %j',
    async (changes) => {
      const simulator = await simulateDriven();
      const server = await receiveCallbacks();
      const { sid } = (await create(simulator, { StatusCallback: server.url, ...changes })).json;
      const answer = await call(simulator, `/Messages/${sid}.json`, { form: { Status: 'canceled' } });
      expect(answer).toMatchObject({ status: 200, json: { sid, status: 'canceled', body: 'Hello' } });
      await simulator.advance(3_600_000);
      expect(server.received.map(({ form }) => form.MessageStatus)).toEqual(['canceled']);
      expect(simulator.messages()).toMatchObject([{ status: 'canceled', date_sent: null }]);
    },
  );

  test('comes too late for a message that is being sent', async () => {
    const simulator = await simulateDriven();
    const { sid } = (await create(simulator)).json;
    await simulator.advance(400);
    const answer = await call(simulator, `/Messages/${sid}.json`, { form: { Status: 'canceled' } });
    expect(answer).toMatchObject({ status: 409, json: { code: 30409 } });
    await simulator.advance(60_000);
    expect(simulator.messages()).toMatchObject([{ status: 'delivered' }]);
  });

  test('ends a message, so that it can be redacted', async () => {
    const simulator = await simulateDriven();
    const { sid } = (await create(simulator)).json;
    await call(simulator, `/Messages/${sid}.json`, { form: { Status: 'canceled' } });
    expect(await call(simulator, `/Messages/${sid}.json`, { form: { Body: '' } })).toMatchObject({ status: 200 });
  });
});

describe('deleting', () => {
  test('a final message leaves nothing behind', async () => {
    const simulator = await simulateDriven();
    const { sid } = (await create(simulator)).json;
    await simulator.advance(60_000);
    expect(await call(simulator, `/Messages/${sid}.json`, { method: 'DELETE' })).toMatchObject({
      status: 204,
      json: null,
    });
    for (const init of [{}, { method: 'DELETE' }, { form: { Body: '' } }]) {
      const answer = await call(simulator, `/Messages/${sid}.json`, init);
      expect(answer).toMatchObject({ status: 404, json: { code: 20404 } });
    }
    expect((await call(simulator, '/Messages.json')).json.messages).toEqual([]);
    expect(simulator.messages()).toEqual([]);
  });

  test('a message on its way is refused with 20009', async () => {
    const simulator = await simulateDriven();
    const { sid } = (await create(simulator)).json;
    const answer = await call(simulator, `/Messages/${sid}.json`, { method: 'DELETE' });
    expect(answer).toMatchObject({ status: 409, json: { code: 20009 } });
    expect(simulator.messages()).toHaveLength(1);
  });
});
