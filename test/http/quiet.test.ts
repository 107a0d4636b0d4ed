import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { quiet, startTestService, type TestService, tenant, text } from '../support/service.ts';
import { type FakeTwilio, startFakeTwilio } from '../support/twilio.ts';

let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...quiet, TWILIO_BASE_URL: twilio.url });
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

const get = async (uuid: string) => (await service.call(`/dhos/v1/sms/${uuid}`)).json;
const bulkUpdate = async () =>
  expect((await service.call('/dhos/v1/sms/bulk_update', { method: 'POST' })).status).toBe(204);
const callback = (MessageSid: string, MessageStatus: string, url?: string) =>
  service.callback({ MessageSid, MessageStatus }, url === undefined ? {} : { url });

describe('Configuration: TWILIO_DISABLED', () => {
  test('create answers sent, and what was posted comes back', async () => {
    const posted = { ...text, error_code: '1', error_message: 'of the client', status: 'sent' };
    const { status, json } = await service.post(posted);
    expect(status).toBe(200);
    expect(json).toMatchObject({ ...posted, twilio_sid: expect.stringMatching(/^SM[0-9a-f]{32}$/) });
    expect(await get(json.uuid)).toEqual(json);
    const listed = await service.call('/dhos/v1/sms', { headers: tenant });
    expect(listed.json).toContainEqual(json);
  });

  test('any signed callback replaces that placeholder, queued included', async () => {
    for (const word of ['queued', 'accepted', 'sending', 'failed', 'read']) {
      const { json } = await service.post(text);
      expect((await callback(json.twilio_sid, word)).status).toBe(204);
      expect((await get(json.uuid)).status).toBe(word);
    }
  });

  test('the placeholder is replaced once: a sent that a callback brought does not go back', async () => {
    const { json } = await service.post(text);
    await callback(json.twilio_sid, 'sent');
    await callback(json.twilio_sid, 'queued');
    expect((await get(json.uuid)).status).toBe('sent');
  });

  test('a word that nobody knew does not replace it', async () => {
    const { json } = await service.post(text);
    await callback(json.twilio_sid, 'partially_delivered');
    expect((await get(json.uuid)).status).toBe('sent');
  });

  test('a callback queued, then a bulk update, leaves sent: a look-up answers sent', async () => {
    const { json } = await service.post(text);
    await callback(json.twilio_sid, 'queued');
    await bulkUpdate();
    expect((await get(json.uuid)).status).toBe('sent');
    await bulkUpdate();
    expect(await get(json.uuid)).not.toHaveProperty('redacted');
  });

  test('a final callback shows at once, with redacted: the redaction always comes first', async () => {
    const sent = await Promise.all(Array.from({ length: 20 }, () => service.post(text)));
    await Promise.all(
      sent.map(async ({ json }) => {
        expect((await callback(json.twilio_sid, 'delivered')).status).toBe(204);
        expect(await get(json.uuid)).toMatchObject({ status: 'delivered', redacted: expect.stringMatching(/Z$/) });
      }),
    );
  });

  test('a row set to delivered by SQL reads unredacted, and redacted right after a bulk update', async () => {
    const { json } = await service.post(text);
    await service.query("UPDATE message SET status = 'delivered' WHERE uuid = $1", [json.uuid]);
    expect((await get(json.uuid)).status).toBe('delivered');
    expect(await get(json.uuid)).not.toHaveProperty('redacted');
    await bulkUpdate();
    expect(await get(json.uuid)).toMatchObject({ status: 'delivered', redacted: expect.any(String) });
  });

  test('so does a row that was inserted by SQL, whatever its SID', async () => {
    const { uuid } = await insertOriginalRow(service, { status: 'failed', twilio_sid: 'no SID/of Twilio?' });
    await bulkUpdate();
    expect(await get(uuid)).toHaveProperty('redacted');
  });

  test('any receiver that parses is taken, also one that is not possible', async () => {
    for (const receiver of ['077', '+4477', '07700 9001234', '001-083-002-0841x880', 'tel:+44-7700-900123']) {
      const { status, json } = await service.post({ ...text, receiver });
      expect([receiver, status, json.receiver]).toEqual([receiver, 200, receiver]);
    }
  });

  test('one that does not parse is 400', async () => {
    for (const receiver of ['HELLO', '1', '+999123456789', '4'.repeat(30)]) {
      const answer = await service.post({ ...text, receiver });
      expectProblem(answer, 400, 'receiver: must be a phone number that is possible.');
    }
  });

  test('any sender is taken', async () => {
    for (const sender of ['x', 'a name longer than Twilio’s eleven characters', '+1', '🙂']) {
      expect((await service.post({ ...text, sender })).json.sender).toBe(sender);
    }
  });

  test('callbacks are signed over the bare URL, with or without its slash', async () => {
    const { json } = await service.post(text);
    expect((await callback(json.twilio_sid, 'queued', 'http://dummy-callback-url')).status).toBe(204);
    expect((await callback(json.twilio_sid, 'queued', 'http://dummy-callback-url/')).status).toBe(204);
    expect((await callback(json.twilio_sid, 'queued', 'http://dummy-callback-url:80')).status).toBe(204);
    expect((await callback(json.twilio_sid, 'queued', 'http://other-callback-url')).status).toBe(403);
    expect((await callback(json.twilio_sid, 'queued', 'http://dummy-callback-url//')).status).toBe(403);
  });

  test('the AccountSid of a callback is not checked, its signature is', async () => {
    const { json } = await service.post(text);
    const fields = { MessageSid: json.twilio_sid, MessageStatus: 'queued', AccountSid: 'ACother' };
    expect((await service.callback(fields)).status).toBe(204);
    expectProblem(await service.callback(fields, { authToken: 'wrong' }), 403, /signature/);
  });

  test('the day’s counts move by exactly one delivered and one queued', async () => {
    const headers = { 'x-trustomer': 'counted', 'x-product': 'gdm' };
    const day = new Date().toISOString().slice(0, 10);
    const dates = `start_date=${day}T00:00:00.000Z&end_date=9999-01-01T00:00:00.000Z&trustomer_code=counted`;
    const counts = async () => (await service.call(`/dhos/v1/sms_status_counts?${dates}`)).json.data;
    expect(await counts()).toEqual({});
    const [one, two] = [(await service.post(text, headers)).json, (await service.post(text, headers)).json];
    await callback(one.twilio_sid, 'delivered');
    await callback(two.twilio_sid, 'queued');
    expect(await counts()).toEqual({ [one.created.slice(0, 10)]: { delivered: 1, queued: 1 } });
  });

  test('nothing calls back, and no socket leaves the machine', async () => {
    const { json } = await service.post(text);
    await callback(json.twilio_sid, 'delivered');
    await bulkUpdate();
    expect(twilio.asked).toEqual([]);
    const rows = await service.query('SELECT DISTINCT parameters - $1::text[] AS more FROM callback', [
      ['MessageSid', 'MessageStatus', 'AccountSid'],
    ]);
    expect(rows).toEqual([{ more: {} }]);
  });
});

describe('Configuration: TWILIO_DISABLED without other Twilio variables', () => {
  test('is enough', async () => {
    const bare = await startTestService({ TWILIO_DISABLED: 'True' });
    expect((await bare.post(text)).json.status).toBe('sent');
    await bare.stop();
  });
});
