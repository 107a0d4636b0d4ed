import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { runService } from '../support/process.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, freshText, startTestService, type TestService } from '../support/service.ts';
import {
  type Asked,
  type FakeTwilio,
  healthy,
  isCreate,
  newSid,
  type Reply,
  resource,
  sidIn,
  startFakeTwilio,
  twilioAt,
} from '../support/twilio.ts';

/** When a text is emptied, how many at once, and whom that keeps waiting. */
const AT_ONCE = 7;
const TIMEOUT_MS = 1_500;
let twilio: FakeTwilio;
let database: TestDatabase;
let service: TestService;

const env = () => ({
  ...twilioAt(twilio.url),
  TWILIO_TIMEOUT_MS: String(TIMEOUT_MS),
  TWILIO_MAX_CONCURRENCY: String(AT_ONCE),
});
beforeAll(async () => {
  twilio = await startFakeTwilio();
  database = await createDatabase();
  service = await startTestService(env(), { databaseUrl: database.url });
});
afterEach(async () => {
  twilio.answerWith(undefined);
  await service.query('DELETE FROM message');
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
  await database.drop();
});

const isUpdate = (asked: Asked) => asked.method === 'POST' && !isCreate(asked);
const updatesOf = (sid: string) => twilio.asked.filter((asked) => isUpdate(asked) && sidIn(asked.path) === sid);
const emptied: (asked: Asked) => Reply = ({ path }) => ({
  status: 200,
  body: resource({ sid: sidIn(path), status: 'delivered', body: '' }),
});
const get = async (uuid: string) => (await service.call(`/dhos/v1/sms/${uuid}`)).json;
const isRedacted = (uuid: string) => async () => (await get(uuid)).redacted;
const callback = (sid: string, status: string, query = '') =>
  service.callback({ MessageSid: sid, MessageStatus: status, AccountSid: 'ACtest' }, { query });
const makeDue = () => service.query("UPDATE message SET due = now() AT TIME ZONE 'utc' WHERE step IS NOT NULL");
const openRow = () => insertOriginalRow(service, { status: 'sent' });

describe('A text is emptied as soon as its message has ended, as we learn', () => {
  test('by a callback: once', async () => {
    const { uuid, sid } = await openRow();
    expect((await callback(sid, 'delivered')).status).toBe(204);
    await eventually(isRedacted(uuid));
    expect(updatesOf(sid)).toHaveLength(1);
  });

  test('by the answer to the create', async () => {
    twilio.answerWith((asked) =>
      isCreate(asked) ? { status: 201, body: resource({ status: 'failed', error_code: 30008 }) } : emptied(asked),
    );
    const { json } = await service.post(freshText());
    await eventually(isRedacted(json.uuid));
    expect(updatesOf(json.twilio_sid)).toHaveLength(1);
  });

  test.each([
    ['by a poll that fetches it', 1],
    ['by a poll that reads the list', 8],
  ])('%s', async (_way, count) => {
    const rows: { uuid: string; sid: string }[] = [];
    for (let n = 0; n < count; n += 1) rows.push(await openRow());
    await service.query("UPDATE message SET step = 'poll', due = now() AT TIME ZONE 'utc' - interval '1 s'");
    twilio.answerWith((asked) => {
      if (asked.method !== 'GET') return emptied(asked);
      if (!asked.path.includes('PageSize'))
        return { status: 200, body: resource({ sid: sidIn(asked.path), status: 'failed' }) };
      const date_created = new Date().toUTCString();
      const messages = rows.map(({ sid }) => resource({ sid, status: 'failed', date_created }));
      return { status: 200, body: { messages, next_page_uri: null } };
    });
    for (const { uuid } of rows) await eventually(isRedacted(uuid));
    for (const { sid } of rows) expect(updatesOf(sid)).toHaveLength(1);
  });
});

test('A text stays as long as Twilio may or may not have an identical one: its log must be able to show that', async () => {
  const text = freshText();
  const { json: first } = await service.post(text);
  twilio.answerWith((asked) => (isCreate(asked) ? 'hang up' : emptied(asked)));
  const twin = await service.post(text);
  expect([twin.status, twin.json.status]).toEqual([202, 'accepted']);
  expect((await callback(first.twilio_sid, 'delivered')).status).toBe(204);
  await service.query("UPDATE message SET due = now() AT TIME ZONE 'utc' WHERE uuid = $1", [first.uuid]);
  expect((await service.call('/dhos/v1/sms/bulk_update')).status).toBe(204);
  expect(await get(first.uuid)).not.toHaveProperty('redacted');
  expect(updatesOf(first.twilio_sid)).toEqual([]);
  expect((await callback(newSid(), 'queued', `?m=${twin.json.uuid}&a=1`)).status).toBe(204);
  await makeDue();
  await eventually(isRedacted(first.uuid));
});

