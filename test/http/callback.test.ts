import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, startTestService, type TestService, text } from '../support/service.ts';
import { type FakeTwilio, isCreate, newSid, resource, startFakeTwilio, twilioAt } from '../support/twilio.ts';

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

const get = async (uuid: string) => (await service.call(`/dhos/v1/sms/${uuid}`)).json;
const bulkUpdate = () => service.call('/dhos/v1/sms/bulk_update', { method: 'POST' });
const callback = (MessageSid: string, MessageStatus: string, more: Record<string, string> = {}) =>
  service.callback({ MessageSid, MessageStatus, ...more });
const kept = (sid: string) =>
  service.query<{ message_uuid: string | null; message_status: string; parameters: Record<string, string> }>(
    'SELECT message_uuid, message_status, parameters FROM callback WHERE twilio_sid = $1 ORDER BY id',
    [sid],
  );

/** A message that Twilio may have: its answer was lost, so the row has no SID. */
async function sendWithoutAnswer(): Promise<string> {
  twilio.answerWith(() => 'hang up');
  const { status, json } = await service.post(text);
  twilio.answerWith(undefined);
  expect([status, json.twilio_sid]).toEqual([202, undefined]);
  return json.uuid;
}

describe('Endpoints of the mission: POST /dhos/v1/sms/callback', () => {
  test('204 without a body, and the message has the status', async () => {
    const { json } = await service.post(text);
    const answer = await callback(json.twilio_sid, 'sent', { AccountSid: 'ACtest' });
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(await get(json.uuid)).toEqual({ ...json, status: 'sent', modified: expect.any(String) });
  });

  test.each([
    'accepted',
    'scheduled',
    'queued',
    'sending',
    'sent',
    'delivered',
    'undelivered',
    'failed',
    'canceled',
    'read',
  ])('Twilio’s word %s is passed on as it is', async (word) => {
    const { uuid, sid } = await insertOriginalRow(service, { status: null });
    expect((await callback(sid, word)).status).toBe(204);
    expect((await get(uuid)).status).toBe(word);
  });

  test('ErrorCode comes with words of ours, and Twilio’s own win', async () => {
    const one = await insertOriginalRow(service);
    await callback(one.sid, 'undelivered', { ErrorCode: '30006' });
    expect(await get(one.uuid)).toMatchObject({
      status: 'undelivered',
      error_code: '30006',
      error_message: 'The receiver is a landline, or its carrier takes no texts.',
    });
    const two = await insertOriginalRow(service);
    await callback(two.sid, 'failed', { ErrorCode: '99999' });
    expect(await get(two.uuid)).toMatchObject({ status: 'failed', error_code: '99999' });
    expect(await get(two.uuid)).not.toHaveProperty('error_message');
  });

  // It rests on a bound in real time, 100 ms, which a busy machine may miss.
  test('a GET right after an acknowledged final callback shows redacted', { retry: 3 }, async () => {
    for (const word of ['delivered', 'undelivered', 'failed', 'canceled']) {
      const { json } = await service.post(text);
      await callback(json.twilio_sid, word);
      const found = await get(json.uuid);
      expect(found).toMatchObject({ status: word, content: text.content });
      expect(found.redacted).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(twilio.asked.at(-1)).toMatchObject({
        method: 'POST',
        path: `/2010-04-01/Accounts/ACtest/Messages/${json.twilio_sid}.json`,
        form: { Body: '' },
      });
    }
  });

  test('the acknowledgement does not wait for a Twilio that takes its time', async () => {
    const { json } = await service.post(text);
    const redaction = Promise.withResolvers<void>();
    twilio.answerWith(async () => {
      await redaction.promise;
      return { status: 200, body: resource({ sid: json.twilio_sid, status: 'delivered' }) };
    });
    expect((await callback(json.twilio_sid, 'delivered')).status).toBe(204);
    expect(await get(json.uuid)).not.toHaveProperty('redacted');
    twilio.answerWith(undefined);
    redaction.resolve();
    await eventually(async () => (await get(json.uuid)).redacted);
  });

  test('a deleted message is still followed and redacted', async () => {
    const { uuid, sid } = await insertOriginalRow(service, { deleted: '2026-01-01 00:00:00' });
    await callback(sid, 'delivered');
    const [row] = await service.query('SELECT status, redacted IS NULL AS open FROM message WHERE uuid = $1', [uuid]);
    expect(row).toEqual({ status: 'delivered', open: false });
  });
});

