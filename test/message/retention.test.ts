import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Db, openDb } from '../../src/db/db.ts';
import { readHashKey } from '../../src/db/installation.ts';
import { retain as retainAlone } from '../../src/jobs/retention.ts';
import { joinKeptCallbacks } from '../../src/message/callback.ts';
import { type KeyedHash, makeKeyedHash } from '../../src/message/keyed-hash.ts';
import type { Emptied } from '../../src/message/retention.ts';
import { canaries, canaryText, placesWith, RECEIVER, SENDER } from '../support/canaries.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, startTestService, type TestService, tenant } from '../support/service.ts';
import { type FakeTwilio, isCreate, newSid, startFakeTwilio, twilioAt } from '../support/twilio.ts';

const DAY_S = 86_400;

let twilio: FakeTwilio;
let service: TestService;
let db: Db;
let hash: KeyedHash;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService(twilioAt(twilio.url));
  db = openDb({ url: service.databaseUrl, poolSize: 4 });
  hash = makeKeyedHash(await readHashKey(db));
});
afterAll(async () => {
  await db.close();
  await service.stop();
  await twilio.stop();
});
beforeEach(async () => {
  twilio.answerWith(undefined);
  await service.query('TRUNCATE message, attempt, callback, event, duplicate_handover, idempotency_key, job');
});

/** A run of its own, as a replica's timetable starts it. */
async function retain(
  days: { text: number; number: number },
  more: { signal?: AbortSignal; countEmptied?: (what: string, count: number) => void; of?: Db } = {},
): Promise<Emptied | null> {
  return retainAlone({
    db: more.of ?? db,
    log: { info: () => {} },
    hash,
    countryCode: 'GB',
    days,
    stopping: more.signal ?? new AbortController().signal,
    countEmptied: more.countEmptied ?? (() => {}),
  });
}

const textFor = (days: number) => ({ text: days, number: 0 });
const numberFor = (days: number) => ({ text: 0, number: days });
const both = { text: 1, number: 1 };
const numberHash = (e164: string) => `hashed:${hash('number', [e164])}`;

type Row = Record<string, unknown> & { uuid: string };
const rowOf = async (uuid: string) => (await service.query<Row>('SELECT * FROM message WHERE uuid = $1', [uuid]))[0];
const get = async (uuid: string) => (await service.call(`/dhos/v1/sms/${uuid}`)).json;
const age = (uuid: string, seconds: number) =>
  service.query("UPDATE message SET created = (now() AT TIME ZONE 'utc') - $2 * interval '1 second' WHERE uuid = $1", [
    uuid,
    seconds,
  ]);
/** A message that Twilio took, so many seconds old. */
async function send(ageS: number, text: object = { sender: SENDER, receiver: RECEIVER, content: canaryText() }) {
  const { status, json } = await service.post(text);
  expect(status).toBe(200);
  await age(json.uuid, ageS);
  return { uuid: String(json.uuid), sid: String(json.twilio_sid) };
}
const stories = async (uuid: string) =>
  (await service.call(`/dhos/v1/sms/${uuid}/events`)).json.map((one: { what: string; summary: string }) => [
    one.what,
    one.summary,
  ]);
const countsOf = async () =>
  (await service.call('/dhos/v1/sms_status_counts?start_date=2000-01-01T00:00:00Z&end_date=2100-01-01T00:00:00Z')).json
    .data;

