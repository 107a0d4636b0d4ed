import { Pool } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { metric } from '../faults/support.ts';
import { DAY_MS, type DrivenScene, MINUTE_MS, readsOf, startDrivenScene } from '../support/driven-clock.ts';
import { eventually, tenant } from '../support/service.ts';

/** With all callbacks lost, nothing but the service's own polls can tell it what became of its messages. */
const TEXTS = 5_000;
const POSTS_AT_ONCE = 32;
const WITHIN_MS = 60_000;

/** Numbers with a fate (README): every 25th text meets one of them, all others are delivered. */
const fates = ['990', '991', '992', '993', '994', '995', '996'];
const FATED_EVERY = 25;
const FOREVER = '+447700900994';

function receiverOf(n: number): string {
  if (n % FATED_EVERY === 0) return `+447700900${fates[(n / FATED_EVERY) % fates.length]}`;
  return `+447700900${String(n % 190).padStart(3, '0')}`;
}

let scene: DrivenScene;
let foreverCount = 0;

beforeAll(async () => {
  scene = await startDrivenScene();
  await sendAll();
}, 120_000);
afterAll(() => scene.stop());

async function sendAll(): Promise<void> {
  const pool = new Pool(scene.service.baseUrl, { connections: POSTS_AT_ONCE });
  const numbers = Array.from({ length: TEXTS }, (_, n) => n);
  const queue = numbers.values();
  const worker = async () => {
    for (const n of queue) {
      const { statusCode, body } = await pool.request({
        path: '/dhos/v1/sms',
        method: 'POST',
        headers: { 'content-type': 'application/json', ...tenant },
        body: JSON.stringify({ sender: '+447700900001', receiver: receiverOf(n), content: `Text number ${n}.` }),
      });
      await body.dump();
      if (statusCode !== 200 && statusCode !== 422) throw new Error(`text ${n} was answered ${statusCode}`);
    }
  };
  await Promise.all(Array.from({ length: POSTS_AT_ONCE }, worker));
  await pool.destroy();
  foreverCount = numbers.filter((n) => receiverOf(n) === FOREVER).length;
}