test(`No more than TWILIO_MAX_CONCURRENCY (here ${AT_ONCE}) texts are emptied at once, whoever wants it`, async () => {
  let underWay = 0;
  let most = 0;
  twilio.answerWith(async (asked) => {
    if (!isUpdate(asked)) return healthy(asked);
    underWay += 1;
    most = Math.max(most, underWay);
    await new Promise((resolve) => setTimeout(resolve, 30));
    underWay -= 1;
    return emptied(asked);
  });
  const ended = [];
  for (let n = 0; n < 40; n += 1) ended.push(await insertOriginalRow(service, { status: 'delivered' }));
  const open = [];
  for (let n = 0; n < 20; n += 1) open.push(await openRow());
  await Promise.all([
    service.call('/dhos/v1/sms/bulk_update'),
    ...open.map(({ sid }) => callback(sid, 'delivered')),
    service.query("UPDATE message SET step = 'redact', due = now() AT TIME ZONE 'utc' WHERE status = 'delivered'"),
  ]);
  await makeDue();
  for (const { uuid } of [...ended, ...open]) await eventually(isRedacted(uuid), 20_000);
  expect(most).toBe(AT_ONCE);
});

describe('A callback', () => {
  /**
   * The promise is 100 ms beyond its own time. What a busy machine adds is the margin: of 40 callbacks, the 36th slowest may
   * take this much longer than the 36th slowest of those that end nothing.
   */
  const MARGIN_MS = 250;
  const slow: readonly [string, (asked: Asked) => Reply | Promise<Reply>][] = [
    ['never answers', () => 'silence'],
    ['is away', () => 'hang up'],
    [
      'answers after a second',
      async (asked) => {
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        return emptied(asked);
      },
    ],
  ];

  test.each(slow)('waits no more than 100 ms longer for a Twilio that %s', async (_what, update) => {
    const rows: { uuid: string; sid: string }[] = [];
    for (let n = 0; n < 40; n += 1) rows.push(await insertOriginalRow(service, { status: 'queued' }));
    twilio.answerWith((asked) => (isUpdate(asked) ? update(asked) : healthy(asked)));
    const timesOf = async (status: string) => {
      const times: number[] = [];
      for (let n = 0; n < rows.length; n += 4) {
        const some = rows.slice(n, n + 4).map(async ({ sid }) => {
          const began = performance.now();
          expect((await callback(sid, status)).status).toBe(204);
          times.push(performance.now() - began);
        });
        await Promise.all(some);
      }
      return times.toSorted((a, b) => a - b);
    };
    const own = await timesOf('sent');
    const final = await timesOf('delivered');
    expect(final[35] ?? 0).toBeLessThan((own[35] ?? 0) + 100 + MARGIN_MS);
    expect(final[0] ?? 0).toBeLessThan(TIMEOUT_MS);
  });
});

test('A replica that is killed while it empties texts loses none', { timeout: 90_000 }, async () => {
  const uuids: string[] = [];
  for (let n = 0; n < 20; n += 1) uuids.push((await insertOriginalRow(service, { status: 'delivered' })).uuid);
  await service.stop();
  twilio.asked.length = 0;
  twilio.answerWith((asked) => (isUpdate(asked) ? 'silence' : healthy(asked)));
  const killed = await runService({ DATABASE_URL: database.url, ...env(), LOG_FORMAT: 'plain' });
  // It takes all places, and dies with all of them taken.
  void fetch(`${killed.baseUrl}/dhos/v1/sms/bulk_update`).catch(() => {});
  await eventually(async () => twilio.asked.filter(isUpdate).length === AT_ONCE);
  killed.child.kill('SIGKILL');
  await killed.ended;
  twilio.answerWith(emptied);
  service = await startTestService(env(), { databaseUrl: database.url });
  // Its claims are over after the turn (10 s), the call (1.5 s) and 5 s more.
  for (const uuid of uuids) await eventually(isRedacted(uuid), 40_000);
});