describe('what has had its days', () => {
  test('a text a day and a second old is emptied, one a day less a second old is not', async () => {
    const [old, young] = [await send(DAY_S + 1), await send(DAY_S - 1)];
    expect(await retain(textFor(1))).toEqual({ text: 1, number: 0, callback: 0 });
    const emptied = await get(old.uuid);
    expect(emptied).toMatchObject({ content: '', receiver: RECEIVER, content_emptied: expect.any(String) });
    expect(emptied).not.toHaveProperty('number_emptied');
    expect((await get(young.uuid)).content).toMatch(canaries);
    expect(await rowOf(old.uuid)).toMatchObject({ text_hash: null });
    expect(await rowOf(young.uuid)).toMatchObject({ text_hash: expect.any(String), content_emptied: null });
  });

  test('a number a day and a second old becomes its keyed hash, one a day less a second old stays', async () => {
    const [old, young] = [await send(DAY_S + 1), await send(DAY_S - 1)];
    expect(await retain(numberFor(1))).toEqual({ text: 0, number: 1, callback: 0 });
    expect(await get(old.uuid)).toMatchObject({
      receiver: numberHash(RECEIVER),
      content: expect.stringMatching(canaries),
      number_emptied: expect.any(String),
    });
    expect(await rowOf(old.uuid)).toMatchObject({ receiver_e164: numberHash(RECEIVER), content_emptied: null });
    expect(await get(young.uuid)).toMatchObject({ receiver: RECEIVER });
  });

  test('both by days of their own: the text first, the number later', async () => {
    const [ten, forty] = [await send(10 * DAY_S), await send(40 * DAY_S)];
    expect(await retain({ text: 7, number: 30 })).toEqual({ text: 2, number: 1, callback: 0 });
    expect(await get(ten.uuid)).toMatchObject({ content: '', receiver: RECEIVER });
    expect(await get(forty.uuid)).toMatchObject({ content: '', receiver: numberHash(RECEIVER) });
    expect((await stories(ten.uuid)).at(-1)).toEqual(['emptied', 'The text was emptied here: it had had its days.']);
    await age(ten.uuid, 31 * DAY_S);
    // Its created went back behind where the walk has come to, as only SQL can do: found a day later.
    expect(await retain({ text: 7, number: 30 })).toEqual({ text: 0, number: 0, callback: 0 });
    await service.query(`UPDATE job SET progress = progress || '{"began":"2020-01-01 00:00:00"}'`);
    expect(await retain({ text: 7, number: 30 })).toEqual({ text: 0, number: 1, callback: 0 });
  });

  test('off: nothing is emptied, however old', async () => {
    const { uuid } = await send(36_500 * DAY_S);
    expect(await retain({ text: 0, number: 0 })).toEqual({ text: 0, number: 0, callback: 0 });
    expect(await get(uuid)).toMatchObject({ receiver: RECEIVER, content: expect.stringMatching(canaries) });
  });

  test('again: nothing is left to do, and what was emptied is told once', async () => {
    const { uuid } = await send(2 * DAY_S);
    await retain(both);
    const [before, told] = [await rowOf(uuid), await stories(uuid)];
    await service.query('DELETE FROM job');
    expect(await retain(both)).toEqual({ text: 0, number: 0, callback: 0 });
    expect([await rowOf(uuid), await stories(uuid)]).toEqual([before, told]);
    expect(told.at(-1)).toEqual([
      'emptied',
      'Text and number were emptied here, a keyed hash stands for the number: it had had its days.',
    ]);
  });

  test('a deleted message is emptied as well', async () => {
    const { uuid } = await send(2 * DAY_S);
    await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: tenant });
    await retain(both);
    expect(await rowOf(uuid)).toMatchObject({ content: '', receiver: numberHash(RECEIVER) });
  });
});