describe('Callbacks are joined to their message', () => {
  test('by our id in the query, when the message has no SID yet: it gets one', async () => {
    const uuid = await sendWithoutAnswer();
    const sid = newSid();
    const answer = await service.callback({ MessageSid: sid, MessageStatus: 'sent' }, { query: `?m=${uuid}&a=1` });
    expect(answer.status).toBe(204);
    expect(await get(uuid)).toMatchObject({ status: 'sent', twilio_sid: sid });
    expect(await kept(sid)).toMatchObject([{ message_uuid: uuid }]);
  });

  test('by SID, when the query carries no id', async () => {
    const { json } = await service.post(text);
    await callback(json.twilio_sid, 'sending');
    expect((await get(json.uuid)).status).toBe('sending');
  });

  test('the SID decides where it and our id disagree', async () => {
    const [one, two] = [(await service.post(text)).json, (await service.post(text)).json];
    const fields = { MessageSid: one.twilio_sid, MessageStatus: 'sent' };
    await service.callback(fields, { query: `?m=${two.uuid}&a=1` });
    expect([(await get(one.uuid)).status, (await get(two.uuid)).status]).toEqual(['sent', 'queued']);
  });

  test('a second SID for a message that has one changes nothing, is kept, counted and logged: Twilio has it twice', async () => {
    const { json } = await service.post(text);
    const sid = newSid();
    const query = `?m=${json.uuid}&a=1`;
    expect((await service.callback({ MessageSid: sid, MessageStatus: 'failed' }, { query })).status).toBe(204);
    expect(await get(json.uuid)).toEqual(json);
    expect(await kept(sid)).toMatchObject([{ message_uuid: json.uuid, message_status: 'failed' }]);
    const seconds = await service.query('SELECT twilio_sid, attempt FROM duplicate_handover WHERE message_uuid = $1', [
      json.uuid,
    ]);
    expect(seconds).toEqual([{ twilio_sid: sid, attempt: 1 }]);
    expect((await service.call('/metrics')).text).toMatch(/^sms_duplicate_handover_total 1$/m);
    expect(service.logged()).toMatch(new RegExp(`"level":"ERROR".*"twilioSid":"${sid}".*second copy`));
  });

  test.each([
    ['an unknown id', 'm=90422bdb-077e-4c62-8dfe-315ba3cea0ce&a=1'],
    ['no id', 'm=&a=1'],
    ['an id that no column holds', `m=${'x'.repeat(300)}`],
    ['NUL', 'm=a%00b&a=1'],
    ['bytes that are no UTF-8', 'm=%FF&a=%FF'],
    ['parameters nobody knew', 'colour=red'],
  ])('%s in the query does no harm: 204, kept', async (_what, query) => {
    const sid = newSid();
    const answer = await service.callback({ MessageSid: sid, MessageStatus: 'sent' }, { query: `?${query}` });
    expect([answer.status, (await kept(sid)).length]).toEqual([204, 1]);
  });

  test('one that outruns the answer to the create counts, with our id or without', async () => {
    for (const withId of [true, false]) {
      const sid = newSid();
      twilio.answerWith(async (asked) => {
        if (!isCreate(asked)) return { status: 200, body: resource({ sid }) };
        const query = withId ? new URL(asked.form.StatusCallback ?? '').search : '';
        await service.callback({ MessageSid: sid, MessageStatus: 'sent' }, { query });
        return { status: 201, body: resource({ sid }) };
      });
      const { status, json } = await service.post(text);
      twilio.answerWith(undefined);
      expect([status, json.twilio_sid, json.status]).toEqual([200, sid, 'sent']);
      expect(await kept(sid)).toMatchObject([{ message_uuid: json.uuid }]);
    }
  });
});

