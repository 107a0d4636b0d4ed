import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, startTestService, type TestService, tenant, text } from './support/service.ts';

let service: TestService;

beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());

test('a text goes out, is followed by signed callbacks to delivered, and is emptied at Twilio', async () => {
  const sent = await service.post(text);
  expect(sent.status).toBe(200);
  // Callbacks of this fast simulator may outrun the answer, so its status is not looked at.
  expect(sent.json).toMatchObject({ ...text, trustomer_code: 'ouh', product_name: 'gdm' });
  expect(sent.json.twilio_sid).toMatch(/^SM[0-9a-f]{32}$/);

  const ended = await eventually(async () => {
    const found = await service.call(`/dhos/v1/sms/${sent.json.uuid}`);
    return found.json.redacted !== undefined && found.json;
  });
  expect(ended).toMatchObject({ uuid: sent.json.uuid, status: 'delivered', content: text.content });
  expect(service.simulator?.messages().find((message) => message.sid === sent.json.twilio_sid)?.body).toBe('');

  const listed = await service.call('/dhos/v1/sms', { headers: tenant });
  expect(listed.json).toEqual([ended]);
});

test('callbacks that come while the answer to the create is being recorded still find their message', async () => {
  const fast = await startTestService({}, { speed: 200 });
  try {
    const sent = await Promise.all(Array.from({ length: 60 }, () => fast.post(text)));
    expect(sent.map(({ status }) => status)).toEqual(sent.map(() => 200));
    await fast.simulator?.settled();
    expect(await fast.query('SELECT FROM callback WHERE message_uuid IS NULL')).toEqual([]);
  } finally {
    await fast.stop();
  }
});
