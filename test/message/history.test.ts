import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openDb } from '../../src/db/db.ts';
import { readHistory } from '../../src/message/history.ts';
import { getMessage } from '../../src/message/messages.ts';
import { eventually, startTestService, type TestService, tenant } from '../support/service.ts';
import {
  type Asked,
  type FakeTwilio,
  isCreate,
  newSid,
  type Reply,
  resource,
  sidIn,
  startFakeTwilio,
  twilioAt,
} from '../support/twilio.ts';

/** Digits and words that occur nowhere else: in a history they would come from the patient's message. */
const sender = '+447700900866';
const receiver = '+447700900877';
const canaries = /canary|tweety|7700 ?900 ?8(66|77)/i;
let texts = 0;
const freshText = () => {
  texts += 1;
  return { sender, receiver, content: `Canary ${texts}: Mrs Tweety, your test is on Monday.` };
};

let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService(twilioAt(twilio.url));
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});
beforeEach(() => twilio.answerWith(undefined));

type Told = Record<string, unknown> & { what: string; at: string };

/** The history as a caller sees it: in order, complete enough to read, and without anything of the patient. */
async function historyOf(uuid: string, of = service): Promise<Told[]> {
  const answer = await of.call(`/dhos/v1/sms/${uuid}/events`);
  expect(answer.status).toBe(200);
  expect(answer.text).not.toMatch(canaries);
  const told: Told[] = answer.json;
  const times = told.map(({ at }) => at);
  expect(times).toEqual(times.toSorted());
  for (const one of told) {
    expect(one).toMatchObject({ summary: expect.stringMatching(/^[A-Z].*\.$/) });
    expect(['caller', 'service', 'twilio', 'operator']).toContain(one.actor);
  }
  return told;
}
const stories = async (uuid: string) => (await historyOf(uuid)).map(({ what, summary }) => [what, summary]);

const get = async (uuid: string) => (await service.call(`/dhos/v1/sms/${uuid}`)).json;
const log = (...messages: object[]): Reply => ({ status: 200, body: { messages, next_page_uri: null } });
const listed = (text: ReturnType<typeof freshText>, fields: object = {}) =>
  resource({ body: text.content, from: sender, to: receiver, date_created: new Date().toUTCString(), ...fields });
/** The settle time, or the pause between two looks, is over. */
const hurry = (uuid: string) =>
  service.query("UPDATE message SET due = least(due, now() AT TIME ZONE 'utc') WHERE uuid = $1", [uuid]);
const callBack = (uuid: string, sid: string, MessageStatus: string, more: Record<string, string> = {}, a = 1) =>
  service.callback(
    { MessageSid: sid, MessageStatus, To: receiver, From: sender, ...more },
    { query: `?m=${uuid}&a=${a}` },
  );
/** The text is at Twilio, or not; its answer is lost. */
async function lose(text = freshText(), lists: (asked: Asked) => Reply = () => log()): Promise<string> {
  twilio.answerWith((asked) => (isCreate(asked) ? 'hang up' : lists(asked)));
  const { status, json } = await service.post(text);
  expect(status).toBe(202);
  return json.uuid;
}

const begun = ['attempt begun', 'Attempt 1 to hand it to Twilio began.'];
const recorded = ['recorded', 'The message was recorded.'];
const maybe = ['attempt ended', expect.stringMatching(/^Attempt 1: Twilio may or may not have taken it/)];

