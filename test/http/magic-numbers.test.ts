import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, startTestService, type TestService, text } from '../support/service.ts';

let service: TestService;

beforeAll(async () => {
  service = await startTestService({}, { speed: 100 });
});
afterAll(() => service.stop());

const get = async (uuid: string) => (await service.call(`/dhos/v1/sms/${uuid}`)).json;

describe.each(['+44770090099', '+1202555019'])('A send to a magic number, %s…', (range) => {
  test.each([
    ['0', 'undelivered', '30003'],
    ['1', 'undelivered', '30005'],
    ['2', 'undelivered', '30006'],
    ['3', 'failed', '30008'],
  ])('%s ends %s with error_code %s, and redacted', async (digit, status, error_code) => {
    const sent = await service.post({ ...text, receiver: range + digit });
    expect(sent.status).toBe(200);
    const ended = await eventually(async () => {
      const found = await get(sent.json.uuid);
      return found.redacted !== undefined && found;
    });
    expect(ended).toMatchObject({ status, error_code, error_message: expect.any(String) });
  });

  test('4 stays sent', async () => {
    const sent = await service.post({ ...text, receiver: `${range}4` });
    await eventually(async () => (await get(sent.json.uuid)).status === 'sent');
    await service.simulator?.settled();
    expect((await service.call('/dhos/v1/sms/bulk_update', { method: 'POST' })).status).toBe(204);
    const found = await get(sent.json.uuid);
    expect([found.status, found.redacted]).toEqual(['sent', undefined]);
    expect(found.date_sent).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/);
  });

  test.each([
    ['5', '21211'],
    ['6', '21610'],
    ['7', '21408'],
  ])('%s is refused with %s: 422', async (digit, error_code) => {
    const answer = await service.post({ ...text, receiver: range + digit });
    expect([answer.status, answer.json.error_code]).toEqual([422, error_code]);
    expect(await get(answer.json.message_id)).toMatchObject({ status: 'error', error_code });
  });

  test('8 is too many requests: 503, ask again in a second', async () => {
    const answer = await service.post({ ...text, receiver: `${range}8` });
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await get(answer.json.message_id)).toMatchObject({ status: 'error', error_code: '20429' });
  });

  test('9 is a Twilio that breaks: 202, accepted, for nobody knows', async () => {
    const answer = await service.post({ ...text, receiver: `${range}9` });
    expect([answer.status, answer.json.status]).toEqual([202, 'accepted']);
  });
});
