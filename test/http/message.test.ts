import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, startTestService, type TestService, tenant, text } from '../support/service.ts';
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

const at = (uuid: string) => service.call(`/dhos/v1/sms/${uuid}`);
/** Texts are emptied in the background. */
const creates = () => twilio.asked.filter(isCreate).length;
const lastAsked = () => twilio.asked.findLast(isCreate);
const words = (list: string) => list.split(' ');
const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe('The message', () => {
  test('a sent message has these keys in the order of the alphabet, and none whose value is null', async () => {
    const { json } = await service.post(text);
    expect(Object.keys(json)).toEqual([
      ...[
        'content',
        'created',
        'created_by',
        'modified',
        'modified_by',
        'product_name',
        'receiver',
        'sender',
        'status',
      ],
      ...['trustomer_code', 'twilio_sid', 'uuid'],
    ]);
    expect(json).toEqual({
      ...text,
      uuid: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      created: expect.stringMatching(timestamp),
      modified: expect.stringMatching(timestamp),
      created_by: 'unknown',
      modified_by: 'unknown',
      status: 'queued',
      trustomer_code: 'ouh',
      product_name: 'gdm',
      twilio_sid: expect.stringMatching(/^SM[0-9a-f]{32}$/),
    });
    expect((await at(json.uuid)).json).toEqual(json);
  });

  test('status, error_code, error_message, twilio_sid, date_sent, deleted and redacted are left out while null', async () => {
    const { uuid } = await insertOriginalRow(service, { status: null, twilio_sid: null });
    expect(Object.keys((await at(uuid)).json)).toEqual(
      words('content created created_by modified modified_by product_name receiver sender trustomer_code uuid'),
    );
  });

  test('every time is ISO 8601 in UTC with milliseconds, also those of old rows', async () => {
    const { uuid } = await insertOriginalRow(service, {
      created: '2021-02-03 12:34:56.789123',
      modified: '2021-02-03 12:34:57',
      redacted: '2021-02-03 12:34:58.5',
      date_sent: '2021-02-03 13:34:56+01:00',
      status: 'delivered',
    });
    expect((await at(uuid)).json).toMatchObject({
      created: '2021-02-03T12:34:56.789Z',
      modified: '2021-02-03T12:34:57.000Z',
      redacted: '2021-02-03T12:34:58.500Z',
      date_sent: '2021-02-03T12:34:56.000Z',
    });
  });

  test('date_sent is what Twilio said, in ISO 8601 UTC', async () => {
    twilio.answerWith(() => ({ status: 201, body: resource({ date_sent: 'Mon, 23 Nov 2026 15:20:45 +0000' }) }));
    const { json } = await service.post(text);
    twilio.answerWith(undefined);
    expect(json.date_sent).toBe('2026-11-23T15:20:45.000Z');
  });

  test('error_code is a string', async () => {
    twilio.answerWith(() => ({ status: 201, body: resource({ status: 'failed', error_code: 30008 }) }));
    const { json } = await service.post(text);
    twilio.answerWith(undefined);
    expect(json).toMatchObject({ status: 'failed', error_code: '30008' });
  });

  test('X-Trustomer and X-Product are lower-cased', async () => {
    const { json } = await service.post(text, { 'x-trustomer': 'OuH', 'x-product': 'GdM-Éa' });
    expect(json).toMatchObject({ trustomer_code: 'ouh', product_name: 'gdm-éa' });
    const listed = await service.call('/dhos/v1/sms', { headers: { 'x-trustomer': 'oUh', 'x-product': 'GDM-ÉA' } });
    expect(listed.json).toEqual([json]);
  });

  test('X-Trustomer and X-Product are required on POST, list and DELETE', async () => {
    const { uuid } = await insertOriginalRow(service);
    const body = JSON.stringify(text);
    const json = { 'content-type': 'application/json' };
    for (const missing of ['x-trustomer', 'x-product']) {
      const headers = Object.fromEntries(Object.entries(tenant).filter(([name]) => name !== missing));
      const detail = `${missing}: is missing.`;
      const asked = creates();
      expectProblem(
        await service.call('/dhos/v1/sms', { method: 'POST', headers: { ...json, ...headers }, body }),
        400,
        detail,
      );
      expect(creates()).toBe(asked);
      expectProblem(await service.call('/dhos/v1/sms', { headers }), 400, detail);
      expectProblem(await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers }), 400, detail);
    }
  });

  test.each([
    ['07700 900123', '+447700900123'],
    ['tel:+44-7700-900123', '+447700900123'],
    ['0044 7700 900123', '+447700900123'],
    ['(07700) 900.123', '+447700900123'],
    ['+44 (0) 7700 900123', '+447700900123'],
    ['07700 900123 ext. 5', '+447700900123'],
    ['+12025550142', '+12025550142'],
    ['001 202 555 0142 x880', '+12025550142'],
    ['001-083-002-0841x880', '+10830020841'],
  ])('receiver %j is stored and returned exactly as sent, and goes to Twilio as %s', async (receiver, e164) => {
    const { status, json } = await service.post({ ...text, receiver });
    expect([status, json.receiver]).toEqual([200, receiver]);
    expect(lastAsked()?.form.To).toBe(e164);
    expect((await at(json.uuid)).json.receiver).toBe(receiver);
  });

  test('a sender is any non-empty text; Twilio judges it', async () => {
    for (const sender of ['Clinic', '88888', 'MG not a number', ' ', '+447700900001']) {
      expect((await service.post({ ...text, sender })).json.sender).toBe(sender);
      expect(lastAsked()?.form.From).toBe(sender);
    }
  });

  test('a messaging service as sender is given to Twilio as one', async () => {
    const sender = `MG${'0a'.repeat(16)}`;
    expect((await service.post({ ...text, sender })).json.sender).toBe(sender);
    expect(lastAsked()?.form).toMatchObject({ MessagingServiceSid: sender });
    expect(lastAsked()?.form).not.toHaveProperty('From');
  });

  test('error_code and error_message of an old client are stored, and returned until Twilio gives its own', async () => {
    const { json } = await service.post({ ...text, error_code: '1234', error_message: 'of the client' });
    expect(json).toMatchObject({ error_code: '1234', error_message: 'of the client' });
    await service.callback({ MessageSid: json.twilio_sid, MessageStatus: 'sent' });
    expect((await at(json.uuid)).json).toMatchObject({ error_code: '1234', error_message: 'of the client' });
    await service.callback({ MessageSid: json.twilio_sid, MessageStatus: 'undelivered', ErrorCode: '30005' });
    expect((await at(json.uuid)).json).toMatchObject({
      status: 'undelivered',
      error_code: '30005',
      error_message: 'The carrier does not know the receiver.',
    });
  });

  test('Twilio’s own words replace those of an old client', async () => {
    const { json } = await service.post({ ...text, error_code: '1234', error_message: 'of the client' });
    const failed = {
      MessageSid: json.twilio_sid,
      MessageStatus: 'failed',
      ErrorCode: '30999',
      ErrorMessage: 'of Twilio',
    };
    await service.callback(failed);
    expect((await at(json.uuid)).json).toMatchObject({ error_code: '30999', error_message: 'of Twilio' });
  });

  test('null in error_code and error_message is as good as leaving them out', async () => {
    const { status, json } = await service.post({ ...text, error_code: null, error_message: null });
    expect(status).toBe(200);
    expect(json).not.toHaveProperty('error_code');
    expect(json).not.toHaveProperty('error_message');
  });

  test.each([
    ['status', 'delivered'],
    ['twilio_sid', newSid()],
    ['date_sent', '2020-01-01T00:00:00.000Z'],
    ['trustomer_code', 'evil'],
    ['product_name', 'evil'],
    ['status', { any: ['shape'] }],
  ])('%s in the body is ignored (%j)', async (field, value) => {
    const { status, json } = await service.post({ ...text, [field]: value });
    expect(status).toBe(200);
    expect(json[field]).not.toEqual(value);
    expect(json).toMatchObject({ ...text, status: 'queued', trustomer_code: 'ouh', product_name: 'gdm' });
    expect(json).not.toHaveProperty('date_sent');
  });

  test.each([
    ...[
      'uuid',
      'created',
      'created_by',
      'created_by_',
      'modified',
      'modified_by',
      'modified_by_',
      'deleted',
      'redacted',
    ],
    ...['placeholder', 'handed_over', 'message', 'Content', ''],
  ])('the unknown field %j is refused and nothing is recorded or sent', async (field) => {
    const before = creates();
    const answer = await service.post({ ...text, [field]: 'x' }, { 'x-trustomer': 'none', 'x-product': 'none' });
    expectProblem(answer, 400, `Unknown: ${field}.`);
    const rows = await service.query("SELECT FROM message WHERE trustomer_code = 'none'");
    expect([rows.length, creates() - before]).toEqual([0, 0]);
  });

  test('of a field that comes twice the last one counts', async () => {
    const body = `{"content":"first","sender":"Clinic","receiver":"+447700900123","content":"second"}`;
    const headers = { 'content-type': 'application/json', ...tenant };
    const { json } = await service.call('/dhos/v1/sms', { method: 'POST', headers, body });
    expect(json.content).toBe('second');
    expect(lastAsked()?.form.Body).toBe('second');
  });

  test('redacted says when Twilio’s copy was emptied: not before Twilio showed it empty', async () => {
    const { json } = await service.post(text);
    twilio.answerWith(() => ({ status: 503, body: 'try again' }));
    await service.callback({ MessageSid: json.twilio_sid, MessageStatus: 'delivered' });
    expect((await at(json.uuid)).json).not.toHaveProperty('redacted');
    twilio.answerWith(undefined);
    await service.call('/dhos/v1/sms/bulk_update', { method: 'POST' });
    const { redacted } = await eventually(async () => (await at(json.uuid)).json);
    expect(redacted).toMatch(timestamp);
  });

  test('Twilio is given the text, the E.164 number and a callback URL with our id and the retry rules', async () => {
    const { json } = await service.post({ ...text, content: 'Grüße & 100 % + 🙂' });
    expect(lastAsked()).toMatchObject({ method: 'POST', path: '/2010-04-01/Accounts/ACtest/Messages.json' });
    expect(lastAsked()?.form).toEqual({
      To: '+447700900123',
      From: '+447700900001',
      Body: 'Grüße & 100 % + 🙂',
      StatusCallback: `https://sms.example/dhos/v1/sms/callback?m=${json.uuid}&a=1#rc=5&rp=ct,rt,5xx&ct=2000&rt=2500`,
    });
  });

  test('the row stands, accepted and without a SID, before Twilio is called', async () => {
    let before: unknown[] = [];
    twilio.answerWith(async ({ form }) => {
      const uuid = new URL(form.StatusCallback ?? '').searchParams.get('m');
      before = await service.query(
        'SELECT status, message.twilio_sid, n, outcome FROM message JOIN attempt ON uuid = message_uuid WHERE uuid = $1',
        [uuid],
      );
      return { status: 201, body: resource() };
    });
    await service.post(text);
    twilio.answerWith(undefined);
    expect(before).toEqual([{ status: 'accepted', twilio_sid: null, n: 1, outcome: null }]);
  });
});
