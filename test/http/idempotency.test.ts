import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { expectProblem, rawRequest, sendRaw } from '../support/http.ts';
import { type Answer, freshText, startTestService, type TestService, tenant } from '../support/service.ts';
import {
  type FakeTwilio,
  isCreate,
  newSid,
  type Reply,
  resource,
  startFakeTwilio,
  twilioAt,
} from '../support/twilio.ts';

let database: TestDatabase;
let twilio: FakeTwilio;
let service: TestService;
const start = (env: Record<string, string> = {}) =>
  startTestService({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '1500', ...env }, { databaseUrl: database.url });

beforeAll(async () => {
  database = await createDatabase();
  twilio = await startFakeTwilio();
  service = await start();
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
  await database.drop();
});
beforeEach(() => twilio.answerWith(undefined));

type Text = ReturnType<typeof freshText>;
const freshKey = () => `key of the tests ${randomUUID()}`;
const send = (text: object, key: string, headers: Record<string, string> = {}, to = service) =>
  to.post(text, { ...tenant, 'idempotency-key': key, ...headers });
const createsOf = ({ content }: Text) => twilio.asked.filter((asked) => isCreate(asked) && asked.form.Body === content);
const rowsOf = ({ content }: Text) => service.query('SELECT uuid, status FROM message WHERE content = $1', [content]);
const replayed = ({ headers }: Answer) => headers.get('idempotency-replayed');
const error = (status: number, code: number): Reply => ({ status, body: { code, message: 'words', status } });

describe('one key, one message (G7)', () => {
  test('100 POSTs at once with one key: one row, one text at Twilio, 100 equal answers; and so after a restart', async () => {
    const [text, key] = [freshText(), freshKey()];
    // Slow enough for all of them to be there before the first has its answer.
    twilio.answerWith(async () => {
      await delay(300);
      return { status: 201, body: resource() };
    });
    const answers = await Promise.all(Array.from({ length: 100 }, () => send(text, key)));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 100 }).fill(200));
    const [first] = answers;
    expect(new Set(answers.map(({ json }) => `${json.uuid} ${json.twilio_sid}`)).size).toBe(1);
    expect(first?.json.twilio_sid).toMatch(/^SM/);
    expect(answers.filter((answer) => replayed(answer) === 'true')).toHaveLength(99);
    expect([(await rowsOf(text)).length, createsOf(text).length]).toEqual([1, 1]);

    const restarted = await start();
    const again = await Promise.all(Array.from({ length: 10 }, () => send(text, key, {}, restarted)));
    await restarted.stop();
    for (const { status, json } of again) {
      expect([status, json.uuid, json.twilio_sid]).toEqual([200, first?.json.uuid, first?.json.twilio_sid]);
    }
    expect([(await rowsOf(text)).length, createsOf(text).length]).toEqual([1, 1]);
  });

  test('many at once whose answer from Twilio is lost: all are told 202 and the same message, none that nothing was sent', async () => {
    const [text, key] = [freshText(), freshKey()];
    twilio.answerWith(async () => {
      await delay(300);
      return 'hang up' as const;
    });
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(text, key)));
    expect([...new Set(answers.map(({ status }) => status))]).toEqual([202]);
    expect(new Set(answers.map(({ json }) => json.uuid)).size).toBe(1);
    expect(createsOf(text)).toHaveLength(1);
  });

  test('the same once more: the same message as it is now, marked as an answer that was given before', async () => {
    const [text, key] = [freshText(), freshKey()];
    const first = await send(text, key);
    expect([first.status, replayed(first)]).toEqual([200, null]);
    await service.callback({ MessageSid: first.json.twilio_sid, MessageStatus: 'sent' });
    const second = await send(text, key);
    expect([second.status, replayed(second)]).toEqual([200, 'true']);
    expect(second.headers.get('x-message-id')).toBe(first.json.uuid);
    expect(second.json).toMatchObject({ uuid: first.json.uuid, twilio_sid: first.json.twilio_sid, status: 'sent' });
    expect(createsOf(text)).toHaveLength(1);
  });

  test('the same number in another spelling is the same request', async () => {
    const [text, key] = [freshText(), freshKey()];
    const first = await send(text, key);
    const second = await send({ ...text, receiver: '07700 900123' }, key);
    expect([second.status, second.json.uuid, second.json.receiver]).toEqual([200, first.json.uuid, text.receiver]);
  });

  test.each<[string, object]>([
    ['text', { content: 'Another text altogether.' }],
    ['receiver', { receiver: '+447700900124' }],
    ['sender', { sender: '+447700900002' }],
    ['time limit', { valid_until: new Date(Date.now() + 3_600_000).toISOString() }],
    ['error code of an old client', { error_code: '1' }],
  ])('a request with another %s: 422, nothing recorded, nothing sent', async (_name, change) => {
    const [text, key] = [freshText(), freshKey()];
    await send(text, key);
    const before = [await service.query('SELECT count(*) FROM message'), twilio.asked.length];
    const answer = await send({ ...text, ...change }, key);
    expectProblem(answer, 422, 'This Idempotency-Key stands for another request: use a new one.');
    expect([await service.query('SELECT count(*) FROM message'), twilio.asked.length]).toEqual(before);
  });

  test('keys of two tenants are apart', async () => {
    const [text, key] = [freshText(), freshKey()];
    const trusts = ['OUH', 'TVH'];
    const products = ['GDM', 'SEND'];
    const uuids: string[] = [];
    for (const trust of trusts) {
      for (const product of products) {
        const answer = await send(text, key, { 'x-trustomer': trust, 'x-product': product });
        expect([answer.status, replayed(answer)]).toEqual([200, null]);
        uuids.push(answer.json.uuid);
      }
    }
    expect(new Set(uuids).size).toBe(4);
    // A tenant is the same in any case.
    expect((await send(text, key, { 'x-trustomer': 'ouh', 'x-product': 'gdm' })).json.uuid).toBe(uuids[0]);
  });

  test('a key is kept as a hash only, and is in no line of the log', async () => {
    const key = 'patient-4711-canary-key';
    await send(freshText(), key);
    const kept = await service.query<{ row: string }>('SELECT k::text AS row FROM idempotency_key k');
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.map(({ row }) => row).join()).not.toContain('canary');
    expect(service.logged()).not.toContain('canary-key');
  });
});

