import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { eventually, freshText, startTestService, type TestService, tenant } from '../support/service.ts';
import { type FakeTwilio, isCreate, newSid, resource, startFakeTwilio, twilioAt } from '../support/twilio.ts';

let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), AMBIGUOUS_SEND: 'never-resend' });
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});
beforeEach(() => twilio.answerWith(undefined));

const get = async (uuid: string) => (await service.call(`/dhos/v1/sms/${uuid}`)).json;
const settle = (uuid: string, body: unknown = { outcome: 'sent' }, type = 'application/json') =>
  service.call(`/dhos/v1/sms/${uuid}/settle`, {
    method: 'POST',
    headers: { 'content-type': type },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

/** The answer to its create is lost, and Twilio's log holds an emptied text that could be this one. */
async function unconfirmed(): Promise<string> {
  const text = freshText();
  const emptied = resource({ body: '', from: text.sender, to: text.receiver, date_created: new Date().toUTCString() });
  twilio.answerWith((asked) =>
    isCreate(asked) ? 'hang up' : { status: 200, body: { messages: [emptied], next_page_uri: null } },
  );
  const { status, json } = await service.post(text);
  expect(status).toBe(202);
  // The settle time is over.
  await service.query("UPDATE message SET due = due - interval '1 hour' WHERE uuid = $1", [json.uuid]);
  await eventually(async () => (await get(json.uuid)).status === 'unconfirmed');
  twilio.answerWith(undefined);
  return json.uuid;
}

const events = async (uuid: string) => (await service.call(`/dhos/v1/sms/${uuid}/events`)).json;
const callback = (uuid: string, MessageStatus: string) =>
  service.callback({ MessageSid: newSid(), MessageStatus }, { query: `?m=${uuid}&a=1` });

describe('an operator settles what could not be found out', () => {
  test('as sent: 200 with the message, and the history says who said so', async () => {
    const uuid = await unconfirmed();
    const answer = await settle(uuid, { outcome: 'sent' });
    expect([answer.status, answer.json.uuid, answer.json.status]).toEqual([200, uuid, 'sent']);
    expect(answer.json).not.toHaveProperty('error_message');
    expect(await get(uuid)).toEqual(answer.json);
    expect((await events(uuid)).at(-1)).toMatchObject({
      what: 'settled',
      actor: 'operator',
      summary: 'An operator settled it: it was sent.',
      status_before: 'unconfirmed',
      status_after: 'sent',
    });
  });

  test('as not sent: error, with its reason, and it is not sent after that', async () => {
    const uuid = await unconfirmed();
    const creates = twilio.asked.filter(isCreate).length;
    const answer = await settle(uuid, { outcome: 'not-sent' });
    expect([answer.status, answer.json.status]).toEqual([200, 'error']);
    expect(answer.json.error_message).toBe('An operator found that it was not sent.');
    expect((await events(uuid)).at(-1)).toMatchObject({ what: 'settled', status_after: 'error' });
    expect(twilio.asked.filter(isCreate).length).toBe(creates);
  });

  test.each(['sent', 'not-sent'])('evidence still wins over %s', async (outcome) => {
    const uuid = await unconfirmed();
    await settle(uuid, { outcome });
    expect((await callback(uuid, 'delivered')).status).toBe(204);
    const found = await get(uuid);
    expect(found).toMatchObject({ status: 'delivered', twilio_sid: expect.stringMatching(/^SM/) });
    expect(found).not.toHaveProperty('error_message');
  });

  test('evidence that something went wrong wins over “sent” as well', async () => {
    const uuid = await unconfirmed();
    await settle(uuid, { outcome: 'sent' });
    await service.callback(
      { MessageSid: newSid(), MessageStatus: 'undelivered', ErrorCode: '30003' },
      { query: `?m=${uuid}&a=1` },
    );
    expect(await get(uuid)).toMatchObject({ status: 'undelivered', error_code: '30003' });
  });

  test('any word of Twilio’s wins over “not sent”: it was', async () => {
    const uuid = await unconfirmed();
    await settle(uuid, { outcome: 'not-sent' });
    await callback(uuid, 'queued');
    const found = await get(uuid);
    expect(found.status).toBe('queued');
    expect(found).not.toHaveProperty('error_message');
  });
});

describe('what cannot be settled', () => {
  const onlyUnconfirmed = 'Only an unconfirmed message can be settled.';

  test('what is settled already: 409, and the first word stays', async () => {
    const uuid = await unconfirmed();
    await settle(uuid, { outcome: 'sent' });
    expectProblem(await settle(uuid, { outcome: 'not-sent' }), 409, onlyUnconfirmed);
    expect((await get(uuid)).status).toBe('sent');
  });

  test('two operators at once: one is believed, the other is told', async () => {
    const uuid = await unconfirmed();
    const answers = await Promise.all([settle(uuid, { outcome: 'sent' }), settle(uuid, { outcome: 'not-sent' })]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409]);
    const told = (await events(uuid)).filter(({ what }: { what: string }) => what === 'settled');
    expect(told).toHaveLength(1);
    expect((await get(uuid)).status).toBe(told[0].status_after);
  });

  test('what Twilio has, and what it refused: 409', async () => {
    const taken = (await service.post(freshText())).json.uuid;
    twilio.answerWith(() => ({ status: 400, body: { code: 21610, message: 'words', status: 400 } }));
    const refused = (await service.post(freshText())).json.message_id;
    for (const uuid of [taken, refused]) {
      const before = await get(uuid);
      expectProblem(await settle(uuid), 409, onlyUnconfirmed);
      expect(await get(uuid)).toEqual(before);
    }
  });

  test('what Twilio has told about meanwhile: 409', async () => {
    const uuid = await unconfirmed();
    await callback(uuid, 'sent');
    expectProblem(await settle(uuid, { outcome: 'not-sent' }), 409, onlyUnconfirmed);
    expect((await get(uuid)).status).toBe('sent');
  });

  test('what nobody recorded, or is deleted: 404', async () => {
    const uuid = await unconfirmed();
    await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: tenant });
    for (const id of [uuid, randomUUID(), 'unknown', 'x'.repeat(300), '%00']) {
      expectProblem(await settle(id), 404, 'There is no such message.');
    }
  });
});

