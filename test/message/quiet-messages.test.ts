import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { metric } from '../faults/support.ts';
import { DAY_MS, type DrivenScene, HOUR_MS, MINUTE_MS, startDrivenScene } from '../support/driven-clock.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually } from '../support/service.ts';
import { type FakeTwilio, healthy, type Reply, resource, sidIn, startFakeTwilio, twilioAt } from '../support/twilio.ts';

/** A database whose clock the tests drive, and a Twilio that answers as they wish. */
let twilio: FakeTwilio;
let scene: DrivenScene;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  scene = await startDrivenScene({}, { ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '3000' });
});
afterEach(async () => {
  twilio.answerWith(undefined);
  await scene.service.query('DELETE FROM message');
  await scene.service.query("UPDATE installation SET history_before = '-infinity'");
});
afterAll(async () => {
  await scene.stop();
  await twilio.stop();
});

type Row = { status: string; step: string | null; polls: number; minutes: number | null };
async function rowOf(uuid: string): Promise<Row> {
  const [row] = await scene.service.query<Row>(
    `SELECT status, step, polls, (extract(epoch FROM due - now() AT TIME ZONE 'utc') / 60)::float8 AS minutes
     FROM message WHERE uuid = $1`,
    [uuid],
  );
  if (row === undefined) throw new Error('there is no such row');
  return row;
}

const fetchesOf = (sid: string) => twilio.asked.filter(({ method, path }) => method === 'GET' && sidIn(path) === sid);
const listsAsked = () => twilio.asked.filter(({ method, path }) => method === 'GET' && path.includes('PageSize'));
const polled = (uuid: string, polls: number) => eventually(async () => (await rowOf(uuid)).polls === polls);

/** Twilio tells this of every message that it is asked for, as often as it is asked. */
function twilioSays(fields: Record<string, unknown>): void {
  twilio.answerWith((asked) =>
    asked.method === 'GET' ? { status: 200, body: resource({ sid: sidIn(asked.path), ...fields }) } : healthy(asked),
  );
}

async function insertFollowed(age: number, changes: Record<string, string | null> = {}) {
  const at = scene.ago(age);
  const row = await insertOriginalRow(scene.service, { created: at, modified: at, ...changes });
  return row;
}

describe('A quiet message', () => {
  test('has each poll in its history, in plain words', async () => {
    const { uuid } = await insertFollowed(0);
    await scene.pass(10 * MINUTE_MS);
    await polled(uuid, 1);
    const { json } = await scene.service.call(`/dhos/v1/sms/${uuid}/events`);
    const events = json.events ?? json;
    expect(events.at(-1)).toMatchObject({
      what: 'polled',
      actor: 'service',
      summary: 'It had been quiet: Twilio was asked, and had nothing new.',
      status_before: 'sent',
      status_after: 'sent',
    });
  });

  test('of which there is news begins the schedule again', async () => {
    const { uuid } = await insertFollowed(0, { status: 'queued' });
    twilioSays({ status: 'queued' });
    for (const [minutes, polls] of [
      [10, 1],
      [20, 2],
      [90, 3],
    ] as const) {
      await scene.pass(minutes * MINUTE_MS);
      await polled(uuid, polls);
    }
    expect(await rowOf(uuid)).toEqual({ status: 'queued', step: 'poll', polls: 3, minutes: 240 });
    twilioSays({ status: 'sending' });
    await scene.pass(240 * MINUTE_MS);
    await polled(uuid, 0);
    expect(await rowOf(uuid)).toEqual({ status: 'sending', step: 'poll', polls: 0, minutes: 10 });
  });

  test('that Twilio no longer has keeps its status, and is never asked about again', async () => {
    const { uuid, sid } = await insertFollowed(0);
    twilio.answerWith(() => ({ status: 404, body: { code: 20404, message: 'Not found.' } }));
    const before = await metric(scene.service, 'sms_status_checks_total{how="fetch",result="gone"}');
    await scene.pass(10 * MINUTE_MS);
    await polled(uuid, 1);
    expect(await rowOf(uuid)).toMatchObject({ status: 'sent', step: null });
    expect(await metric(scene.service, 'sms_status_checks_total{how="fetch",result="gone"}')).toBe(before + 1);
    const events = await scene.service.query('SELECT kind FROM event WHERE message_uuid = $1', [uuid]);
    expect(events).toEqual([{ kind: 'gone' }]);
    await scene.pass(DAY_MS);
    expect(await rowOf(uuid)).toMatchObject({ step: null });
    expect(fetchesOf(sid)).toHaveLength(1);
  });

  const away: readonly [string, Reply][] = [
    ['503', { status: 503, body: { code: 20503, message: 'x' } }],
    ['a page of HTML', { status: 502, body: '<html>' }],
    ['401', { status: 401, body: { code: 20003, message: 'x' } }],
    ['broken connections', 'hang up'],
  ];
  test.each(away)('is put off while Twilio is away (%s), and that poll does not count', async (_what, reply) => {
    const { uuid, sid } = await insertFollowed(0);
    twilio.answerWith(() => reply);
    await scene.pass(10 * MINUTE_MS);
    const row = await eventually(async () => {
      const now = await rowOf(uuid);
      return (now.minutes ?? 0) > 3 && (now.minutes ?? 0) < 7 ? now : null;
    });
    expect(row).toMatchObject({ status: 'sent', step: 'poll', polls: 0 });
    expect(await scene.service.query('SELECT kind FROM event WHERE message_uuid = $1', [uuid])).toEqual([]);
    twilioSays({ status: 'sent' });
    await scene.pass(6 * MINUTE_MS);
    await polled(uuid, 1);
    expect(fetchesOf(sid)).toHaveLength(2);
  });

  test('that a callback ends while Twilio is being asked stays ended', async () => {
    const { uuid, sid } = await insertFollowed(0);
    const { promise, resolve } = Promise.withResolvers<void>();
    twilio.answerWith(async (asked) => {
      if (asked.method !== 'GET') return healthy(asked);
      await promise;
      return { status: 200, body: resource({ sid, status: 'sent' }) };
    });
    await scene.pass(10 * MINUTE_MS);
    await eventually(async () => fetchesOf(sid).length === 1);
    const callback = await scene.service.callback({
      MessageSid: sid,
      MessageStatus: 'delivered',
      AccountSid: 'ACtest',
    });
    expect(callback.status).toBe(204);
    const before = await metric(scene.service, 'sms_status_checks_total{how="fetch",result="no news"}');
    resolve();
    await eventually(
      async () => (await metric(scene.service, 'sms_status_checks_total{how="fetch",result="no news"}')) === before + 1,
    );
    await scene.pass(DAY_MS);
    expect(await rowOf(uuid)).toMatchObject({ status: 'delivered', polls: 0 });
    expect((await rowOf(uuid)).step).not.toBe('poll');
    expect(fetchesOf(sid)).toHaveLength(1);
  });
});