async function count(condition: string): Promise<number> {
  const [row] = await scene.service.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM message WHERE ${condition}`,
  );
  return row?.count ?? -1;
}

const countDue = () => count("step IS NOT NULL AND due <= now() AT TIME ZONE 'utc'");
const isOpen = "status NOT IN ('delivered', 'undelivered', 'failed', 'error')";

const everything = () => scene.service.query('SELECT to_jsonb(message) AS row FROM message ORDER BY uuid');

describe('With all callbacks lost, 5,000 messages', () => {
  test('are handed over, and no word comes of what follows', async () => {
    const statuses = await scene.service.query('SELECT DISTINCT status FROM message ORDER BY status');
    expect(statuses).toEqual([{ status: 'error' }, { status: 'queued' }]);
    expect(await count('true')).toBe(TEXTS);
    expect(readsOf(scene)).toEqual({ lists: 0, fetches: 0 });
  });

  test('reach their true final status by polling alone, ten minutes later', { timeout: 120_000 }, async () => {
    await scene.pass(10 * MINUTE_MS - 1_000);
    expect(await countDue()).toBe(0);
    await scene.pass(1_000);
    await eventually(async () => (await count(isOpen)) === foreverCount && (await countDue()) === 0, WITHIN_MS);
    await eventually(async () => (await count("status = 'queued'")) === 0, WITHIN_MS);
    await expectTruth();
    // Several rounds, for at most a thousand are claimed at once; never one by one.
    expect(readsOf(scene).fetches).toBeLessThan(TEXTS / 100);
  });

  test('are emptied at Twilio as soon as they have ended', { timeout: 120_000 }, async () => {
    await eventually(
      async () => (await count(`redacted IS NULL AND NOT (${isOpen}) AND status <> 'error'`)) === 0,
      90_000,
    );
    const stillThere = scene.simulator.judge.unredacted();
    expect(new Set(stillThere.map(({ to }) => to))).toEqual(new Set([FOREVER]));
    expect(stillThere).toHaveLength(foreverCount);
  });

  test('are not changed by a bulk update, nor by a second one', { timeout: 60_000 }, async () => {
    const before = await everything();
    for (let n = 0; n < 2; n += 1) {
      expect((await scene.service.call('/dhos/v1/sms/bulk_update', { method: 'POST' })).status).toBe(204);
      expect(await everything()).toEqual(before);
    }
    const { json } = await scene.service.call('/dhos/v1/sms/bulk_update/progress');
    expect(json).toMatchObject({ running: false, total: foreverCount, asked: foreverCount, changed: 0, failed: 0 });
  });

  /** After the poll that brought `sent`, the last news: ages of 10 min, 30 min, 2 h, 6 h, 24 h, 72 h, 7 days. */
  const pauses = [10, 20, 90, 4 * 60, 18 * 60, 48 * 60, 96 * 60].map((minutes, n) => ({ poll: n + 1, minutes }));

  test.each(pauses)(
    'that stay `sent`: poll number $poll comes after $minutes more minutes of silence, and not before',
    { timeout: 60_000 },
    async ({ poll, minutes }) => {
      const { lists, fetches } = readsOf(scene);
      await scene.pass((minutes - 1) * MINUTE_MS);
      expect(await countDue()).toBe(0);
      await scene.pass(MINUTE_MS);
      await eventually(async () => (await count(`${isOpen} AND polls = ${poll}`)) === foreverCount, WITHIN_MS);
      // The list was read, once: five pages at the most show them all.
      expect(readsOf(scene).fetches).toBe(fetches);
      expect(readsOf(scene).lists - lists).toBeLessThanOrEqual(TEXTS / 1000);
      const silent = await silentEvents();
      expect(silent).toEqual({ events: poll < 6 ? 0 : foreverCount, messages: poll < 6 ? 0 : foreverCount });
      expect(await metric(scene.service, 'sms_silent_total')).toBe(poll < 6 ? 0 : foreverCount);
    },
  );

  test('are never polled again after seven days of silence, and stay what they truthfully are', async () => {
    const before = readsOf(scene);
    for (let n = 0; n < 4; n += 1) {
      await scene.pass(30 * DAY_MS);
      expect(await countDue()).toBe(0);
    }
    expect(await count("step IS NOT NULL OR status = 'queued'")).toBe(0);
    expect(readsOf(scene)).toEqual(before);
    expect(await count("status = 'sent'")).toBe(foreverCount);
    await expectTruth();
  });

  test('never had their status taken back', async () => {
    const changes = await scene.service.query<{ status_before: string; status_after: string }>(
      'SELECT DISTINCT status_before, status_after FROM event WHERE status_before IS DISTINCT FROM status_after',
    );
    const road = ['accepted', 'queued', 'sending', 'sent', 'delivered'];
    const rank = (status: string) => (['undelivered', 'failed'].includes(status) ? 4 : road.indexOf(status));
    expect(changes.length).toBeGreaterThan(3);
    for (const { status_before, status_after } of changes)
      expect(rank(status_after)).toBeGreaterThan(rank(status_before));
  });
});

async function silentEvents(): Promise<{ events: number; messages: number } | undefined> {
  const [row] = await scene.service.query<{ events: number; messages: number }>(
    "SELECT count(*)::int AS events, count(DISTINCT message_uuid)::int AS messages FROM event WHERE kind = 'silent'",
  );
  return row;
}

/** Each row says what the simulator says: status, error code and words. */
async function expectTruth(): Promise<void> {
  const rows = await scene.service.query<{ twilio_sid: string | null; status: string; error_code: string | null }>(
    'SELECT twilio_sid, status, error_code, error_message FROM message',
  );
  const truth = new Map(scene.simulator.messages().map((message) => [message.sid, message]));
  const known = rows.filter(({ twilio_sid }) => twilio_sid !== null);
  expect(known).toHaveLength(truth.size);
  for (const { twilio_sid, ...row } of known) {
    const { status, error_code, error_message } = truth.get(twilio_sid ?? '') ?? {};
    expect(row).toEqual({ status, error_code: error_code == null ? null : String(error_code), error_message });
  }
  for (const { twilio_sid, status } of rows) if (twilio_sid === null) expect(status).toBe('error');
}