describe('rows that others wrote', () => {
  const old = '2020-02-03T04:05:06.123456';

  test.each([
    ['07700 900877', '+447700900877'],
    ['tel:+44-7700-900877', '+447700900877'],
    ['nobody', 'nobody'],
  ])('the number %s becomes the hash of %s', async (receiver, hashed) => {
    const { uuid } = await insertOriginalRow(service, { created: old, receiver });
    await retain(both);
    const emptied = numberHash(hashed);
    expect(await rowOf(uuid)).toMatchObject({ content: '', receiver: emptied, receiver_e164: emptied });
  });

  test('history of a take-over is emptied too: this is about our own copy', async () => {
    await service.query("UPDATE installation SET history_before = now() AT TIME ZONE 'utc'");
    const { uuid } = await insertOriginalRow(service, { created: old, status: 'delivered' });
    await retain(both);
    expect(await rowOf(uuid)).toMatchObject({ content: '', redacted: null });
    await service.query("UPDATE installation SET history_before = '-infinity'");
  });

  test('the words of an old client in error_code and error_message go, a code of Twilio stays with our sentence', async () => {
    const words = { created: old, error_code: 'tweety', error_message: 'Mrs Tweety did not answer' };
    const [own, code] = [
      await insertOriginalRow(service, words),
      await insertOriginalRow(service, { ...words, error_code: '30003' }),
    ];
    await retain(textFor(1));
    expect(await rowOf(own.uuid)).toMatchObject({ error_code: null, error_message: null });
    expect(await rowOf(code.uuid)).toMatchObject({
      error_code: '30003',
      error_message: 'The handset could not be reached: switched off or without signal.',
    });
  });

  test('a thousand rows of one and the same moment are all emptied', async () => {
    const one = await insertOriginalRow(service, { created: old });
    await service.query(
      `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, twilio_sid,
                            trustomer_code, product_name)
       SELECT 'tie-' || n, created, created_by_, modified, modified_by_, sender, receiver, content, status, 'SM' || n,
              trustomer_code, product_name FROM message, generate_series(1, 1000) n WHERE uuid = $1`,
      [one.uuid],
    );
    const counted = { text: 0, number: 0, callback: 0 };
    const countEmptied = (what: string, count: number) => {
      counted[what as keyof typeof counted] += count;
    };
    expect(await retain(both, { countEmptied })).toEqual({ text: 1001, number: 1001, callback: 0 });
    expect(counted).toEqual({ text: 1001, number: 1001, callback: 0 });
  });
});

describe('a text that is still needed', () => {
  test.each([
    ['send', false],
    ['resolve', true],
    ['resolve', false],
    ['look back', false],
    ['verify', false],
    [null, true],
  ])(
    'step %s, unresolved %s: it waits, holds the place, and is emptied when that is over',
    async (step, unresolved) => {
      const waiting = await send(3 * DAY_S);
      const later = await send(2 * DAY_S);
      await service.query(
        "UPDATE message SET step = $2, unresolved = $3, due = now() AT TIME ZONE 'utc' + interval '1 day' WHERE uuid = $1",
        [waiting.uuid, step, unresolved],
      );
      expect(await retain(both)).toEqual({ text: 1, number: 1, callback: 0 });
      expect(await rowOf(waiting.uuid)).toMatchObject({ content: expect.stringMatching(canaries), receiver: RECEIVER });
      expect(await rowOf(later.uuid)).toMatchObject({ content: '' });
      await service.query('UPDATE message SET step = NULL, unresolved = false, due = NULL WHERE uuid = $1', [
        waiting.uuid,
      ]);
      expect(await retain(both)).toEqual({ text: 1, number: 1, callback: 0 });
      expect(await rowOf(waiting.uuid)).toMatchObject({ content: '' });
    },
  );

  test.each([
    ['poll', 'sent'],
    ['redact', 'delivered'],
    [null, 'sent'],
    [null, 'unconfirmed'],
  ])('step %s, status %s: not needed, emptied', async (step, status) => {
    const { uuid } = await send(2 * DAY_S);
    await service.query('UPDATE message SET step = $2, status = $3 WHERE uuid = $1', [uuid, step, status]);
    expect(await retain(both)).toMatchObject({ text: 1, number: 1 });
    expect(await rowOf(uuid)).toMatchObject({ step, status });
  });
});

