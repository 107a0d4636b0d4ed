import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openDb } from '../../src/db/db.ts';
import { readHashKey } from '../../src/db/installation.ts';
import { type KeyedHash, makeKeyedHash } from '../../src/message/keyed-hash.ts';
import { canaries, canaryText, placesWith, RECEIVER, SENDER } from '../support/canaries.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, startTestService, type TestService, tenant } from '../support/service.ts';
import { type FakeTwilio, healthy, isCreate, newSid, resource, startFakeTwilio, twilioAt } from '../support/twilio.ts';

let twilio: FakeTwilio;
let service: TestService;
let hash: KeyedHash;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService(twilioAt(twilio.url));
  const db = openDb({ url: service.databaseUrl, poolSize: 1 });
  hash = makeKeyedHash(await readHashKey(db));
  await db.close();
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});
beforeEach(async () => {
  twilio.answerWith(undefined);
  await service.query('TRUNCATE message, attempt, callback, event, duplicate_handover, idempotency_key');
});

const freshText = () => ({ sender: SENDER, receiver: RECEIVER, content: canaryText() });
const erase = (uuid: string, headers: Record<string, string> = tenant, query = '?erase=true') =>
  service.call(`/dhos/v1/sms/${uuid}${query}`, { method: 'DELETE', headers });
const remove = (uuid: string) => erase(uuid, tenant, '');
const rowOf = async (uuid: string) =>
  (await service.query<Record<string, unknown>>('SELECT * FROM message WHERE uuid = $1', [uuid]))[0];
const everything = async () => {
  const tables = ['message', 'attempt', 'callback', 'event', 'idempotency_key'];
  return Promise.all(tables.map((table) => service.query(`SELECT * FROM ${table} ORDER BY 1`)));
};
async function send(text: object = freshText(), headers: Record<string, string> = tenant) {
  const { status, json } = await service.post(text, headers);
  expect(status).toBe(200);
  return { uuid: String(json.uuid), sid: String(json.twilio_sid) };
}

