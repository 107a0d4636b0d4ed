import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { type FakeTwilio, healthy, resource, sidIn, startFakeTwilio, twilioAt } from '../support/twilio.ts';

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

const headers = { 'x-trustomer': 'by-sql', 'x-product': 'gdm' };
const get = async (uuid: string) => (await service.call(`/dhos/v1/sms/${uuid}`)).json;
const bulkUpdate = async () => (await service.call('/dhos/v1/sms/bulk_update', { method: 'POST' })).status;

describe('The database: rows that the platform’s SQL finished', () => {
  test('count as delivered at once, read unredacted first, and redacted right after a bulk update', async () => {
    const { uuid, sid } = await insertOriginalRow(service, { status: 'sent' });
    await service.query("UPDATE message SET status = 'delivered' WHERE uuid = $1", [uuid]);
    expect((await get(uuid)).status).toBe('delivered');
    expect(await get(uuid)).not.toHaveProperty('redacted');
    await service.callback({ MessageSid: sid, MessageStatus: 'sent' });
    expect((await get(uuid)).status).toBe('delivered');
    expect(await bulkUpdate()).toBe(204);
    expect(await get(uuid)).toHaveProperty('redacted');
  });

  test('a row inserted with the original’s columns alone is a full member', async () => {
    const { uuid, sid } = await insertOriginalRow(service, { status: 'queued', trustomer_code: 'by-sql' });
    const found = await get(uuid);
    expect(found).toMatchObject({ created_by: 'static_message_bot', content: 'Inserted by SQL.', twilio_sid: sid });
    expect((await service.call('/dhos/v1/sms', { headers })).json).toEqual([found]);
    const dates = `start_date=${found.created}&end_date=${found.created}&trustomer_code=by-sql`;
    const counted = await service.call(`/dhos/v1/sms_status_counts?${dates}`);
    expect(counted.json.data).toEqual({ [found.created.slice(0, 10)]: { queued: 1 } });
    await service.callback({ MessageSid: sid, MessageStatus: 'sending' });
    expect((await get(uuid)).status).toBe('sending');
    twilio.answerWith((asked) =>
      asked.method === 'GET'
        ? { status: 200, body: resource({ sid: sidIn(asked.path), status: 'delivered' }) }
        : healthy(asked),
    );
    await bulkUpdate();
    expect(await get(uuid)).toMatchObject({ status: 'delivered', redacted: expect.any(String) });
    expect((await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers })).status).toBe(200);
  });
});