describe('nothing of the patient is left', () => {
  const callBack = (uuid: string, sid: string, MessageStatus: string, more: Record<string, string> = {}) =>
    service.callback({ MessageSid: sid, MessageStatus, ...more }, { query: `?m=${uuid}&a=1` });

  test('in no column of any table, nor in the history', async () => {
    const { uuid, sid } = await send(0);
    await callBack(uuid, sid, 'sent', { To: RECEIVER, Body: canaryText(), Tweety: 'Mrs Tweety', SmsStatus: 'sent' });
    await callBack(uuid, sid, 'undelivered', {
      ErrorCode: '30003',
      ErrorMessage: `${RECEIVER} is off`,
      ApiVersion: '1',
    });
    await eventually(async () => (await rowOf(uuid))?.redacted);
    twilio.answerWith((asked) =>
      isCreate(asked) ? { status: 400, body: { code: 21211, message: `${RECEIVER}: ${canaryText()}` } } : 'hang up',
    );
    const refused = await service.post(
      {
        sender: SENDER,
        receiver: '07700 900877',
        content: canaryText(),
        error_message: 'Tweety',
        error_code: 'tweety',
      },
      { ...tenant, 'idempotency-key': 'tweety-1' },
    );
    expect(refused.status).toBe(422);
    twilio.answerWith((asked) => (isCreate(asked) ? 'hang up' : { status: 500, body: canaryText() }));
    const lost = await service.post({ sender: SENDER, receiver: RECEIVER, content: canaryText() });
    expect(lost.status).toBe(202);
    await service.query("UPDATE message SET due = now() AT TIME ZONE 'utc' WHERE step = 'resolve'");
    await eventually(async () => service.logged().includes("looked in Twilio's log"));
    await service.query(
      "UPDATE message SET step = NULL, due = NULL, unresolved = false, status = 'unconfirmed' WHERE step = 'resolve'",
    );
    await insertOriginalRow(service, { receiver: '07700900877', content: canaryText(), error_message: 'Tweety' });
    await service.callback({
      MessageSid: newSid(),
      MessageStatus: 'sent',
      Nobody: `${canaryText()}`,
      SmsStatus: 'sent',
    });

    expect(await placesWith(service, canaries)).toEqual([
      'callback.parameters',
      'message.content',
      'message.error_message',
      'message.receiver',
      'message.receiver_e164',
    ]);
    await service.query("UPDATE message SET created = created - interval '2 days'");
    await service.query("UPDATE callback SET received = received - interval '2 days'");
    expect(await retain(both)).toEqual({ text: 4, number: 4, callback: 1 });
    expect(await placesWith(service, canaries)).toEqual([]);
    for (const one of await service.query<Row>('SELECT uuid FROM message')) {
      expect((await service.call(`/dhos/v1/sms/${one.uuid}/events`)).text).not.toMatch(canaries);
    }
    const callbacks = await service.query<{ parameters: object }>('SELECT parameters FROM callback ORDER BY id');
    expect(callbacks.map(({ parameters }) => Object.keys(parameters).toSorted())).toEqual([
      ['MessageSid', 'MessageStatus', 'SmsStatus'],
      ['ApiVersion', 'ErrorCode', 'MessageSid', 'MessageStatus'],
      ['MessageSid', 'MessageStatus', 'SmsStatus'],
    ]);
  });

  test('a kept callback that is younger than the days stays as it came', async () => {
    await service.callback({ MessageSid: newSid(), MessageStatus: 'sent', Unknown: 'Tweety' });
    expect(await retain(both)).toEqual({ text: 0, number: 0, callback: 0 });
    expect(await placesWith(service, canaries)).toEqual(['callback.parameters']);
  });
});

