import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { type Answer, freshText, startTestService, type TestService, text } from '../support/service.ts';
import { closedAddress } from '../support/tcp.ts';
import {
  type FakeTwilio,
  isCreate,
  newSid,
  type Reply,
  resource,
  startFakeTwilio,
  twilioAt,
} from '../support/twilio.ts';

let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '1500' });
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

const get = async (uuid: string) => (await service.call(`/dhos/v1/sms/${uuid}`)).json;
const attempts = (uuid: string) =>
  service.query('SELECT n, outcome, http_status, error_code FROM attempt WHERE message_uuid = $1 ORDER BY n', [uuid]);
const countRows = async () => (await service.query('SELECT FROM message')).length;

/** Sends a text while Twilio answers so; Twilio must have been asked exactly once, or so often as may be. */
async function postAnswered(reply: Reply, { asked = [1] } = {}): Promise<Answer> {
  const before = twilio.asked.filter(isCreate).length;
  twilio.answerWith(() => reply);
  const answer = await service.post(freshText());
  twilio.answerWith(undefined);
  expect(asked).toContain(twilio.asked.filter(isCreate).length - before);
  return answer;
}

const twilioError = (status: number, code: number | null, headers = {}): Reply => ({
  status,
  headers,
  body: { code, message: `words about ${text.receiver}`, more_info: 'https://www.twilio.com/docs/errors', status },
});

describe('Who owns the message after the answer: 200', () => {
  test('Twilio has it; twilio_sid is there, and X-Message-Id', async () => {
    const sid = newSid();
    const answer = await postAnswered({ status: 201, body: resource({ sid }) });
    expect([answer.status, answer.json.twilio_sid]).toEqual([200, sid]);
    expect(answer.headers.get('x-message-id')).toBe(answer.json.uuid);
    expect(answer.headers.has('location')).toBe(false);
    expect(await attempts(answer.json.uuid)).toEqual([
      { n: 1, outcome: 'accepted', http_status: 201, error_code: null },
    ]);
  });

  test('a word that nobody knew in Twilio’s answer: Twilio has it, the row stays accepted', async () => {
    const answer = await postAnswered({ status: 201, body: resource({ status: 'partially_delivered' }) });
    expect([answer.status, answer.json.status]).toEqual([200, 'accepted']);
  });
});

describe('Who owns the message after the answer: 202, the outcome at Twilio is not known', () => {
  test.each<[string, Reply, number | null]>([
    ['hangs up after reading', 'hang up', null],
    ['never answers', 'silence', null],
    ['breaks off half-way through a 201', { truncated: '{"sid":"SM' }, null],
    ['answers 201 with a web page', { status: 201, body: '<html>hello</html>' }, 201],
    ['answers 201 with half a JSON', { status: 201, body: '{"sid":"SM1","status":' }, 201],
    ['answers 201 without a SID', { status: 201, body: { status: 'queued' } }, 201],
    ['answers 201 with a SID of another type', { status: 201, body: { sid: 17, status: 'queued' } }, 201],
    ['answers 201 with nothing', { status: 201, body: '' }, 201],
    ['answers 500 in its own words', twilioError(500, 20500), 500],
    ['answers 502 with a web page', { status: 502, body: '<html>Bad Gateway</html>' }, 502],
    ['answers 503', { status: 503, body: '' }, 503],
    ['redirects', { status: 307, body: '', headers: { location: '/elsewhere' } }, 307],
    ['is a proxy that answers 400 with a web page', { status: 400, body: '<html>Bad Request</html>' }, 400],
    ['answers more than 256 KiB', { status: 201, body: { ...resource(), body: 'x'.repeat(300_000) } }, null],
  ])('Twilio %s', async (_what, reply, httpStatus) => {
    const answer = await postAnswered(reply);
    expect(answer.status).toBe(202);
    const { uuid } = answer.json;
    expect(answer.headers.get('location')).toBe(`/dhos/v1/sms/${uuid}`);
    expect(answer.headers.get('x-message-id')).toBe(uuid);
    expect(answer.json).toMatchObject({ receiver: text.receiver, status: 'accepted' });
    expect(answer.json).not.toHaveProperty('twilio_sid');
    expect(await get(uuid)).toEqual(answer.json);
    expect(await attempts(uuid)).toEqual([{ n: 1, outcome: 'unknown', http_status: httpStatus, error_code: null }]);
  });

  test('Twilio answers with the SID of another row: that row is left alone', async () => {
    const first = await postAnswered({ status: 201, body: resource() });
    const second = await postAnswered({
      status: 201,
      body: resource({ sid: first.json.twilio_sid, status: 'failed' }),
    });
    expect(second.status).toBe(202);
    expect(second.json).toMatchObject({ status: 'accepted' });
    expect(second.json).not.toHaveProperty('twilio_sid');
    expect(await get(first.json.uuid)).toEqual(first.json);
    expect(await attempts(second.json.uuid)).toMatchObject([{ outcome: 'unknown' }]);
  });

  test('a signed callback with our id tells later', async () => {
    const { json } = await postAnswered('hang up');
    const fields = { MessageSid: newSid(), MessageStatus: 'delivered' };
    await service.callback(fields, { query: `?m=${json.uuid}&a=1` });
    expect(await get(json.uuid)).toMatchObject({ status: 'delivered', twilio_sid: fields.MessageSid });
  });
});

