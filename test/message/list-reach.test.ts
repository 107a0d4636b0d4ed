import { describe, expect, test } from 'vitest';
import { reachOfList } from '../../src/message/list-reach.ts';

const NOW = Date.UTC(2026, 10, 24);
const HOUR_MS = 3_600_000;
const openAt = (hoursAgo: number) => ({ created: new Date(NOW - hoursAgo * HOUR_MS) });
/** So many messages of ours an hour, open or not. */
const hourly = (count: number) => async (since: Date) => Math.ceil(((NOW - since.getTime()) / HOUR_MS) * count);
const spread = (count: number, overHours: number) =>
  Array.from({ length: count }, (_, n) => openAt(((n + 1) * overHours) / count));

describe('How far back Twilio’s list is worth reading', () => {
  test('to the oldest open message, when they are many', async () => {
    const open = spread(10_000, 24);
    expect(await reachOfList(open, hourly(10_000))).toEqual({
      until: open.at(-1)?.created,
      wanted: 10_000,
      ours: 240_000,
      mostPages: 500,
    });
  });

  test('not at all for five or fewer, nor when each page would show five or fewer', async () => {
    expect(await reachOfList([], hourly(1))).toBeNull();
    expect(await reachOfList(spread(5, 1), hourly(1))).toBeNull();
    expect(await reachOfList(spread(6, 1), hourly(1))).not.toBeNull();
    expect(await reachOfList(spread(500, 100), hourly(1_000))).toBeNull();
    expect(await reachOfList(spread(501, 100), hourly(1_000))).not.toBeNull();
  });

  test('one old message in a busy account is left to a fetch, and keeps no thousand fresh ones from the list', async () => {
    const fresh = spread(1_000, 1);
    const reach = await reachOfList([openAt(144), ...fresh], hourly(2_000));
    expect(reach?.wanted).toBe(901);
    expect(reach?.until.getTime()).toBeGreaterThanOrEqual(NOW - HOUR_MS);
  });

  test('old ones behind many pages without any open message are still worth the way, if they are many', async () => {
    const open = Array.from({ length: 1_000 }, () => openAt(72));
    expect((await reachOfList(open, hourly(1_000)))?.wanted).toBe(1_000);
    expect(await reachOfList(open.slice(0, 360), hourly(1_000))).toBeNull();
  });
});