describe('Edges: callback for a SID nobody knows, signed', () => {
  test('204, kept, and joined when its message turns up', async () => {
    const sid = newSid();
    for (const word of ['sent', 'delivered', 'queued']) expect((await callback(sid, word)).status).toBe(204);
    expect((await kept(sid)).map((one) => one.message_uuid)).toEqual([null, null, null]);

    const { uuid } = await insertOriginalRow(service, { twilio_sid: sid, status: 'queued' });
    expect((await bulkUpdate()).status).toBe(204);
    expect(await get(uuid)).toMatchObject({ status: 'delivered', redacted: expect.any(String) });
    expect((await kept(sid)).map((one) => one.message_uuid)).toEqual([uuid, uuid, uuid]);
  });

  test('it is told to nobody and harms nobody while it waits', async () => {
    const before = await service.query('SELECT * FROM message ORDER BY uuid');
    await callback(newSid(), 'delivered');
    expect(await service.query('SELECT * FROM message ORDER BY uuid')).toEqual(before);
  });
});

describe('Edges: callback out of order', () => {
  const ranks = ['queued', 'sending', 'sent', 'delivered'];

  test.each(permutations(ranks))('%s, %s, %s, %s ends delivered and never goes back', async (...order) => {
    const { uuid, sid } = await insertOriginalRow(service, { status: 'accepted' });
    let highest = -1;
    for (const word of order) {
      await callback(sid, word);
      highest = Math.max(highest, ranks.indexOf(word));
      expect((await get(uuid)).status).toBe(ranks[highest]);
    }
    expect((await get(uuid)).status).toBe('delivered');
  });

  test.each(['delivered', 'undelivered', 'failed', 'canceled'])('nothing but read follows %s', async (terminal) => {
    const { uuid, sid } = await insertOriginalRow(service);
    await callback(sid, terminal);
    const ended = await get(uuid);
    const others = ['queued', 'sent', 'delivered', 'undelivered', 'failed', 'canceled'].filter((w) => w !== terminal);
    for (const word of others) expect((await callback(sid, word, { ErrorCode: '30003' })).status).toBe(204);
    expect(await get(uuid)).toEqual(ended);
    await callback(sid, 'read');
    expect((await get(uuid)).status).toBe('read');
  });

  test('all at once end alike', async () => {
    const { uuid, sid } = await insertOriginalRow(service, { status: 'accepted' });
    const answers = await Promise.all([...ranks, ...ranks].map((word) => callback(sid, word)));
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(204));
    expect((await get(uuid)).status).toBe('delivered');
  });

  test('doubled: nothing changes, both are kept', async () => {
    const { uuid, sid } = await insertOriginalRow(service);
    await callback(sid, 'delivered');
    const ended = await get(uuid);
    expect((await callback(sid, 'delivered')).status).toBe(204);
    expect(await get(uuid)).toEqual(ended);
    expect(await kept(sid)).toHaveLength(2);
  });

  test('a doubled one that says more brings the code', async () => {
    const { uuid, sid } = await insertOriginalRow(service);
    await callback(sid, 'undelivered');
    await callback(sid, 'undelivered', { ErrorCode: '30003' });
    expect(await get(uuid)).toMatchObject({ status: 'undelivered', error_code: '30003' });
  });

  test('any word of Twilio’s wins over error, and takes our reason away', async () => {
    const { uuid, sid } = await insertOriginalRow(service, { status: 'error', error_message: 'of ours' });
    await callback(sid, 'queued');
    expect((await get(uuid)).status).toBe('queued');
    expect(await get(uuid)).not.toHaveProperty('error_message');
  });
});

function permutations(words: readonly string[]): string[][] {
  if (words.length <= 1) return [[...words]];
  return words.flatMap((word) => permutations(words.filter((other) => other !== word)).map((rest) => [word, ...rest]));
}