describe('what uses a key up, and what does not', () => {
  test.each<[string, Reply]>([
    ['the account is refused', error(401, 20003)],
    ['the queue is full', error(400, 21611)],
  ])('503 (%s) frees it: asking again is a new attempt', async (_name, reply) => {
    const [text, key] = [freshText(), freshKey()];
    twilio.answerWith(() => reply);
    const refused = await send(text, key);
    expect(refused.status).toBe(503);
    twilio.answerWith(undefined);
    const again = await send(text, key);
    expect([again.status, replayed(again)]).toEqual([200, null]);
    expect(again.json.uuid).not.toBe(refused.json.message_id);
    expect((await rowsOf(text)).map(({ status }) => status).toSorted()).toEqual(['error', 'queued']);
    expect((await send(text, key)).json.uuid).toBe(again.json.uuid);
  });

  test('a 422 stays a 422, and Twilio is not asked again', async () => {
    const [text, key] = [freshText(), freshKey()];
    twilio.answerWith(() => error(400, 21610));
    const refused = await send(text, key);
    twilio.answerWith(undefined);
    const again = await send(text, key);
    expect([refused.status, again.status, replayed(again)]).toEqual([422, 422, 'true']);
    expect(again.json).toEqual(refused.json);
    expect(again.json).toMatchObject({ error_code: '21610', message_id: refused.headers.get('x-message-id') });
    expect(createsOf(text)).toHaveLength(1);
  });

  test('while nobody knows whether Twilio has it: 202 again, and 200 once a callback has told', async () => {
    const [text, key] = [freshText(), freshKey()];
    twilio.answerWith(() => 'hang up');
    const first = await send(text, key);
    const second = await send(text, key);
    expect([first.status, second.status, replayed(second)]).toEqual([202, 202, 'true']);
    expect(second.headers.get('location')).toBe(`/dhos/v1/sms/${first.json.uuid}`);
    await service.callback({ MessageSid: newSid(), MessageStatus: 'sent' }, { query: `?m=${first.json.uuid}&a=1` });
    const third = await send(text, key);
    expect([third.status, third.json.uuid, third.json.status]).toEqual([200, first.json.uuid, 'sent']);
    expect(createsOf(text)).toHaveLength(1);
  });

  test('while the first is being sent the second waits for it', async () => {
    const [text, key] = [freshText(), freshKey()];
    const arrived = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    twilio.answerWith(async () => {
      arrived.resolve();
      await go.promise;
      return { status: 201, body: resource() };
    });
    const first = send(text, key);
    await arrived.promise;
    const second = send(text, key);
    const early = await Promise.race([second, delay(200, 'waits')]);
    go.resolve();
    expect(early).toBe('waits');
    expect((await second).json.twilio_sid).toBe((await first).json.twilio_sid);
  });

  test('a request that was wrong leaves it fresh', async () => {
    const [text, key] = [freshText(), freshKey()];
    for (const wrong of [
      { content: '' },
      { receiver: 'x' },
      { valid_until: '2020-01-01T00:00:00Z' },
      { nonsense: 1 },
    ]) {
      expect((await send({ ...text, ...wrong }, key)).status).toBe(400);
    }
    expect((await send(text, key, { 'x-product': '' })).status).toBe(400);
    const right = await send(text, key);
    expect([right.status, replayed(right)]).toEqual([200, null]);
  });

  test('a message that was deleted: 409, for it will not be shown and must not be sent again', async () => {
    const [text, key] = [freshText(), freshKey()];
    const { uuid } = (await send(text, key)).json;
    await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: tenant });
    expectProblem(
      await send(text, key),
      409,
      'The message that this Idempotency-Key stands for was deleted: use a new one.',
    );
    expect(createsOf(text)).toHaveLength(1);
  });

  test('asked for later first, then at once: the same message, 202 until Twilio has it', async () => {
    const [text, key] = [freshText(), freshKey()];
    const first = await send(text, key, { prefer: 'respond-async' });
    const second = await send(text, key);
    expect([first.status, second.json.uuid]).toEqual([202, first.json.uuid]);
    expect([200, 202]).toContain(second.status);
    expect(createsOf(text).length).toBeLessThanOrEqual(1);
  });

  test('a key that was answered with an earlier message keeps standing for it', async () => {
    const windowed = await start({ DUPLICATE_WINDOW_S: '1' });
    const [text, key] = [freshText(), freshKey()];
    const first = await send(text, freshKey(), {}, windowed);
    const second = await send(text, key, {}, windowed);
    expect(second.json.uuid).toBe(first.json.uuid);
    await service.query("UPDATE message SET created = created - interval '1 hour' WHERE uuid = $1", [first.json.uuid]);
    const third = await send(text, key, {}, windowed);
    await windowed.stop();
    expect([third.status, third.json.uuid]).toEqual([200, first.json.uuid]);
    expect(createsOf(text)).toHaveLength(1);
  });
});

