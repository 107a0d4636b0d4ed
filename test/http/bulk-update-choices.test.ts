import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService } from '../support/service.ts';
import {
  type Asked,
  type FakeTwilio,
  healthy,
  newSid,
  type Reply,
  resource,
  sidIn,
  startFakeTwilio,
  twilioAt,
} from '../support/twilio.ts';

/** Bulk updates at a Twilio that answers as a test wishes: between its list and fetches, and how fast. */
let twilio: FakeTwilio;
let service: TestService;
/** When each request for this address came. */
const times: { readonly asked: Asked; readonly at: number }[] = [];

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '5000' });
});
afterEach(async () => {
  twilio.answerWith(undefined);
  await service.query('DELETE FROM message');
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

type Row = { readonly uuid: string; readonly sid: string };
async function insertSome(count: number): Promise<Row[]> {
  const rows = [];
  for (let n = 0; n < count; n += 1) rows.push(await insertOriginalRow(service, { status: 'queued' }));
  return rows;
}

const isList = ({ method, path }: Asked) => method === 'GET' && path.includes('PageSize');
const isFetch = ({ method, path }: Asked) => method === 'GET' && !path.includes('PageSize');
const date_created = () => new Date().toUTCString().replace('GMT', '+0000');
const listed = (messages: object[], next: string | null = null): Reply => ({
  status: 200,
  body: { messages: messages.map((message) => ({ date_created: date_created(), ...message })), next_page_uri: next },
});
const found = (asked: Asked, fields: Record<string, unknown> = { status: 'delivered' }): Reply => ({
  status: 200,
  body: resource({ sid: sidIn(asked.path), ...fields }),
});
const tooMany = (retryAfterS: number): Reply => ({
  status: 429,
  headers: { 'retry-after': String(retryAfterS) },
  body: { code: 20429, message: 'Too Many Requests', status: 429 },
});

/** Answers reads as told, empties whatever it is asked to, and notes when it was asked. */
function answerReads(read: (asked: Asked) => Reply | Promise<Reply>): void {
  times.length = 0;
  twilio.answerWith((asked) => {
    if (asked.method !== 'GET') return found(asked, { status: 'delivered', body: '' });
    times.push({ asked, at: performance.now() });
    return read(asked);
  });
}

async function bulkUpdate(): Promise<void> {
  expect((await service.call('/dhos/v1/sms/bulk_update', { method: 'POST' })).status).toBe(204);
}
const statusesOf = async () =>
  (await service.query<{ status: string }>('SELECT status FROM message')).map(({ status }) => status);
const progress = async () => (await service.call('/dhos/v1/sms/bulk_update/progress')).json;

describe('Between the list and fetches', () => {
  test('five messages are fetched; of six the list is read first', async () => {
    for (const [count, lists] of [
      [5, 0],
      [6, 1],
    ] as const) {
      await service.query('DELETE FROM message');
      const rows = await insertSome(count);
      answerReads((asked) =>
        isList(asked) ? listed(rows.map(({ sid }) => resource({ sid, status: 'delivered' }))) : found(asked),
      );
      await bulkUpdate();
      expect(times.filter(({ asked }) => isList(asked))).toHaveLength(lists);
      expect(times.filter(({ asked }) => isFetch(asked))).toHaveLength(lists === 0 ? count : 0);
      expect(await statusesOf()).toEqual(Array(count).fill('delivered'));
    }
  });

  test("a list that others' messages fill is given up as soon as it no longer pays", async () => {
    const rows = await insertSome(60);
    await service.query("UPDATE message SET created = created - random() * interval '1 day'");
    let pages = 0;
    answerReads((asked) => {
      if (!isList(asked)) return found(asked);
      pages += 1;
      const others = Array.from({ length: 1_000 }, () => resource({ status: 'sent' }));
      return listed(
        others,
        `/2010-04-01/Accounts/ACtest/Messages.json?PageSize=1000&Page=${pages}&PageToken=P${pages}`,
      );
    });
    await bulkUpdate();
    expect(times.filter(({ asked }) => isList(asked)).length).toBeLessThanOrEqual(2);
    expect(new Set(times.filter(({ asked }) => isFetch(asked)).map(({ asked }) => sidIn(asked.path)))).toEqual(
      new Set(rows.map(({ sid }) => sid)),
    );
    expect(await statusesOf()).toEqual(Array(60).fill('delivered'));
  });

  test('a list that leads in circles is left before it costs more than the fetches it could save', async () => {
    await insertSome(100);
    answerReads((asked) =>
      isList(asked)
        ? listed([resource({ status: 'sent' })], '/2010-04-01/Accounts/ACtest/Messages.json?PageSize=1000&Page=1')
        : found(asked),
    );
    await bulkUpdate();
    expect(times.filter(({ asked }) => isList(asked)).length).toBeLessThanOrEqual(100 / 5);
    expect(await statusesOf()).toEqual(Array(100).fill('delivered'));
  });

  test('fetches run ten at once, and no more', async () => {
    await insertSome(80);
    let underWay = 0;
    let most = 0;
    answerReads(async (asked) => {
      if (isList(asked)) return listed([]);
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise((resolve) => setTimeout(resolve, 20));
      underWay -= 1;
      return found(asked);
    });
    await bulkUpdate();
    expect(most).toBe(10);
    expect(await statusesOf()).toEqual(Array(80).fill('delivered'));
  });

  test('a SID that an old database holds twice: the list tells both rows', async () => {
    const twice = newSid();
    const rows = [
      ...(await insertSome(6)),
      await insertOriginalRow(service, { twilio_sid: twice, status: 'queued' }),
      await insertOriginalRow(service, { twilio_sid: twice, status: 'sent' }),
    ];
    const sids = new Set(rows.map(({ sid }) => sid));
    answerReads((asked) =>
      isList(asked)
        ? listed([...sids].map((sid) => resource({ sid, status: 'undelivered', error_code: 30003 })))
        : 'hang up',
    );
    await bulkUpdate();
    expect(await statusesOf()).toEqual(Array(8).fill('undelivered'));
    expect(await progress()).toMatchObject({ total: 8, asked: 8, changed: 8, failed: 0 });
  });

  test('a list that is behind takes no status back', async () => {
    const rows = await insertSome(8);
    await service.query("UPDATE message SET status = 'sent'");
    answerReads((asked) =>
      isList(asked) ? listed(rows.map(({ sid }) => resource({ sid, status: 'queued' }))) : found(asked),
    );
    await bulkUpdate();
    expect(await statusesOf()).toEqual(Array(8).fill('sent'));
  });

  test('one entry of the list that cannot be recorded harms no other', async () => {
    const rows = await insertSome(20);
    const bad = rows[7]?.sid;
    answerReads((asked) =>
      isList(asked)
        ? listed(
            rows.map(({ sid }) =>
              resource({ sid, status: 'failed', error_code: 30008, error_message: sid === bad ? 'a \0 in it' : null }),
            ),
          )
        : found(asked),
    );
    await bulkUpdate();
    const statuses = await statusesOf();
    expect(statuses.filter((status) => status === 'failed')).toHaveLength(19);
    expect(await progress()).toMatchObject({ total: 20, asked: 20, changed: 19, failed: 1 });
  });
});

describe('429 with Retry-After', () => {
  test('on the list: it is asked for again when Twilio said, and is not given up', async () => {
    const rows = await insertSome(10);
    let lists = 0;
    answerReads((asked) => {
      if (!isList(asked)) return found(asked);
      lists += 1;
      return lists === 1 ? tooMany(2) : listed(rows.map(({ sid }) => resource({ sid, status: 'delivered' })));
    });
    await bulkUpdate();
    const [first, second] = times.map(({ at }) => at);
    expect(times).toHaveLength(2);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(1_990);
    expect(await statusesOf()).toEqual(Array(10).fill('delivered'));
  });

  test('on a fetch: all wait until Twilio said, and every message has its turn', async () => {
    await insertSome(40);
    let refusedAt = 0;
    let fetches = 0;
    answerReads((asked) => {
      if (isList(asked)) return listed([]);
      fetches += 1;
      if (fetches !== 15) return found(asked);
      refusedAt = performance.now();
      return tooMany(2);
    });
    await bulkUpdate();
    // Nine more may have been on their way, and take no longer than this.
    const meanwhile = times.filter(({ at }) => at > refusedAt + 500 && at < refusedAt + 1_990);
    expect(meanwhile).toEqual([]);
    expect(times.filter(({ at }) => at >= refusedAt + 1_990).length).toBeGreaterThan(10);
    expect(await statusesOf()).toEqual(Array(40).fill('delivered'));
    expect(await progress()).toMatchObject({ total: 40, asked: 40, failed: 0 });
  });

  test('again and again: it ends, the rest is left for the next time, and that one brings it', {
    timeout: 60_000,
  }, async () => {
    await insertSome(30);
    answerReads((asked) => (isList(asked) ? listed([]) : tooMany(0)));
    await bulkUpdate();
    expect(await statusesOf()).toEqual(Array(30).fill('queued'));
    answerReads((asked) => (isList(asked) ? listed([]) : found(asked)));
    await bulkUpdate();
    expect(await statusesOf()).toEqual(Array(30).fill('delivered'));
  });
});

test('A healthy Twilio that has no list is asked for each message by itself', async () => {
  await insertSome(7);
  twilio.answerWith((asked) => (asked.method === 'GET' && isFetch(asked) ? found(asked) : healthy(asked)));
  await bulkUpdate();
  expect(await statusesOf()).toEqual(Array(7).fill('delivered'));
});