describe('life goes on', () => {
  test('a late callback still moves the status of an emptied message, and its text is emptied at Twilio', async () => {
    const { uuid, sid } = await send(2 * DAY_S);
    await retain(both);
    await service.callback({ MessageSid: sid, MessageStatus: 'delivered' });
    expect(await eventually(async () => ((await get(uuid)).redacted ? get(uuid) : null))).toMatchObject({
      status: 'delivered',
      content: '',
      receiver: numberHash(RECEIVER),
    });
    expect(twilio.asked.some(({ path, form }) => path.includes(sid) && form.Body === '')).toBe(true);
  });

  test('what comes late for an emptied message leaves nothing of the patient behind', async () => {
    const { uuid, sid } = await send(2 * DAY_S);
    const unknown = newSid();
    await retain(both);
    const fields = {
      MessageStatus: 'undelivered',
      ErrorCode: '30003',
      ErrorMessage: `${RECEIVER} is off`,
      Unknown: 'Tweety',
    };
    await service.callback({ MessageSid: sid, ...fields });
    await service.callback({ MessageSid: sid, ...fields }, { query: `?m=${uuid}&a=1` });
    expect(await rowOf(uuid)).toMatchObject({ status: 'undelivered', error_code: '30003', error_message: null });
    // One that came before anybody knew its SID, and is joined now.
    await service.callback({ MessageSid: unknown, ...fields });
    const other = await insertOriginalRow(service, { created: '2020-01-01T00:00:00', twilio_sid: newSid() });
    await service.query('DELETE FROM job');
    await retain(both);
    await service.query('UPDATE message SET twilio_sid = $2 WHERE uuid = $1', [other.uuid, unknown]);
    await joinKeptCallbacks(db);
    expect(await rowOf(other.uuid)).toMatchObject({ status: 'undelivered' });
    expect(await placesWith(service, canaries)).toEqual([]);
  });

  test('a SID that comes late for an emptied message starts no look in the log: there is nothing to look for', async () => {
    const { uuid } = await send(2 * DAY_S);
    await service.query(
      "UPDATE message SET twilio_sid = NULL, handed_over = NULL, status = 'unconfirmed', step = NULL, due = NULL, attempts = 2 WHERE uuid = $1",
      [uuid],
    );
    await service.query("UPDATE attempt SET outcome = 'absent' WHERE message_uuid = $1", [uuid]);
    await retain(both);
    await service.callback({ MessageSid: newSid(), MessageStatus: 'sent' }, { query: `?m=${uuid}&a=2` });
    expect(await rowOf(uuid)).toMatchObject({ status: 'sent', step: 'poll' });
  });

  test('its idempotency key still stands for it: the same request is answered with the emptied message', async () => {
    const text = { sender: SENDER, receiver: RECEIVER, content: canaryText() };
    const headers = { ...tenant, 'idempotency-key': 'retention-1' };
    const first = await service.post(text, headers);
    await age(first.json.uuid, 2 * DAY_S);
    await retain(both);
    const again = await service.post(text, headers);
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([200, 'true']);
    expect(again.json).toMatchObject({ uuid: first.json.uuid, content: '' });
  });

  test('the same text may be sent again at once: it has no twin', async () => {
    const text = { sender: SENDER, receiver: RECEIVER, content: canaryText() };
    await send(2 * DAY_S, text);
    await retain(both);
    expect((await service.post(text)).status).toBe(200);
  });

  test('emptied messages are counted as before, and their numbers count apart as before', async () => {
    const receivers = ['+447700900101', '07700 900101', '+447700900102', '0044 7700 900103', '+447700900103'];
    const statuses = ['sent', 'delivered', 'failed', 'delivered', null];
    for (const [n, receiver] of receivers.entries()) {
      await insertOriginalRow(service, {
        created: `2020-01-0${n + 1}T12:00:00`,
        receiver,
        status: statuses[n] ?? null,
      });
    }
    const before = await countsOf();
    expect(await retain(both)).toMatchObject({ text: 5, number: 5 });
    expect(await countsOf()).toEqual(before);
    const apart = await service.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM message GROUP BY receiver ORDER BY 1',
    );
    expect(apart.map(({ count }) => count)).toEqual([1, 2, 2]);
  });
});

