import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, freshText, startTestService, type TestService } from '../support/service.ts';
import { type FakeTwilio, isCreate, newSid, resource, startFakeTwilio, twilioAt } from '../support/twilio.ts';

let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '500', SETTLE_MS: '0' });
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

test('other texts of ours to the same number, emptied meanwhile, do not keep one from being sent again', async () => {
  const other = freshText();
  const otherSid = (await service.post(other)).json.twilio_sid;
  const lost = freshText();
  let creates = 0;
  twilio.answerWith((asked) => {
    if (isCreate(asked)) {
      creates += 1;
      return creates === 1 ? { status: 500, body: '' } : { status: 201, body: resource() };
    }
    // The log shows the other text, which has ended and was emptied; also without a filter.
    const fields = { sid: otherSid, status: 'delivered', body: '', from: other.sender, to: other.receiver };
    const date_created = new Date().toUTCString();
    return { status: 200, body: { messages: [resource({ ...fields, date_created })], next_page_uri: null } };
  });
  const { uuid } = (await service.post(lost)).json;
  const ended = await eventually(async () => {
    const { json } = await service.call(`/dhos/v1/sms/${uuid}`);
    return json.status !== 'accepted' && json;
  });
  twilio.answerWith(undefined);
  expect([ended.status, creates]).toEqual(['queued', 2]);
});

test('an emptied text of nobody’s to the same number proves nothing: unconfirmed, and not sent again', async () => {
  let creates = 0;
  const text = freshText();
  twilio.answerWith((asked) => {
    if (isCreate(asked)) {
      creates += 1;
      return { status: 500, body: '' };
    }
    const fields = { sid: newSid(), status: 'delivered', body: '', from: text.sender, to: text.receiver };
    return { status: 200, body: { messages: [resource({ ...fields, date_created: new Date().toUTCString() })] } };
  });
  const { uuid } = (await service.post(text)).json;
  await eventually(async () => (await service.call(`/dhos/v1/sms/${uuid}`)).json.status === 'unconfirmed');
  twilio.answerWith(undefined);
  expect(creates).toBe(1);
});