describe("Rows that the platform's own SQL has written", () => {
  test('are polled from ten minutes of age on, and those that are older at once', async () => {
    const young = await insertFollowed(4 * MINUTE_MS);
    expect(await rowOf(young.uuid)).toEqual({ status: 'sent', step: 'poll', polls: 0, minutes: 6 });
    const hours = await insertFollowed(3 * HOUR_MS);
    await polled(hours.uuid, 1);
    expect(await rowOf(hours.uuid)).toMatchObject({ step: 'poll', minutes: 20 });
  });

  test('are not called silent for 72 hours before Twilio was asked for so long', async () => {
    const { uuid } = await insertFollowed(30 * HOUR_MS);
    await polled(uuid, 1);
    expect(await scene.service.query('SELECT kind FROM event WHERE message_uuid = $1', [uuid])).toEqual([
      { kind: 'polled' },
    ]);
  });

  test('are left alone when they are older than seven days, or history of a take-over', async () => {
    const old = await insertFollowed(7 * DAY_MS + MINUTE_MS);
    await scene.service.query(`UPDATE installation SET history_before = '${scene.ago(DAY_MS)}'`);
    const history = await insertFollowed(2 * DAY_MS);
    const mine = await insertFollowed(DAY_MS - MINUTE_MS);
    await scene.pass(MINUTE_MS);
    await eventually(async () => fetchesOf(mine.sid).length === 1);
    expect([await rowOf(old.uuid), await rowOf(history.uuid)]).toEqual([
      { status: 'sent', step: null, polls: 0, minutes: null },
      { status: 'sent', step: null, polls: 0, minutes: null },
    ]);
    expect([fetchesOf(old.sid), fetchesOf(history.sid)]).toEqual([[], []]);
  });
});

describe('Polls', () => {
  test('of five messages fetch them; of six, they read the list first', async () => {
    const before = listsAsked().length;
    const insertSome = async (count: number) => {
      const rows = [];
      for (let n = 0; n < count; n += 1) rows.push(await insertOriginalRow(scene.service, { created: scene.ago(0) }));
      await scene.pass(10 * MINUTE_MS);
      for (const { uuid } of rows) await polled(uuid, 1);
      return rows;
    };
    const five = await insertSome(5);
    expect(listsAsked()).toHaveLength(before);
    expect(five.map(({ sid }) => fetchesOf(sid).length)).toEqual([1, 1, 1, 1, 1]);
    await scene.service.query('DELETE FROM message');
    twilio.answerWith(async (asked) => {
      if (!asked.path.includes('PageSize')) return healthy(asked);
      const rows = await scene.service.query<{ sid: string }>('SELECT twilio_sid AS sid FROM message');
      const date_created = `${scene.ago(10 * MINUTE_MS)}Z`;
      const messages = rows.map(({ sid }) => resource({ sid, status: 'sent', date_created }));
      return { status: 200, body: { messages, next_page_uri: null } };
    });
    const six = await insertSome(6);
    expect(listsAsked()).toHaveLength(before + 1);
    expect(six.flatMap(({ sid }) => fetchesOf(sid))).toEqual([]);
  });

  test('of two replicas never ask about one message at the same time', async () => {
    await scene.startReplica();
    const rows = [];
    for (let n = 0; n < 40; n += 1) rows.push(await insertOriginalRow(scene.service, { created: scene.ago(0) }));
    // As long as this takes, the other replica looks for work several times.
    twilio.answerWith(async (asked) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      return healthy(asked);
    });
    await scene.pass(10 * MINUTE_MS);
    for (const { uuid } of rows) await polled(uuid, 1);
    expect(rows.map(({ sid }) => fetchesOf(sid).length)).toEqual(rows.map(() => 1));
  });
});