describe('Who owns the message after the answer: 422, Twilio refused this message for good', () => {
  test.each([
    [400, 21211, 'The receiver is not a valid phone number.'],
    [400, 21610, 'The receiver has opted out of texts from this sender.'],
    [400, 21614, 'The receiver is not a mobile number.'],
    [400, 21408, 'The account may not send to this country.'],
    [400, 21606, 'The sender number does not belong to the account, or cannot send texts.'],
    [400, 29999, 'Twilio refused the message.'],
  ])('%d with code %d', async (httpStatus, code, detail) => {
    const answer = await postAnswered(twilioError(httpStatus, code));
    const message_id = answer.headers.get('x-message-id');
    expectProblem(answer, 422, detail, { error_code: String(code), message_id });
    expect(answer.headers.has('retry-after')).toBe(false);
    const found = await get(String(message_id));
    expect(found).toMatchObject({
      receiver: text.receiver,
      status: 'error',
      error_code: String(code),
      error_message: detail,
    });
    expect(found).not.toHaveProperty('twilio_sid');
    expect(await attempts(found.uuid)).toEqual([
      { n: 1, outcome: 'refused', http_status: httpStatus, error_code: String(code) },
    ]);
  });

  test('a refusal whose code is in no table is one all the same', async () => {
    const answer = await postAnswered(twilioError(400, 99_999));
    const message_id = answer.headers.get('x-message-id');
    expectProblem(answer, 422, 'Twilio refused the message.', { error_code: '99999', message_id });
  });

  test('a 4xx without a code of Twilio’s is no refusal of Twilio’s: 202, nobody knows', async () => {
    expect((await postAnswered(twilioError(408, null))).status).toBe(202);
  });

  test('Twilio’s code replaces that of an old client', async () => {
    twilio.answerWith(() => twilioError(400, 21610));
    const answer = await service.post({ ...text, error_code: '1234', error_message: 'of the client' });
    twilio.answerWith(undefined);
    expect(await get(answer.json.message_id)).toMatchObject({
      error_code: '21610',
      error_message: 'The receiver has opted out of texts from this sender.',
    });
  });
});

