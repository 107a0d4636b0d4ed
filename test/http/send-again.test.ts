import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { eventually, freshText, quiet, startTestService, type TestService, tenant } from '../support/service.ts';

const again = (service: TestService, uuid: string, headers: Record<string, string> = {}) =>
  service.call(`/dhos/v1/sms/${uuid}/send_again`, { method: 'POST', headers });
const events = async (service: TestService, uuid: string, what: string) =>
  (await service.call(`/dhos/v1/sms/${uuid}/events`)).json.filter((event: { what: string }) => event.what === what);

describe('A message that is sent again', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService({ DUPLICATE_WINDOW_S: '3600' }, { speed: 100 });
  });
  afterAll(() => service.stop());

  const ended = (uuid: string) =>
    eventually(async () => {
      const [row] = await service.query("SELECT status FROM message WHERE uuid = $1 AND status <> 'accepted'", [uuid]);
      return row;
    });
  /** As retention does. */
  const empty = (uuid: string) =>
    service.query(
      "UPDATE message SET content = '', content_emptied = now(), receiver = 'hashed:x', number_emptied = now() WHERE uuid = $1",
      [uuid],
    );

  test('is a new one with the same sender, receiver and text, and both histories say so', async () => {
    const same = freshText();
    const valid_until = new Date(Date.now() + 3_600_000).toISOString();
    const first = (await service.post({ ...same, valid_until })).json;
    const second = await again(service, first.uuid);
    expect([second.status, second.headers.get('x-message-id')]).toEqual([200, second.json.uuid]);
    expect(second.json).toMatchObject({ ...same, trustomer_code: 'ouh', product_name: 'gdm' });
    expect(second.json).not.toHaveProperty('valid_until');
    expect([second.json.uuid, second.json.twilio_sid]).not.toEqual([first.uuid, first.twilio_sid]);
    expect(await events(service, first.uuid, 'sent again')).toMatchObject([
      { actor: 'caller', summary: `A caller had it sent again, as the new message ${second.json.uuid}.` },
    ]);
    expect(await events(service, second.json.uuid, 'repeats')).toMatchObject([
      { summary: `It is the message ${first.uuid} once more, sent again by a caller.` },
    ]);
  });

  test('at leisure is recorded, and sent by the claim loop', async () => {
    const first = (await service.post(freshText())).json;
    const second = await again(service, first.uuid, { prefer: 'respond-async' });
    expect([second.status, second.headers.get('preference-applied')]).toEqual([202, 'respond-async']);
    expect(second.headers.get('location')).toBe(`/dhos/v1/sms/${second.json.uuid}`);
    await eventually(async () => (await service.call(`/dhos/v1/sms/${second.json.uuid}`)).json.twilio_sid);
  });

  test.each([
    ['000', 'delivered', 200],
    ['990', 'undelivered', 200],
    ['993', 'failed', 200],
    ['994', 'sent', 200],
    ['995', 'error', 422],
    ['996', 'error', 422],
    ['997', 'error', 422],
  ])('to +447700900%s, where it ended as %s, is one message per key: %i', async (digits, status, answered) => {
    const posted = await service.post({ ...freshText(), receiver: `+447700900${digits}` });
    const uuid = posted.json.uuid ?? posted.json.message_id;
    await eventually(async () => (await ended(uuid))?.status === status);
    const key = { 'idempotency-key': randomUUID() };
    const [one, two] = await Promise.all([again(service, uuid, key), again(service, uuid, key)]);
    const three = await again(service, uuid, key);
    const idOf = ({ json }: typeof one) => json.uuid ?? json.message_id;
    expect([one.status, two.status, three.status]).toEqual([answered, answered, answered]);
    expect(new Set([idOf(one), idOf(two), idOf(three)]).size).toBe(1);
    expect(idOf(one)).not.toBe(uuid);
    expect(three.headers.get('idempotency-replayed')).toBe('true');
    expect(await events(service, uuid, 'sent again')).toHaveLength(1);
    expect(
      await service.query('SELECT FROM message m JOIN message o USING (text_hash) WHERE o.uuid = $1', [uuid]),
    ).toHaveLength(2);
  });

  test.each([
    ['deleted', (uuid: string) => service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: tenant }), 404],
    [
      'erased',
      (uuid: string) => service.call(`/dhos/v1/sms/${uuid}?erase=true`, { method: 'DELETE', headers: tenant }),
      404,
    ],
    ['emptied', empty, 409],
  ] as const)(
    'and was then %s: the same request is the same new message, any other is refused',
    async (_how, end, status) => {
      const first = (await service.post(freshText())).json;
      const key = { 'idempotency-key': randomUUID() };
      const second = await again(service, first.uuid, key);
      await eventually(async () => (await ended(first.uuid))?.status === 'delivered');
      await end(first.uuid);
      for (const headers of [key, { ...key, prefer: 'respond-async' }]) {
        const repeated = await again(service, first.uuid, headers);
        expect([repeated.status, repeated.json.uuid, repeated.json.twilio_sid]).toEqual([
          200,
          second.json.uuid,
          second.json.twilio_sid,
        ]);
        expect(repeated.headers.get('idempotency-replayed')).toBe('true');
        expect(repeated.headers.get('preference-applied')).toBe('prefer' in headers ? 'respond-async' : null);
      }
      for (const headers of [{}, { 'idempotency-key': randomUUID() }]) {
        expectProblem(await again(service, first.uuid, headers), status, /./);
      }
      const other = (await service.post(freshText())).json;
      expectProblem(await again(service, other.uuid, key), 422, /stands for another request/);
      expect(await events(service, second.json.uuid, 'repeats')).toHaveLength(1);
    },
  );

  test('where Twilio has too many requests is not sent, its key is free, and a note stands for each try', async () => {
    const posted = await service.post({ ...freshText(), receiver: '+447700900998' });
    const key = { 'idempotency-key': randomUUID() };
    const one = await again(service, posted.json.message_id, key);
    const two = await again(service, posted.json.message_id, key);
    expect([one.status, two.status]).toEqual([503, 503]);
    expect(two.json.message_id).not.toBe(one.json.message_id);
    expect(await events(service, posted.json.message_id, 'sent again')).toHaveLength(2);
  });

  test('with the key of a POST, or of another message, is neither of them', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const first = (await service.post(freshText(), { ...tenant, ...key })).json;
    const second = await again(service, first.uuid, key);
    expect([second.status, second.json.uuid === first.uuid]).toEqual([200, false]);
    const other = (await service.post(freshText())).json;
    expectProblem(await again(service, other.uuid, key), 422, /stands for another request/);
  });

  test('is noted again by the repeat of a request whose note was lost', async () => {
    const first = (await service.post(freshText())).json;
    const key = { 'idempotency-key': randomUUID() };
    const second = (await again(service, first.uuid, key)).json;
    await service.query("DELETE FROM event WHERE kind IN ('sent again', 'repeats')");
    await again(service, first.uuid, key);
    expect(await events(service, first.uuid, 'sent again')).toHaveLength(1);
    expect(await events(service, second.uuid, 'repeats')).toHaveLength(1);
  });
});