describe('DELETE ?erase=true', () => {
  test('empties text, number and raw callbacks at once, and answers the message as it is now', async () => {
    const { uuid, sid } = await send({ ...freshText(), error_message: 'Tweety', error_code: 'tweety' });
    const fields = {
      MessageSid: sid,
      MessageStatus: 'undelivered',
      ErrorCode: '30003',
      ErrorMessage: `${RECEIVER} is off`,
    };
    await service.callback({ ...fields, Unknown: 'Mrs Tweety' });
    const answer = await erase(uuid);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      uuid,
      content: '',
      receiver: `hashed:${hash('number', [RECEIVER])}`,
      status: 'undelivered',
      error_code: '30003',
      deleted: expect.any(String),
      content_emptied: expect.any(String),
      number_emptied: expect.any(String),
    });
    expect(answer.text).not.toMatch(canaries);
    expect(await placesWith(service, canaries)).toEqual([]);
    const told = await service.query('SELECT kind, actor, details FROM event WHERE message_uuid = $1 ORDER BY id', [
      uuid,
    ]);
    expect(told.slice(-2)).toEqual([
      { kind: 'deleted', actor: 'caller', details: {} },
      { kind: 'emptied', actor: 'caller', details: { what: 'text and number', why: 'erase' } },
    ]);
  });

  test('afterwards it is 404 everywhere, also for a second erase, and counts no more', async () => {
    const { uuid } = await send();
    await erase(uuid);
    const before = await everything();
    for (const answer of [
      await service.call(`/dhos/v1/sms/${uuid}`),
      await service.call(`/dhos/v1/sms/${uuid}/events`),
      await erase(uuid),
      await remove(uuid),
    ]) {
      expect(answer.status).toBe(404);
    }
    expect((await service.call('/dhos/v1/sms', { headers: tenant })).json).toEqual([]);
    expect(await everything()).toEqual(before);
  });

  test('a message that was deleted earlier may still be erased by its tenant', async () => {
    const { uuid } = await send();
    const deleted = (await remove(uuid)).json.deleted;
    const stranger = await erase(uuid, { 'x-trustomer': 'other', 'x-product': 'gdm' });
    expect(stranger.status).toBe(404);
    const answer = await erase(uuid);
    expect(answer.json).toMatchObject({ content: '', deleted });
    expect(await placesWith(service, canaries)).toEqual([]);
  });

  test.each([
    ['trust', { 'x-trustomer': 'other', 'x-product': 'gdm' }],
    ['product', { 'x-trustomer': 'ouh', 'x-product': 'other' }],
  ])("of another %s's message: 403, and nothing is changed", async (_whose, headers) => {
    const { uuid } = await send();
    const before = await everything();
    expect((await erase(uuid, headers)).status).toBe(403);
    expect(await everything()).toEqual(before);
  });

  test('of an id that nobody knows: 404', async () => {
    expect((await erase('nobody-knows-this')).status).toBe(404);
  });

  test.each(['?erase=', '?erase=1', '?erase=TRUE', '?erase=yes', '?erase=true&erase=true', '?eraze=true'])(
    '%s: 400, and nothing is changed',
    async (query) => {
      const { uuid } = await send();
      const before = await everything();
      const answer = await erase(uuid, tenant, query);
      expect([answer.status, answer.json.detail]).toEqual([400, expect.stringContaining('era')]);
      expect(await everything()).toEqual(before);
    },
  );

  test('?erase=false is a plain deletion', async () => {
    const { uuid } = await send();
    const answer = await erase(uuid, tenant, '?erase=false');
    expect([answer.status, answer.json.receiver]).toEqual([200, RECEIVER]);
    expect(answer.json).not.toHaveProperty('content_emptied');
  });

  test('without tenant headers: 400', async () => {
    const { uuid } = await send();
    expect((await erase(uuid, {})).status).toBe(400);
  });

  test('while Twilio may or may not have it: 409, and nothing is changed; erased once that is known', async () => {
    twilio.answerWith((asked) => (isCreate(asked) ? 'hang up' : { status: 500, body: {} }));
    const lost = await service.post(freshText());
    expect(lost.status).toBe(202);
    const { uuid } = lost.json;
    const before = await everything();
    const answer = await erase(uuid);
    expect(answer.status).toBe(409);
    expect(answer.text).not.toMatch(canaries);
    expect(await everything()).toEqual(before);
    await service.callback({ MessageSid: newSid(), MessageStatus: 'delivered' }, { query: `?m=${uuid}&a=1` });
    expect((await erase(uuid)).status).toBe(200);
  });

  test.each(['resolve', 'look back'])('at step %s: 409, and nothing is changed', async (step) => {
    const { uuid } = await send();
    await service.query(
      "UPDATE message SET step = $2, due = now() AT TIME ZONE 'utc' + interval '1 day' WHERE uuid = $1",
      [uuid, step],
    );
    const before = await everything();
    expect((await erase(uuid)).status).toBe(409);
    expect(await everything()).toEqual(before);
  });

  test('one whose two ends are being verified is erased: that needs its SID only', async () => {
    const { uuid } = await send();
    await service.query("UPDATE message SET step = 'verify', due = 'infinity' WHERE uuid = $1", [uuid]);
    expect((await erase(uuid)).status).toBe(200);
    expect(await rowOf(uuid)).toMatchObject({ step: 'verify', content: '' });
  });

  test('one that waits to be sent is cancelled and erased, and never sent', async () => {
    // Creates alone: a redaction of an earlier test that is refused so would keep those of later ones waiting as long.
    const busy = { status: 429, body: { code: 20429, message: 'busy' }, headers: { 'retry-after': '60' } };
    twilio.answerWith((asked) => (isCreate(asked) ? busy : healthy(asked)));
    const text = freshText();
    const waiting = await service.post(text, { ...tenant, prefer: 'respond-async' });
    const { uuid } = waiting.json;
    await eventually(async () => {
      const row = await rowOf(uuid);
      return row?.step === 'send' && Number(row.attempts) > 0;
    });
    const tried = twilio.asked.length;
    twilio.answerWith(undefined);
    const answer = await erase(uuid);
    expect(answer.json).toMatchObject({ status: 'canceled', content: '' });
    await service.query("UPDATE message SET due = now() AT TIME ZONE 'utc' WHERE due IS NOT NULL");
    const next = await send();
    expect(next.sid).toMatch(/^SM/);
    expect(twilio.asked.slice(tried).filter(({ form }) => form.Body === text.content)).toEqual([]);
    expect(await rowOf(uuid)).toMatchObject({ step: null, status: 'canceled' });
  });

  test('a row of the platform is erased by the hash of its number in E.164', async () => {
    const { uuid } = await insertOriginalRow(service, { receiver: '07700 900877', content: canaryText() });
    expect((await erase(uuid)).json.receiver).toBe(`hashed:${hash('number', [RECEIVER])}`);
    expect(await placesWith(service, canaries)).toEqual([]);
  });

  test('its idempotency key is answered 409 afterwards, as that of any deleted message, and nothing is sent', async () => {
    const text = freshText();
    const headers = { ...tenant, 'idempotency-key': 'erase-1' };
    const { uuid } = await send(text, headers);
    await erase(uuid);
    const creates = twilio.asked.filter(isCreate).length;
    expect((await service.post(text, headers)).status).toBe(409);
    expect(twilio.asked.filter(isCreate)).toHaveLength(creates);
  });

  test('it is followed and redacted all the same: a late callback moves its status', async () => {
    const { uuid, sid } = await send();
    await erase(uuid);
    expect((await service.callback({ MessageSid: sid, MessageStatus: 'delivered' })).status).toBe(204);
    expect(await eventually(async () => ((await rowOf(uuid))?.redacted ? rowOf(uuid) : null))).toMatchObject({
      status: 'delivered',
      content: '',
    });
  });

  test('two at once: one of them erases, the other finds nothing', async () => {
    const { uuid } = await send();
    const answers = await Promise.all([erase(uuid), erase(uuid)]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 404]);
    const told = await service.query("SELECT id FROM event WHERE message_uuid = $1 AND kind = 'emptied'", [uuid]);
    expect(told).toHaveLength(1);
  });

  test('it is counted as a metric, and neither logged nor named by it', async () => {
    const { uuid } = await send();
    const before = /sms_emptied_total\{what="text"\} (\d+)/.exec((await service.call('/metrics')).text)?.[1] ?? '0';
    await erase(uuid);
    const metrics = (await service.call('/metrics')).text;
    expect(metrics).toContain(`sms_emptied_total{what="text"} ${Number(before) + 1}`);
    expect(service.logged()).not.toMatch(canaries);
  });
});

test('a create that Twilio answers after the erase was refused completes the message', async () => {
  let answer: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    answer = resolve;
  });
  twilio.answerWith(async (asked) => {
    if (isCreate(asked)) await held;
    return { status: 201, body: resource() };
  });
  const posting = service.post(freshText());
  const uuid = await eventually(
    async () => (await service.query<{ uuid: string }>('SELECT uuid FROM message'))[0]?.uuid,
  );
  expect((await erase(uuid)).status).toBe(409);
  answer();
  expect((await posting).json).toMatchObject({ uuid, content: expect.stringMatching(canaries) });
  expect((await erase(uuid)).status).toBe(200);
});
