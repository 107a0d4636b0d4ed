import { afterAll, beforeAll, expect, test } from 'vitest';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, startTestService, type TestService } from '../support/service.ts';
import { type FakeTwilio, newSid, startFakeTwilio, twilioAt } from '../support/twilio.ts';

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
const ago = (ms: number) => new Date(Date.now() - ms).toISOString().slice(0, -1);

// The sweep runs every 20 s, and no test can hurry it.
test('without a bulk update, a row finished by SQL is emptied once it is a minute old, and kept callbacks are joined', {
  timeout: 60_000,
}, async () => {
  const long = { created: ago(61_000), modified: ago(61_000) };
  const old = await insertOriginalRow(service, { ...long, status: 'delivered' });
  const fresh = await insertOriginalRow(service, { status: 'delivered' });
  const sid = newSid();
  await service.callback({ MessageSid: sid, MessageStatus: 'sent' });
  const late = await insertOriginalRow(service, { status: 'queued', twilio_sid: sid });

  await eventually(async () => (await get(old.uuid)).redacted, 30_000);
  await eventually(async () => (await get(late.uuid)).status === 'sent', 25_000);
  expect(await get(fresh.uuid)).not.toHaveProperty('redacted');
});