describe('What is not sent again', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
  });
  afterAll(() => service.stop());

  const send = async () => (await service.post(freshText(), (await key()).bearer)).json.uuid as string;
  const key = (scopes?: ('sms:send' | 'sms:read:content')[], trust = 'ouh') =>
    createKey(service.databaseUrl, { tenant: { ...ouh, trustomerCode: trust }, ...(scopes && { scopes }) });

  test.each([
    ['its text is emptied', "content = '', content_emptied = now()", /^Its text is emptied here/],
    ['its number is emptied', "receiver = 'hashed:x', number_emptied = now()", /^Its number is emptied here/],
    ['nobody knows whether Twilio has it', "unresolved = true, step = 'resolve'", /is being found out/],
    ['it waits to be sent', "step = 'send', due = now() + interval '1 day'", /^It is still to be sent/],
    ['its number is none', "receiver = 'nobody'", /not one that can be sent to/],
  ])('409 where %s, and nothing is recorded', async (_why, change, reason) => {
    const uuid = await send();
    await service.query(`UPDATE message SET ${change} WHERE uuid = $1`, [uuid]);
    const [before] = await service.query('SELECT count(*) FROM message');
    expectProblem(await again(service, uuid, (await key()).bearer), 409, reason);
    expect(await service.query('SELECT count(*) FROM message')).toEqual([before]);
    await service.query('UPDATE message SET step = NULL, due = NULL, unresolved = false WHERE uuid = $1', [uuid]);
  });

  test('404 for another tenant, for a deleted message and for none', async () => {
    const uuid = await send();
    const deleted = await send();
    await service.call(`/dhos/v1/sms/${deleted}`, { method: 'DELETE', headers: (await key()).bearer });
    expectProblem(await again(service, deleted, (await key()).bearer), 404, /no such message/);
    expectProblem(await again(service, uuid, (await key(undefined, 'other')).bearer), 404, /no such message/);
    expectProblem(await again(service, randomUUID(), (await key()).bearer), 404, /no such message/);
  });

  test('404 for another tenant also with the key of the one who sent it again, and 409 once the new one is deleted', async () => {
    const uuid = await send();
    const idempotency = { 'idempotency-key': randomUUID() };
    const second = await again(service, uuid, { ...(await key()).bearer, ...idempotency });
    const stranger = { ...(await key(undefined, 'other')).bearer, ...idempotency };
    expectProblem(await again(service, uuid, stranger), 404, /no such message/);
    await service.call(`/dhos/v1/sms/${second.json.uuid}`, { method: 'DELETE', headers: (await key()).bearer });
    const repeated = await again(service, uuid, { ...(await key()).bearer, ...idempotency });
    expectProblem(repeated, 409, /stands for was deleted/);
  });

  test('in clear for who may only send: masked; who may read as well sees it', async () => {
    const uuid = await send();
    const sent = await again(service, uuid, (await key(['sms:send'])).bearer);
    expect(sent.json).toMatchObject({ content: '[masked]', receiver: '****0123' });
    const seen = await again(service, uuid, (await key(['sms:send', 'sms:read:content'])).bearer);
    expect(seen.json.receiver).toBe('+447700900123');
    const audited = await service.query('SELECT action FROM audit WHERE message_uuid = $1', [seen.json.uuid]);
    expect(audited).toEqual([{ action: 'sent' }]);
  });
});

test('A daily cap refuses it as it refuses any message', async () => {
  await using service = Object.assign(await startTestService({ ...quiet, DAILY_CAP: '1' }), {
    [Symbol.asyncDispose]: async () => service.stop(),
  });
  const first = (await service.post(freshText())).json;
  expectProblem(await again(service, first.uuid), 429, /./);
  expect(await events(service, first.uuid, 'sent again')).toEqual([]);
});