describe('a settlement that is wrong', () => {
  test.each<[string, unknown, RegExp]>([
    ['another outcome', { outcome: 'delivered' }, /^outcome: must be sent or not-sent/],
    ['an outcome of another type', { outcome: true }, /^outcome: must be sent or not-sent/],
    ['no outcome', {}, /^outcome: must be sent or not-sent/],
    ['more than an outcome', { outcome: 'sent', status: 'delivered' }, /^Unknown: status\./],
    ['no object', ['sent'], /a JSON object is expected/],
    ['no JSON', '{"outcome":', /^The body is not valid JSON\.$/],
  ])('%s: 400, and nothing is changed', async (_name, body, detail) => {
    const uuid = (await service.post(freshText())).json.uuid;
    const before = await get(uuid);
    expectProblem(await settle(uuid, body), 400, detail);
    expect(await get(uuid)).toEqual(before);
  });

  test('a body of another type: 415; a query that nobody knows: 400; another method: 405', async () => {
    const uuid = randomUUID();
    expect((await settle(uuid, 'outcome=sent', 'application/x-www-form-urlencoded')).status).toBe(415);
    const asked = await service.call(`/dhos/v1/sms/${uuid}/settle?force=1`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"outcome":"sent"}',
    });
    expectProblem(asked, 400, /^Unknown: force\.$/);
    const got = await service.call(`/dhos/v1/sms/${uuid}/settle`);
    expect([got.status, got.headers.get('allow')]).toEqual([405, 'POST']);
  });
});
