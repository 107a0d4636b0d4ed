import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, type TestService } from '../support/service.ts';
import { type FakeTwilio, newSid, type Reply, resource, sidIn, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import { metric, startAlone } from './support.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const ago = (ms: number) => new Date(Date.now() - ms).toISOString().slice(0, -1);
const refusal = (status: number, code: number): Reply => ({ status, body: { code, message: 'Refused.', status } });

/** How Twilio can refuse to empty a text, or fail to show that it did. */
const refusals: readonly { readonly what: string; readonly reply: (sid: string) => Reply }[] = [
  { what: '20009, as long as Twilio thinks that it is under way', reply: () => refusal(400, 20009) },
  { what: '400, for reasons of its own', reply: () => refusal(400, 20001) },
  { what: '401', reply: () => refusal(401, 20003) },
  { what: '429', reply: () => refusal(429, 20429) },
  { what: '500', reply: () => refusal(500, 20500) },
  { what: '503 from a proxy', reply: () => ({ status: 503, body: '<html>' }) },
  { what: "404 that is not Twilio's", reply: () => ({ status: 404, body: '<html>' }) },
  {
    what: '200, and the text is still there',
    reply: (sid) => ({ status: 200, body: resource({ sid, body: 'Text' }) }),
  },
  { what: '200 that cannot be read', reply: () => ({ status: 200, body: '<html>' }) },
  { what: 'a connection that breaks', reply: () => 'hang up' },
];

let twilio: FakeTwilio;
let service: TestService;
beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startAlone(twilioAt(twilio.url));
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

/** Ended a month ago, long before the seven days that a bulk update looks back. */
const insertOld = (twilio_sid = newSid()) =>
  insertOriginalRow(service, {
    status: 'delivered',
    created: ago(30 * DAY_MS),
    modified: ago(30 * DAY_MS),
    twilio_sid,
  });
const triesOf = (sid: string) => twilio.asked.filter(({ path }) => sidIn(path) === sid).length;
const bulkUpdate = async () => expect((await service.call('/dhos/v1/sms/bulk_update')).status).toBe(204);
const unredacted = async () =>
  (await service.query<{ twilio_sid: string }>('SELECT twilio_sid FROM message WHERE redacted IS NULL')).map(
    ({ twilio_sid }) => twilio_sid,
  );

describe('A redaction that Twilio refuses', () => {
  const sids = new Map<string, string>();
  let healthySid: string;

  beforeAll(async () => {
    for (const { what } of refusals) sids.set(what, newSid());
    twilio.answerWith(({ path }) => {
      const sid = sidIn(path);
      const refused = refusals.find(({ what }) => sids.get(what) === sid);
      return refused?.reply(sid) ?? { status: 200, body: resource({ sid, body: '' }) };
    });
    for (const sid of sids.values()) await insertOld(sid);
    healthySid = (await insertOld()).sid;
    for (let round = 0; round < 3; round++) await bulkUpdate();
  });

  test.each(refusals)('$what: is tried again, and not held for done', async ({ what }) => {
    const sid = sids.get(what) ?? '';
    // The sweep, every 20 s, may have come in between.
    expect(triesOf(sid)).toBeGreaterThanOrEqual(3);
    expect(await unredacted()).toContain(sid);
  });

  test('keeps no other from being done, once', async () => {
    expect(await unredacted()).not.toContain(healthySid);
    expect(triesOf(healthySid)).toBe(1);
  });

  test('is done as soon as Twilio does it, also a month later: there is no cliff after seven days', async () => {
    twilio.answerWith(undefined);
    await bulkUpdate();
    expect(await unredacted()).toEqual([]);
    expect(await metric(service, 'sms_redactions_total{result="redacted"}')).toBe(refusals.length + 1);
    const { length } = twilio.asked;
    await bulkUpdate();
    expect(twilio.asked).toHaveLength(length);
  });
});

test('while Twilio does not answer, a round gives up early; afterwards all are done', async () => {
  const rows = [];
  for (let n = 0; n < 300; n++) rows.push(await insertOld());
  twilio.answerWith(() => refusal(500, 20500));
  const before = twilio.asked.length;
  await bulkUpdate();
  expect(twilio.asked.length - before).toBeLessThan(100);
  twilio.answerWith(undefined);
  await bulkUpdate();
  expect(await unredacted()).toEqual([]);
  for (const { sid } of rows) expect(triesOf(sid)).toBeLessThanOrEqual(3);
});

test('the age of the oldest text that Twilio still holds is a metric', async () => {
  const twoHoursMs = 2 * 60 * 60 * 1000;
  const { sid } = await insertOriginalRow(service, {
    status: 'delivered',
    created: ago(twoHoursMs),
    modified: ago(twoHoursMs),
  });
  twilio.answerWith(() => refusal(500, 20500));
  await bulkUpdate();
  expect(await unredacted()).toEqual([sid]);
  const { text } = await service.call('/metrics');
  const lines = text.split('\n').filter((line) => /^sms_\w*(redact|text)\w*(age|seconds)\w* /.test(line));
  twilio.answerWith(undefined);
  expect(lines).toHaveLength(1);
  expect(Number(lines[0]?.split(' ').at(-1))).toBeGreaterThanOrEqual(twoHoursMs / 1000 - 60);
});

// The sweep runs every 20 s, and no test can hurry it.
test('without a bulk update, the sweep tries again until it is done', { timeout: 80_000 }, async () => {
  const { uuid, sid } = await insertOld();
  twilio.answerWith(({ path }) =>
    sidIn(path) === sid && triesOf(sid) <= 1
      ? refusal(500, 20500)
      : { status: 200, body: resource({ sid: sidIn(path), body: '' }) },
  );
  const get = async () => (await service.call(`/dhos/v1/sms/${uuid}`)).json;
  await eventually(async () => (await get()).redacted, 60_000);
  expect(triesOf(sid)).toBe(2);
});
