import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sign } from '../../src/twilio/signature.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, type TestService } from '../support/service.ts';
import { type FakeTwilio, newSid, resource, sidIn, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import { metric, startAlone } from './support.ts';

const callbackUrl = 'https://sms.example/dhos/v1/sms/callback';
const authToken = 'token-of-the-tests';

let twilio: FakeTwilio;
let service: TestService;
/** A message under way, and a genuine callback about it, word for word. */
let uuid: string;
let genuine: { query: string; body: string; signature: string };

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startAlone(twilioAt(twilio.url));
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});
beforeEach(async () => {
  const row = await insertOriginalRow(service, { status: 'sent' });
  uuid = row.uuid;
  genuine = signed({ MessageSid: row.sid, MessageStatus: 'delivered', AccountSid: 'ACtest' });
});

function signed(fields: Record<string, string>, token = authToken) {
  const [query, form] = [`?m=${uuid}&a=1`, new URLSearchParams(fields)];
  return { query, body: form.toString(), signature: sign(token, callbackUrl + query, form) };
}

async function send({ query, body, signature }: typeof genuine): Promise<number> {
  const answer = await service.call(`/dhos/v1/sms/callback${query}`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-twilio-signature': signature },
    body,
  });
  return answer.status;
}

const everything = () =>
  Promise.all(
    ['message', 'callback', 'event', 'duplicate_handover', 'attempt'].map((table) =>
      service.query(`SELECT * FROM ${table} ORDER BY 1`),
    ),
  );

/** The text with its n-th character replaced by its neighbour in the alphabet of URLs and base64. */
function flip(text: string, n: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const at = alphabet.indexOf(text[n] ?? '');
  return text.slice(0, n) + (alphabet[(at + 1) % alphabet.length] ?? 'A') + text.slice(n + 1);
}

describe('A callback that is not Twilio’s is refused with 403, and nothing is written', () => {
  test('any one byte of its query, form or signature changed', async () => {
    const before = [await everything(), twilio.asked.length];
    const forged = (['query', 'body', 'signature'] as const).flatMap((part) =>
      // The first byte of the query is its question mark, which makes it another address.
      Array.from({ length: genuine[part].length }, (_, n) => n)
        .filter((n) => part !== 'query' || n > 0)
        .map((n) => ({ ...genuine, [part]: flip(genuine[part], n) })),
    );
    expect(forged.length).toBeGreaterThan(150);
    const refusedBefore = await metric(service, 'sms_callbacks_total{result="refused"}');
    const answers = await Promise.all(forged.map(send));
    expect([...new Set(answers)]).toEqual([403]);
    expect([await everything(), twilio.asked.length]).toEqual(before);
    expect(await metric(service, 'sms_callbacks_total{result="refused"}')).toBe(refusedBefore + forged.length);
    // The check can fail: unchanged, it counts.
    expect(await send(genuine)).toBe(204);
    const isRedacted = async () => (await service.query('SELECT FROM message WHERE redacted IS NULL')).length === 0;
    await eventually(isRedacted);
  });

  test.each([
    ['no signature', () => ({ ...genuine, signature: '' })],
    ['half a signature', () => ({ ...genuine, signature: genuine.signature.slice(0, 14) })],
    ['a signature with something after it', () => ({ ...genuine, signature: `${genuine.signature}=` })],
    [
      'the signature of another callback',
      () => ({ ...genuine, signature: signed({ MessageSid: newSid() }).signature }),
    ],
    ['a signature by somebody else', () => signed(Object.fromEntries(new URLSearchParams(genuine.body)), 'guess')],
    ['a field more', () => ({ ...genuine, body: `${genuine.body}&ErrorCode=30003` })],
    ['a field less', () => ({ ...genuine, body: genuine.body.replace('&AccountSid=ACtest', '') })],
    ['its fields in the query', () => ({ ...genuine, query: `${genuine.query}&${genuine.body}`, body: '' })],
    ['another message in its query', () => ({ ...genuine, query: `?m=${newSid()}&a=1` })],
    ['another account, well signed', () => signed({ MessageSid: newSid(), MessageStatus: 'sent', AccountSid: 'AC2' })],
  ])('%s', async (_what, forge) => {
    const before = [await everything(), twilio.asked.length];
    expect(await send(forge())).toBe(403);
    expect([await everything(), twilio.asked.length]).toEqual(before);
  });
});

describe('A genuine callback that somebody replays changes nothing', () => {
  const messages = (uuid: string) => service.query('SELECT * FROM message WHERE uuid = $1', [uuid]);

  test('at once, a hundred times', async () => {
    expect(await send(genuine)).toBe(204);
    await eventually(async () => (await messages(uuid))[0]?.redacted);
    const before = [await messages(uuid), twilio.asked.length];
    const answers = await Promise.all(Array.from({ length: 100 }, () => send(genuine)));
    expect(new Set(answers)).toEqual(new Set([204]));
    expect([await messages(uuid), twilio.asked.length]).toEqual(before);
  });

  test('a year later, each of its life: the message stays as it is, and Twilio is asked nothing', async () => {
    const row = await insertOriginalRow(service, { status: 'queued' });
    uuid = row.uuid;
    const life = ['queued', 'sending', 'sent', 'delivered'].map((MessageStatus) =>
      signed({ MessageSid: row.sid, MessageStatus }),
    );
    for (const one of life) expect(await send(one)).toBe(204);
    await eventually(async () => (await messages(uuid))[0]?.redacted);
    await service.query(
      `UPDATE message SET created = created - interval '1 year', modified = modified - interval '1 year',
         redacted = redacted - interval '1 year' WHERE uuid = $1`,
      [uuid],
    );
    const before = [await messages(uuid), twilio.asked.length];
    for (const one of [...life, ...life.toReversed()]) expect(await send(one)).toBe(204);
    expect([await messages(uuid), twilio.asked.length]).toEqual(before);
  });

  test('one of two ends that contradict each other: what Twilio decided stands', async () => {
    const row = await insertOriginalRow(service, { status: 'queued' });
    uuid = row.uuid;
    const [failed, delivered] = ['failed', 'delivered'].map((MessageStatus) =>
      signed({ MessageSid: row.sid, MessageStatus }),
    );
    if (failed === undefined || delivered === undefined) throw new Error('there are two');
    twilio.answerWith(({ path }) => ({ status: 200, body: resource({ sid: sidIn(path), status: 'delivered' }) }));
    for (const one of [failed, delivered]) expect(await send(one)).toBe(204);
    const isSettled = async () =>
      (await messages(uuid))[0]?.status === 'delivered' && (await messages(uuid))[0]?.step !== 'verify';
    await eventually(isSettled);
    expect(await send(failed)).toBe(204);
    await eventually(isSettled);
    twilio.answerWith(undefined);
  });

  test('of a deleted message: it stays deleted', async () => {
    const row = await insertOriginalRow(service, {
      status: 'delivered',
      redacted: '2024-01-01',
      deleted: '2024-01-02',
    });
    uuid = row.uuid;
    expect(await send(signed({ MessageSid: row.sid, MessageStatus: 'sent' }))).toBe(204);
    expect((await service.call(`/dhos/v1/sms/${uuid}`)).status).toBe(404);
  });
});
