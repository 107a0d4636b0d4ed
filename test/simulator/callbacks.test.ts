import { describe, expect, test } from 'vitest';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { create, receiveCallbacks, receiver, sender, simulate, unusedPort } from './support.ts';

describe('callbacks', () => {
  test('tell every status but the first', async () => {
    const { simulator, server } = await sendTo({});
    expect(statusesOf(simulator)).toEqual(['sending', 'sent', 'delivered']);
    expect(server.received.map(({ form }) => form.MessageStatus).sort()).toEqual(['delivered', 'sending', 'sent']);
  });

  test('are none when no URL was given', async () => {
    const simulator = await simulate();
    await create(simulator);
    await simulator.settled();
    expect(simulator.callbacks()).toEqual([]);
  });

  test('carry what Twilio sends', async () => {
    const { simulator } = await sendTo({});
    const [message] = simulator.messages();
    const form = simulator.callbacks().find((one) => one.form.MessageStatus === 'delivered')?.form;
    expect(form).toEqual({
      MessageSid: message?.sid,
      SmsSid: message?.sid,
      MessageStatus: 'delivered',
      SmsStatus: 'delivered',
      To: receiver,
      From: sender,
      AccountSid: simulator.accountSid,
      ApiVersion: '2010-04-01',
      RawDlrDoneDate: expect.stringMatching(/^\d{10}$/),
    });
  });

  test('of a Messaging Service name it and no sender', async () => {
    const MessagingServiceSid = `MG${'0'.repeat(32)}`;
    const { simulator } = await sendTo({ fields: { From: undefined, MessagingServiceSid } });
    expect(statusesOf(simulator)).toEqual(['queued', 'sending', 'sent', 'delivered']);
    for (const { form } of simulator.callbacks()) {
      expect(form).toMatchObject({ MessagingServiceSid });
      expect(form).not.toHaveProperty('From');
    }
  });

  test('that end badly carry the error code', async () => {
    const { simulator } = await sendTo({ fields: { To: '+447700900991' } });
    expect(simulator.callbacks().at(-1)?.form).toMatchObject({ MessageStatus: 'undelivered', ErrorCode: '30005' });
  });

  test('keep the query, drop the fragment, and turn the user into Basic credentials', async () => {
    const server = await receiveCallbacks();
    const url = `${server.url.replace('http://', 'http://us%20er:pa:ss@')}?a=1&b=%2F#rc=0`;
    const { simulator } = await sendTo({ url });
    expect(simulator.callbacks().map((one) => one.url)).toEqual(Array(3).fill(`${server.url}?a=1&b=%2F`));
    const [received] = server.received;
    expect(received?.url).toBe('/callback?a=1&b=%2F');
    expect(received?.headers.authorization).toBe(`Basic ${Buffer.from('us er:pa:ss').toString('base64')}`);
  });

  test('carry a token that is the same on each try of one and differs from the next', async () => {
    const { server } = await sendTo({ fragment: '#rc=1&rp=5xx', answer: () => 500 });
    const tokens = server.received.map(
      ({ headers, form }) => `${form.MessageStatus} ${headers['i-twilio-idempotency-token']}`,
    );
    expect(tokens).toHaveLength(6);
    expect(new Set(tokens).size).toBe(3);
  });
});

describe('by default a callback', () => {
  test('that is answered with an error is lost', async () => {
    const { simulator } = await sendTo({ answer: () => 500 });
    expect(triesOf(simulator, 'delivered')).toEqual([[1, 500]]);
  });

  test('whose connection is refused is tried once more', async () => {
    const { simulator } = await sendTo({ url: `http://127.0.0.1:${await unusedPort()}/` });
    expect(triesOf(simulator, 'delivered')).toEqual([
      [1, 'connection failed'],
      [2, 'connection failed'],
    ]);
  });
});

