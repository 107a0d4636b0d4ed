import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService, tenant } from '../support/service.ts';
import {
  type FakeTwilio,
  healthy,
  newSid,
  type Reply,
  resource,
  sidIn,
  startFakeTwilio,
  twilioAt,
} from '../support/twilio.ts';

let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '1000' });
});
afterEach(async () => {
  twilio.answerWith(undefined);
  await service.query('DELETE FROM message');
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

const DAY_MS = 24 * 60 * 60 * 1000;
const get = async (uuid: string) => (await service.call(`/dhos/v1/sms/${uuid}`)).json;
const bulkUpdate = async (method = 'POST') => (await service.call('/dhos/v1/sms/bulk_update', { method })).status;
const ago = (ms: number) => new Date(Date.now() - ms).toISOString().slice(0, -1);
const lookedUp = (sid: string) =>
  twilio.asked.filter(({ method, path }) => method === 'GET' && path.endsWith(`/${sid}.json`)).length;
const emptied = (sid: string) =>
  twilio.asked.filter(({ method, path }) => method === 'POST' && path.endsWith(`/${sid}.json`)).length;

/** Twilio finds every message like this, and empties what it is told to. */
function twilioFinds(found: Record<string, unknown>, except: Record<string, Reply> = {}): void {
  twilio.answerWith((asked) => {
    const sid = sidIn(asked.path);
    if (asked.method !== 'GET') return healthy(asked);
    return except[sid] ?? { status: 200, body: resource({ sid, ...found }) };
  });
}

describe('Endpoints of the mission: /dhos/v1/sms/bulk_update, GET and POST', () => {
  test.each(['GET', 'POST'])(
    '%s brings an incomplete message up to date, empties it when it is finished, 204',
    async (method) => {
      const { uuid, sid } = await insertOriginalRow(service, { status: 'queued' });
      twilioFinds({ status: 'delivered', date_sent: 'Mon, 23 Nov 2026 15:20:45 +0000' });
      const answer = await service.call('/dhos/v1/sms/bulk_update', { method });
      expect([answer.status, answer.text]).toEqual([204, '']);
      expect(await get(uuid)).toMatchObject({
        status: 'delivered',
        date_sent: '2026-11-23T15:20:45.000Z',
        redacted: expect.stringMatching(/Z$/),
      });
      expect([lookedUp(sid), emptied(sid)]).toEqual([1, 1]);
    },
  );

  test('with nothing to do: 204', async () => {
    expect([await bulkUpdate('GET'), await bulkUpdate('POST')]).toEqual([204, 204]);
  });

  test('POST may carry any body', async () => {
    for (const [type, body] of [
      ['application/json', '{'],
      ['text/plain', 'x'],
      ['application/x-www-form-urlencoded', 'a=b'],
      ['application/json', ''],
    ] as const) {
      const headers = { 'content-type': type };
      const answer = await service.call('/dhos/v1/sms/bulk_update', { method: 'POST', headers, body });
      expect(answer.status).toBe(204);
    }
  });

  test('a query is refused', async () => {
    expectProblem(await service.call('/dhos/v1/sms/bulk_update?days=8'), 400, 'Unknown: days.');
  });

  test('error_code and words come along', async () => {
    const { uuid } = await insertOriginalRow(service, { status: 'sent' });
    twilioFinds({ status: 'undelivered', error_code: 30003, error_message: null });
    await bulkUpdate();
    expect(await get(uuid)).toMatchObject({
      status: 'undelivered',
      error_code: '30003',
      error_message: 'The handset could not be reached: switched off or without signal.',
    });
  });

  test('rows with no status, or with a word of the original that nobody knows, are incomplete', async () => {
    const rows = [];
    for (const status of [null, 'weird', 'accepted', 'scheduled', 'queued', 'sending', 'sent']) {
      rows.push(await insertOriginalRow(service, { status }));
    }
    twilioFinds({ status: 'failed' });
    await bulkUpdate();
    for (const { uuid } of rows) expect((await get(uuid)).status).toBe('failed');
  });

  test('what Twilio says never takes a status back', async () => {
    const { uuid } = await insertOriginalRow(service, { status: 'sent' });
    twilioFinds({ status: 'queued' });
    await bulkUpdate();
    expect((await get(uuid)).status).toBe('sent');
  });

  test('an unfinished message is not emptied', async () => {
    const { uuid, sid } = await insertOriginalRow(service, { status: 'queued' });
    twilioFinds({ status: 'sent' });
    await bulkUpdate();
    expect((await get(uuid)).status).toBe('sent');
    expect(await get(uuid)).not.toHaveProperty('redacted');
    expect(emptied(sid)).toBe(0);
  });

  test('Twilio is not asked about finished, emptied or SID-less messages', async () => {
    const finished = await insertOriginalRow(service, { status: 'delivered' });
    const emptiedBefore = await insertOriginalRow(service, { status: 'delivered', redacted: ago(0) });
    const withoutSid = await insertOriginalRow(service, { status: 'error', twilio_sid: null });
    const before = twilio.asked.length;
    expect(await bulkUpdate()).toBe(204);
    expect(twilio.asked.slice(before).map(({ path }) => sidIn(path))).toEqual([finished.sid]);
    expect([lookedUp(finished.sid), emptied(emptiedBefore.sid)]).toEqual([0, 0]);
    expect((await get(withoutSid.uuid)).status).toBe('error');
  });

  test('a deleted message is followed and emptied, too', async () => {
    const { uuid, sid } = await insertOriginalRow(service, { status: 'queued' });
    await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: tenant });
    twilioFinds({ status: 'delivered' });
    await bulkUpdate();
    expect([lookedUp(sid), emptied(sid)]).toEqual([1, 1]);
    const [row] = await service.query('SELECT status, redacted IS NULL AS open FROM message WHERE uuid = $1', [uuid]);
    expect(row).toEqual({ status: 'delivered', open: false });
  });

  test('a SID that an old database holds twice: both rows follow', async () => {
    const twilio_sid = newSid();
    const [one, two] = [
      await insertOriginalRow(service, { twilio_sid }),
      await insertOriginalRow(service, { twilio_sid }),
    ];
    twilioFinds({ status: 'delivered' });
    expect(await bulkUpdate()).toBe(204);
    for (const { uuid } of [one, two]) expect(await get(uuid)).toMatchObject({ status: 'delivered', twilio_sid });
  });
});