describe('with others at work', () => {
  /** Rows of the platform's own SQL, all of them old. */
  const insertMany = (count: number) =>
    service.query(
      `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, twilio_sid,
                            trustomer_code, product_name)
       SELECT 'many-' || n, timestamp '2021-01-01' + n * interval '1 minute', 'x', now(), 'x', '+447700900001',
              '+447700900' || lpad((n % 1000)::text, 3, '0'), 'Canary of row ' || n, 'sent', 'SMmany' || n, 'ouh', 'gdm'
       FROM generate_series(1, $1::int) n`,
      [count],
    );
  const full = async () =>
    (await service.query<{ count: number }>("SELECT count(*)::int AS count FROM message WHERE content <> ''"))[0]
      ?.count;

  test('a row that somebody holds is not waited for; the next run empties it', async () => {
    await insertMany(300);
    const emptied = await db.transaction(async (tx) => {
      await tx.query({ text: "SELECT FROM message WHERE uuid = 'many-150' FOR UPDATE" });
      return retain(both);
    });
    expect(emptied).toEqual({ text: 299, number: 299, callback: 0 });
    expect(await retain(both)).toEqual({ text: 1, number: 1, callback: 0 });
  });

  test('writers that change the same rows lose nothing, and neither does the emptying', async () => {
    await insertMany(500);
    let isOver = false;
    const retaining = retain(both).finally(() => {
      isOver = true;
    });
    let moved = 0;
    for (let n = 1; !isOver || n <= 500; n = n === 500 && !isOver ? 1 : n + 1) {
      await service.query("UPDATE message SET status = 'delivered' WHERE uuid = $1", [`many-${n}`]);
      moved += 1;
    }
    await retaining;
    await retain(both);
    expect(moved).toBeGreaterThanOrEqual(500);
    const rows = await service.query(
      "SELECT DISTINCT status, content, receiver LIKE 'hashed:%' AS hashed FROM message",
    );
    expect(rows).toEqual([{ status: 'delivered', content: '', hashed: true }]);
    const told = await service.query<{ count: number }>(
      "SELECT count(*)::int AS count FROM event WHERE kind = 'emptied'",
    );
    expect(told).toEqual([{ count: 500 }]);
  });

  test.each([
    ['receiver', '+447700900999', { content: '', receiver: '+447700900999' }],
    ['receiver_e164', '+447700900998', { content: '', receiver: '+447700900998' }],
    ['error_code', '30005', { content: '', error_message: 'The carrier does not know the receiver.' }],
    ['step', 'resolve', { content: 'Canary of row 2', content_emptied: null }],
  ])('when SQL changes %s between reading and writing, what it wrote counts', async (column, value, expected) => {
    await insertMany(3);
    let isChanged = false;
    const interposed: Db = {
      ...db,
      query: async (statement) => {
        const result = await db.query(statement);
        // The batch has been read.
        if (statement.text.includes('AS waits') && !isChanged) {
          isChanged = true;
          await service.query(`UPDATE message SET ${column} = $1 WHERE uuid = 'many-2'`, [value]);
        }
        return result as never;
      },
    };
    await retain(both, { of: interposed });
    await retain(both);
    const receiver = 'receiver' in expected ? { receiver: numberHash(expected.receiver) } : {};
    expect(await rowOf('many-2')).toMatchObject({ ...expected, ...receiver });
  });

  test('two replicas at once: one does it, the other finds the turn taken', async () => {
    await insertMany(1_000);
    const other = openDb({ url: service.databaseUrl, poolSize: 2 });
    try {
      const results = await Promise.all([retain(both), retain(both, { of: other })]);
      expect(results.filter((result) => result === null)).toHaveLength(1);
      expect(results.filter((result) => result !== null)).toEqual([{ text: 1_000, number: 1_000, callback: 0 }]);
    } finally {
      await other.close();
    }
  });

  test('the turn of a replica that died is taken over when its time is over, not before', async () => {
    await insertMany(10);
    await service.query(
      "INSERT INTO job (name, holder, until) VALUES ('retention', 'dead', now() AT TIME ZONE 'utc' + interval '1 minute')",
    );
    expect(await retain(both)).toBeNull();
    await service.query("UPDATE job SET until = now() AT TIME ZONE 'utc' - interval '1 second'");
    expect(await retain(both)).toMatchObject({ text: 10 });
  });

  test('stopped in the middle it leaves whole batches, and goes on from there', async () => {
    await insertMany(1_500);
    const stopping = new AbortController();
    const first = await retain(both, { signal: stopping.signal, countEmptied: () => stopping.abort() });
    expect(first?.text).toBeGreaterThan(0);
    expect(await full()).toBe(1_500 - (first?.text ?? 0));
    const halves = await service.query(
      'SELECT uuid FROM message WHERE (content_emptied IS NULL) <> (number_emptied IS NULL)',
    );
    expect(halves).toEqual([]);
    expect(await retain(both)).toMatchObject({ text: 1_500 - (first?.text ?? 0) });
    expect(await full()).toBe(0);
  });

  test('broken off by PostgreSQL in the middle of a batch, nothing of the batch stands', async () => {
    await insertMany(100);
    const own = openDb({ url: service.databaseUrl, poolSize: 1 });
    const running = retain(both, { of: own }).then(
      () => 'done',
      () => 'broke off',
    );
    await db.transaction(async (tx) => {
      // Rows are emptied before that is told in the history, which cannot be done now.
      await tx.query({ text: 'LOCK TABLE event IN ACCESS EXCLUSIVE MODE' });
      await eventually(async () => {
        const waiting = await service.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE wait_event_type = 'Lock' AND query LIKE '%content_emptied = CASE%' AND datname = current_database()`,
        );
        return waiting.length > 0;
      });
    });
    expect(await running).toBe('broke off');
    await own.close();
    expect(await full()).toBe(100);
    await service.query('DELETE FROM job');
    expect(await retain(both)).toMatchObject({ text: 100, number: 100 });
  });
});

describe('by itself', () => {
  const TEN_MINUTES_MS = 600_000;

  /** A service of its own, ten minutes after its start as its timetable sees it. */
  async function afterTenMinutes(
    env: Record<string, string>,
    check: (own: TestService) => Promise<void>,
  ): Promise<void> {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const own = await startTestService({ ...twilioAt(twilio.url), ...env });
    try {
      await insertOriginalRow(own, { created: '2020-02-03T04:05:06', receiver: RECEIVER, content: canaryText() });
      vi.advanceTimersByTime(TEN_MINUTES_MS);
      await check(own);
    } finally {
      vi.useRealTimers();
      await own.stop();
    }
  }

  test('a service with days for the text empties texts every ten minutes, counts them and logs counts only', async () => {
    await afterTenMinutes({ CONTENT_RETENTION_DAYS: '30' }, async (own) => {
      await eventually(async () => own.logged().includes('texts and numbers whose days are over were emptied'));
      expect(await placesWith(own, canaries)).toEqual(['message.receiver']);
      expect((await own.call('/metrics')).text).toContain('sms_emptied_total{what="text"} 1');
      expect(own.logged()).not.toMatch(canaries);
    });
  });

  test('a service without days never takes the turn', async () => {
    await afterTenMinutes({}, async (own) => {
      // What the timetable began at the same moment is over when its locks and statements are.
      await own.call('/dhos/v1/sms/bulk_update', { method: 'POST' });
      expect(await own.query('SELECT name FROM job WHERE name = $1', ['retention'])).toEqual([]);
      expect(await placesWith(own, canaries)).toEqual(['message.content', 'message.receiver']);
    });
  });
});