describe('the fragment', () => {
  test.for([
    { fragment: '#rc=2&rp=5xx', reply: 503, tries: 3 },
    { fragment: '#rp=5xx', reply: 500, tries: 2 },
    { fragment: '#rc=2&rp=4xx', reply: 404, tries: 3 },
    { fragment: '#rc=2&rp=4xx', reply: 500, tries: 1 },
    { fragment: '#rc=2&rp=ct,rt', reply: 500, tries: 1 },
    { fragment: '#rc=2&rp=all', reply: 400, tries: 3 },
    { fragment: '#rc=9&rp=all', reply: 500, tries: 6 },
    { fragment: '#rc=5&rp=all', reply: 302, tries: 1 },
    { fragment: '#rc=5&rp=all', reply: 204, tries: 1 },
    { fragment: '#rc=2', reply: 'cut', tries: 3 },
    { fragment: '#rc=0', reply: 'cut', tries: 1 },
  ] as const)(
    '$fragment makes $tries tries of a callback that is answered $reply',
    async ({ fragment, reply, tries }) => {
      const { simulator } = await sendTo({ fragment, answer: () => reply });
      expect(triesOf(simulator, 'delivered').map(([attempt]) => attempt)).toEqual(
        Array.from({ length: tries }, (_, n) => n + 1),
      );
    },
  );

  test('#rt=100 gives up on an answer after 100 ms, and rp=rt tries again', async () => {
    const { simulator } = await sendTo({ fragment: '#rc=1&rp=rt&rt=100', answer: () => 'never' });
    expect(triesOf(simulator, 'delivered')).toEqual([
      [1, 'timeout'],
      [2, 'timeout'],
    ]);
  });

  test('#tt=250 ends all tries together', async () => {
    const { simulator } = await sendTo({ fragment: '#rc=5&rp=rt&rt=150&tt=250', answer: () => 'never' });
    // Without the limit it would be 6 of them; how many fit depends on the machine.
    expect(triesOf(simulator, 'delivered').length).toBeLessThan(6);
  });

  test('lets a callback through once the receiver recovers', async () => {
    const { simulator } = await sendTo({ fragment: '#rc=5&rp=5xx', answer: (n) => (n <= 3 ? 500 : 204) });
    expect(simulator.callbacks().filter(({ outcome }) => outcome === 204)).toHaveLength(3);
  });
});

test('a slow receiver holds up neither the message nor its next callback', async () => {
  const { simulator, server } = await sendTo({ fragment: '#rt=300&rc=0', answer: () => 'never' });
  expect(server.received).toHaveLength(3);
  expect(simulator.messages()).toMatchObject([{ status: 'delivered' }]);
});

test('stopping waits for a callback in flight no longer than two seconds', async () => {
  const simulator = await simulate();
  const server = await receiveCallbacks(() => 'never');
  await create(simulator, { StatusCallback: server.url });
  await expect.poll(() => server.received.length).toBe(3);
  await simulator.stop();
  expect(simulator.messages()).toMatchObject([{ status: 'delivered' }]);
});

type Sent = {
  url?: string;
  fragment?: string;
  answer?: (n: number) => number | 'never' | 'cut';
  fields?: Record<string, string | undefined>;
};

/** Sends a message and waits until its life and its callbacks are over. */
async function sendTo({ url, fragment = '', answer, fields = {} }: Sent) {
  const simulator = await simulate();
  const server = await receiveCallbacks(answer);
  const { status } = await create(simulator, { StatusCallback: (url ?? server.url) + fragment, ...fields });
  expect(status).toBe(201);
  await simulator.settled();
  return { simulator, server };
}

function triesOf(simulator: Simulator, status: string) {
  const tries = simulator.callbacks().filter(({ form }) => form.MessageStatus === status);
  return tries.map(({ attempt, outcome }) => [attempt, outcome]);
}

function statusesOf(simulator: Simulator): (string | undefined)[] {
  return simulator.callbacks().map(({ form }) => form.MessageStatus);
}