describe('Endpoints of the mission: bulk_update looks at the last 7 days', () => {
  test('an incomplete message of 7 days less a minute is asked about, one a minute older than 7 days is left alone', async () => {
    const young = await insertOriginalRow(service, { created: ago(7 * DAY_MS - 60_000), status: 'sent' });
    const old = await insertOriginalRow(service, { created: ago(7 * DAY_MS + 60_000), status: 'sent' });
    const before = await get(old.uuid);
    twilioFinds({ status: 'delivered' });
    expect(await bulkUpdate()).toBe(204);
    expect((await get(young.uuid)).status).toBe('delivered');
    expect(await get(old.uuid)).toEqual(before);
    // A row that is so old is polled by itself, too.
    expect(lookedUp(young.sid)).toBeGreaterThanOrEqual(1);
    expect([lookedUp(old.sid), emptied(old.sid)]).toEqual([0, 0]);
  });
});

describe('Edges: bulk update, one Twilio call fails: the others are kept', () => {
  test.each<[string, Reply]>([
    ['breaks', { status: 500, body: 'x' }],
    ['hangs up', 'hang up'],
    ['never answers', 'silence'],
    ['does not have it', { status: 404, body: { code: 20404, message: 'not found' } }],
    ['answers a web page', { status: 200, body: '<html></html>' }],
    ['answers of another type', { status: 200, body: { sid: 5, status: [] } }],
    ['is too busy', { status: 429, body: { code: 20429, message: 'x' } }],
  ])('a look-up at which Twilio %s', async (_what, reply) => {
    const [one, bad, two] = [
      await insertOriginalRow(service),
      await insertOriginalRow(service),
      await insertOriginalRow(service),
    ];
    const before = await get(bad.uuid);
    twilioFinds({ status: 'delivered' }, { [bad.sid]: reply });
    expect(await bulkUpdate()).toBe(204);
    for (const { uuid } of [one, two]) {
      expect(await get(uuid)).toMatchObject({ status: 'delivered', redacted: expect.any(String) });
    }
    expect(await get(bad.uuid)).toEqual(before);
    twilioFinds({ status: 'delivered' });
    expect(await bulkUpdate()).toBe(204);
    expect(await get(bad.uuid)).toMatchObject({ status: 'delivered', redacted: expect.any(String) });
  });

  test.each<[string, Reply]>([
    ['breaks', { status: 500, body: 'x' }],
    ['hangs up', 'hang up'],
    ['thinks it is under way', { status: 400, body: { code: 20009, message: 'x' } }],
    ['shows the text still there', { status: 200, body: resource({ body: 'still there' }) }],
  ])('a redaction at which Twilio %s is tried again the next time', async (_what, reply) => {
    const rows = [];
    for (let n = 0; n < 3; n++) rows.push(await insertOriginalRow(service, { status: 'delivered' }));
    const [one, bad, two] = rows as [(typeof rows)[0], (typeof rows)[0], (typeof rows)[0]];
    twilio.answerWith((asked) => (sidIn(asked.path) === bad.sid ? reply : healthy(asked)));
    expect(await bulkUpdate()).toBe(204);
    for (const { uuid } of [one, two]) expect(await get(uuid)).toHaveProperty('redacted');
    expect(await get(bad.uuid)).not.toHaveProperty('redacted');
    twilio.answerWith(undefined);
    expect(await bulkUpdate()).toBe(204);
    expect(await get(bad.uuid)).toHaveProperty('redacted');
  });

  test.each<[string, Reply]>([
    ['thinks under way', { status: 400, body: { code: 20009, message: 'x' } }],
    ['refuses', { status: 400, body: { code: 20001, message: 'x' } }],
    ['answers with a web page', { status: 200, body: '<html></html>' }],
  ])('200 messages that Twilio %s do not keep a later one from its turn', async (_what, reply) => {
    await service.query(`
      INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, twilio_sid,
                           status, trustomer_code, product_name)
      SELECT status || n, now() AT TIME ZONE 'utc', 'x', now() AT TIME ZONE 'utc', 'x', 's', 'r', 'c',
             'SMbad' || status || n, status, 'ouh', 'gdm'
      FROM generate_series(1, 100) AS n, unnest(ARRAY['sent', 'delivered']) AS status`);
    const { uuid } = await insertOriginalRow(service, { uuid: 'z', status: 'sent' });
    twilio.answerWith((asked) => {
      const sid = sidIn(asked.path);
      if (sid.startsWith('SMbad')) return reply;
      return asked.method === 'GET' ? { status: 200, body: resource({ sid, status: 'delivered' }) } : healthy(asked);
    });
    expect(await bulkUpdate()).toBe(204);
    expect(await get(uuid)).toMatchObject({ status: 'delivered', redacted: expect.any(String) });
  });

  test('a message that Twilio no longer has counts as emptied', async () => {
    const { uuid } = await insertOriginalRow(service, { status: 'delivered' });
    twilio.answerWith(() => ({ status: 404, body: { code: 20404, message: 'x' } }));
    await bulkUpdate();
    expect(await get(uuid)).toHaveProperty('redacted');
  });
});

describe('Edges: HEAD on bulk_update: 405', () => {
  test('and nothing runs', async () => {
    await insertOriginalRow(service, { status: 'queued' });
    const before = twilio.asked.length;
    const answer = await service.call('/dhos/v1/sms/bulk_update', { method: 'HEAD' });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, POST']);
    expect(twilio.asked).toHaveLength(before);
  });
});

test('Errors: 413 over 64 KiB, also on bulk_update, which reads no body', async () => {
  const answer = await service.call('/dhos/v1/sms/bulk_update', { method: 'POST', body: 'x'.repeat(70_000) });
  expect(answer.status).toBe(413);
});