describe('the history of a message', () => {
  test('a whole life: recorded, taken, called back, read twice, emptied', async () => {
    const sid = newSid();
    twilio.answerWith((asked) =>
      isCreate(asked)
        ? { status: 201, body: resource({ sid }) }
        : { status: 200, body: resource({ sid, status: 'delivered', body: '' }) },
    );
    const { uuid } = (await service.post(freshText())).json;
    for (const word of ['sent', 'delivered', 'sent', 'a_new_word']) {
      await callBack(uuid, sid, word, { ChannelToAddress: receiver, RawDlrDoneDate: '2611241000' });
    }
    await eventually(async () => (await get(uuid)).redacted);
    const told = await historyOf(uuid);
    expect(told.map(({ what }) => what).filter((what) => what !== 'redacted')).toEqual([
      'recorded',
      'attempt begun',
      'attempt ended',
      ...['callback', 'callback', 'callback', 'callback'],
    ]);
    expect(told[0]).toMatchObject({ actor: 'caller', status_after: 'accepted' });
    expect(told[2]).toMatchObject({
      summary: 'Attempt 1: Twilio took it, as queued.',
      attempt: 1,
      twilio_sid: sid,
      http_status: 201,
    });
    const callbacks = told.filter(({ what }) => what === 'callback');
    expect(callbacks.map((one) => [one.summary, one.status_before, one.status_after])).toEqual([
      ['Twilio called back: sent.', 'queued', 'sent'],
      ['Twilio called back: delivered.', 'sent', 'delivered'],
      ['Twilio called back: sent. It changed nothing.', 'delivered', 'delivered'],
      ['Twilio called back: a_new_word. It changed nothing.', 'delivered', 'delivered'],
    ]);
    for (const { parameters, actor } of callbacks) {
      expect(actor).toBe('twilio');
      expect(parameters).toMatchObject({ MessageSid: sid, RawDlrDoneDate: '2611241000' });
      expect(Object.keys(parameters as object)).not.toContain('To');
    }
    expect(told.filter(({ what }) => what === 'redacted')).toMatchObject([
      { actor: 'service', summary: "Twilio's copy of the text was emptied.", twilio_sid: sid },
    ]);
  });

  test('a refusal: why, in words, with Twilio’s code', async () => {
    twilio.answerWith(() => ({
      status: 400,
      body: { code: 21610, message: `unsubscribed: ${receiver}`, status: 400 },
    }));
    const uuid = (await service.post(freshText())).json.message_id;
    expect(await stories(uuid)).toEqual([
      recorded,
      begun,
      ['attempt ended', 'Attempt 1: Twilio refused it. The receiver has opted out of texts from this sender.'],
    ]);
    expect((await historyOf(uuid))[2]).toMatchObject({ error_code: '21610', http_status: 400 });
  });

  test('an unknown that is found in Twilio’s log', async () => {
    const [text, sid] = [freshText(), newSid()];
    const uuid = await lose(text, () => log(listed(text, { sid, status: 'sent' })));
    await hurry(uuid);
    await eventually(async () => (await get(uuid)).twilio_sid === sid);
    const told = await historyOf(uuid);
    expect(told.map(({ what, summary }) => [what, summary])).toEqual([
      recorded,
      begun,
      ['attempt ended', expect.stringMatching(/^Attempt 1: its answer was lost.*proved later that Twilio took it\.$/)],
      ['found', "It was found in Twilio's log: Twilio has it."],
    ]);
    expect(told.at(-1)).toMatchObject({ status_before: 'accepted', status_after: 'sent', twilio_sid: sid, attempt: 1 });
  });

  test('an unknown that two looks do not find: sent again, and both attempts are told', async () => {
    const [text, sid] = [freshText(), newSid()];
    const uuid = await lose(text);
    await hurry(uuid);
    await eventually(async () => (await historyOf(uuid)).some(({ what }) => what === 'looked'));
    twilio.answerWith((asked) => (isCreate(asked) ? { status: 201, body: resource({ sid }) } : log()));
    await hurry(uuid);
    await eventually(async () => (await get(uuid)).twilio_sid === sid);
    expect(await stories(uuid)).toEqual([
      recorded,
      begun,
      maybe,
      ['looked', "A look at Twilio's log showed nothing; there will be a second one."],
      ['looked', "A second look at Twilio's log showed nothing either: it is sent again."],
      ['attempt begun', 'Attempt 2 to hand it to Twilio began.'],
      ['attempt ended', 'Attempt 2: Twilio took it, as queued.'],
    ]);
  });

  test('a second copy: which SID, of which attempt, and what it means', async () => {
    const [sid, second] = [newSid(), newSid()];
    const uuid = await lose();
    await callBack(uuid, sid, 'sent');
    await callBack(uuid, second, 'queued', {}, 2);
    await callBack(uuid, second, 'sent', {}, 2);
    const told = await historyOf(uuid);
    expect(told.filter(({ what }) => what === 'duplicate')).toMatchObject([
      {
        actor: 'service',
        attempt: 2,
        twilio_sid: second,
        summary: 'Twilio was proved to have a second copy of it: the patient may have got it twice.',
      },
    ]);
    expect((await get(uuid)).twilio_sid).toBe(sid);
    expect(told.filter(({ what }) => what === 'callback').map(({ twilio_sid }) => twilio_sid)).toEqual([
      sid,
      second,
      second,
    ]);
  });

  test('two ends that differ: both callbacks, and what Twilio said when it was asked', async () => {
    const sid = newSid();
    twilio.answerWith((asked) =>
      isCreate(asked)
        ? { status: 201, body: resource({ sid }) }
        : { status: 200, body: resource({ sid: sidIn(asked.path), status: 'delivered', body: 'not emptied' }) },
    );
    const { uuid } = (await service.post(freshText())).json;
    await callBack(uuid, sid, 'undelivered', { ErrorCode: '30003' });
    await callBack(uuid, sid, 'delivered');
    await eventually(async () => (await get(uuid)).status === 'delivered');
    const told = await historyOf(uuid);
    expect(told.filter(({ what }) => what === 'callback').map(({ summary }) => summary)).toEqual([
      'Twilio called back: undelivered. The handset could not be reached: switched off or without signal.',
      'Twilio called back: delivered. It changed nothing.',
    ]);
    expect(told.at(-1)).toMatchObject({
      what: 'fetched',
      summary: 'Twilio was asked and said delivered.',
      status_before: 'undelivered',
      status_after: 'delivered',
    });
  });

  test('what cannot be found out, and what an operator says of it', async () => {
    const text = freshText();
    const uuid = await lose(text, () => log(listed(text, { body: '' })));
    await hurry(uuid);
    await eventually(async () => (await get(uuid)).status === 'unconfirmed');
    await service.call(`/dhos/v1/sms/${uuid}/settle`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"outcome":"not-sent"}',
    });
    const told = await historyOf(uuid);
    expect(told.slice(-2)).toMatchObject([
      {
        what: 'unconfirmed',
        actor: 'service',
        summary: 'It cannot be found out whether Twilio took it. An operator may settle it.',
        status_after: 'unconfirmed',
      },
      {
        what: 'settled',
        actor: 'operator',
        summary: 'An operator settled it: it was not sent.',
        status_after: 'error',
      },
    ]);
  });

  test('a deletion: gone for callers, whole in the tables', async () => {
    const { uuid } = (await service.post(freshText())).json;
    await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: tenant });
    expect((await service.call(`/dhos/v1/sms/${uuid}/events`)).status).toBe(404);
    const db = openDb({ url: service.databaseUrl, poolSize: 1 });
    const message = await getMessage(db, uuid);
    if (message === null) throw new Error('the row is gone');
    const told = await readHistory(db, message);
    await db.close();
    expect(told.at(-1)).toMatchObject({
      what: 'deleted',
      actor: 'caller',
      summary: 'It was deleted: hidden from callers, still followed.',
    });
    expect(JSON.stringify(told)).not.toMatch(canaries);
  });

  test('a row of the Python service, which knows nothing of attempts: it was recorded, and what has come since', async () => {
    const [row] = await service.query<{ uuid: string }>(
      `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, twilio_sid,
                            trustomer_code, product_name)
       VALUES (gen_random_uuid(), now() AT TIME ZONE 'utc', 'x', now(), 'x', $1, $2, 'Canary', 'sent', $3, 'ouh', 'gdm') RETURNING uuid`,
      [sender, receiver, newSid()],
    );
    expect(await stories(String(row?.uuid))).toEqual([recorded]);
  });

  test('of nobody: 404; with a query: 400', async () => {
    expect((await service.call('/dhos/v1/sms/unknown/events')).status).toBe(404);
    expect((await service.call('/dhos/v1/sms/unknown/events?limit=1')).status).toBe(400);
  });
});

test('a life at a Twilio that is alive: in order, and without anything of the patient', async () => {
  const lively = await startTestService({}, { speed: 100 });
  const { uuid } = (await lively.post(freshText())).json;
  await eventually(async () => (await lively.call(`/dhos/v1/sms/${uuid}`)).json.redacted);
  const told = await historyOf(uuid, lively);
  await lively.stop();
  // At this speed callbacks may overtake each other; what they change still goes one way.
  const order = ['accepted', 'queued', 'sending', 'sent', 'delivered'];
  const changes = told.filter(({ status_before, status_after }) => status_before !== status_after);
  const places = changes.map(({ status_after }) => order.indexOf(String(status_after)));
  expect(places).toEqual(places.toSorted());
  expect([places[0], places.at(-1)]).toEqual([0, 4]);
  // A callback that was overtaken may come after it, and changes nothing.
  const end = told.findIndex(
    ({ status_before, status_after }) => status_before !== status_after && status_after === 'delivered',
  );
  expect(told.findIndex(({ what }) => what === 'redacted')).toBeGreaterThan(end);
});