describe('Who owns the message after the answer: 503 + Retry-After, not sent and never will be', () => {
  async function expectNotSent(answer: Answer, reason: string, retryAfter: string, error_code: object): Promise<void> {
    const message_id = answer.headers.get('x-message-id');
    expectProblem(answer, 503, `${reason} The message was not and will not be sent: ask again.`, { message_id });
    expect(answer.headers.get('retry-after')).toBe(retryAfter);
    const [row] = await service.query('SELECT status, error_code, twilio_sid FROM message WHERE uuid = $1', [
      message_id,
    ]);
    expect(row).toEqual({ status: 'error', twilio_sid: null, ...error_code });
  }

  test.each<[string, Reply, string, string, string | null]>([
    [
      '429 with Retry-After',
      twilioError(429, 20429, { 'retry-after': '7' }),
      '7',
      'Twilio had too many requests from us at once and did not process this one.',
      '20429',
    ],
    [
      '429 without',
      twilioError(429, 20429),
      '30',
      'Twilio had too many requests from us at once and did not process this one.',
      '20429',
    ],
    [
      '429 with a fraction',
      twilioError(429, 20429, { 'retry-after': '0.3' }),
      '1',
      'Twilio had too many requests from us at once and did not process this one.',
      '20429',
    ],
    ['429 of a proxy', { status: 429, body: '<html>slow down</html>' }, '30', 'Twilio refused the message.', null],
    [
      '401: our credentials',
      twilioError(401, 20003),
      '30',
      'Twilio does not accept our account SID and token.',
      '20003',
    ],
    ['403: the account', twilioError(403, 20005), '30', 'The Twilio account is not active.', '20005'],
    [
      '404: the account',
      twilioError(404, 20404),
      '30',
      'Twilio does not know what we asked for: the account, or a message that it has no more.',
      '20404',
    ],
    ['a full queue', twilioError(400, 21611), '30', "The sender's queue at Twilio is full.", '21611'],
  ])('Twilio answers %s', async (_what, reply, retryAfter, reason, error_code) => {
    const isTooMany = typeof reply === 'object' && 'status' in reply && reply.status === 429;
    const asked = isTooMany ? [1, 2, 3] : [1];
    await expectNotSent(await postAnswered(reply, { asked }), reason, retryAfter, { error_code });
  });

  test('too many requests: three tries within the time of the call, each with a licence of its own', async () => {
    const answer = await postAnswered(twilioError(429, 20429, { 'retry-after': '0.1' }), { asked: [3] });
    expect(await attempts(String(answer.headers.get('x-message-id')))).toEqual(
      [1, 2, 3].map((n) => ({ n, outcome: 'refused', http_status: 429, error_code: '20429' })),
    );
  });

  test('too many requests once: the second try hands it over', async () => {
    const sid = newSid();
    let creates = 0;
    twilio.answerWith(() => {
      creates += 1;
      return creates === 1
        ? twilioError(429, 20429, { 'retry-after': '0.1' })
        : { status: 201, body: resource({ sid }) };
    });
    const answer = await service.post(freshText());
    twilio.answerWith(undefined);
    expect([answer.status, answer.json.twilio_sid, creates]).toEqual([200, sid, 2]);
  });

  test('Twilio cannot be reached', async () => {
    const alone = await startTestService(twilioAt(await closedAddress()));
    const answer = await alone.post(text);
    const message_id = answer.headers.get('x-message-id');
    const detail = 'Twilio was not reached: ECONNREFUSED. The message was not and will not be sent: ask again.';
    expectProblem(answer, 503, detail, { message_id });
    expect(answer.headers.get('retry-after')).toBe('30');
    expect((await alone.call(`/dhos/v1/sms/${message_id}`)).json).toMatchObject({
      status: 'error',
      error_message: 'Twilio was not reached: ECONNREFUSED.',
    });
    await alone.stop();
  });
});

describe('Who owns the message after the answer: 400, 403, 404, 413, 415 — not sent', () => {
  test('nothing is recorded and Twilio is not asked', async () => {
    const before = [await countRows(), twilio.asked.length];
    const large = { ...text, content: 'x'.repeat(70_000) };
    const answers = await Promise.all([
      service.post({ ...text, receiver: 'x' }),
      service.post(text, {}),
      service.post(large),
      service.post(text, { 'content-type': 'text/plain' }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 413, 415]);
    expect([await countRows(), twilio.asked.length]).toEqual(before);
  });
});