describe('a key that is none: 400, nothing recorded', () => {
  const body = JSON.stringify(freshText());
  const headers = { 'content-type': 'application/json', 'x-trustomer': 'OUH', 'x-product': 'GDM' };

  test.each<[string, string]>([
    ['too long', `idempotency-key: ${'k'.repeat(256)}`],
    ['doubled', 'idempotency-key: one\r\nidempotency-key: two'],
    ['doubled, and the same', 'idempotency-key: one\r\nIdempotency-Key: one'],
    ['not ASCII', 'idempotency-key: schl\xfcssel'],
    ['with a tab', 'idempotency-key: one\ttwo'],
    ['empty', 'idempotency-key:'],
    ['spaces', 'idempotency-key:    '],
  ])('%s', async (_name, line) => {
    const before = [await service.query('SELECT count(*) FROM message'), twilio.asked.length];
    const bytes = rawRequest('POST', '/dhos/v1/sms', headers, body).toString('latin1');
    const answer = await sendRaw(service.baseUrl, Buffer.from(bytes.replace('\r\n', `\r\n${line}\r\n`), 'latin1'));
    expect(answer.status).toBe(400);
    expect(answer.body).toContain('idempotency-key: must come once, with 1 to 255 printable ASCII characters.');
    expect([await service.query('SELECT count(*) FROM message'), twilio.asked.length]).toEqual(before);
  });

  test('255 characters are taken, spaces within as well', async () => {
    const text = freshText();
    const first = await send(text, `a ${'k'.repeat(253)}`);
    expect([first.status, (await send(text, `a ${'k'.repeat(253)}`)).json.uuid]).toEqual([200, first.json.uuid]);
    expect((await send(freshText(), '!')).status).toBe(200);
  });
});
