import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Db, openDb } from '../../src/db/db.ts';
import { finishJob, readJob, renewJob, takeJob } from '../../src/db/job.ts';
import { runOnce, runUnlessRunning } from '../../src/jobs/alone.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { execute } from '../support/postgres.ts';
import { eventually } from '../support/service.ts';

/** Two replicas, as far as such work is concerned: two pools of connections to one database. */
let database: TestDatabase;
let one: Db;
let other: Db;
let jobs = 0;
let name = '';

beforeAll(async () => {
  database = await createDatabase();
  [one, other] = [openDb({ url: database.url, poolSize: 2 }), openDb({ url: database.url, poolSize: 2 })];
});
beforeEach(() => {
  jobs += 1;
  name = `job ${jobs}`;
});
afterAll(async () => {
  await Promise.all([one.close(), other.close()]);
  await database.drop();
});

const never = new AbortController().signal;
const isRunning = (db: Db) => eventually(async () => (await readJob(db, name))?.isRunning === true);
/** Work that goes on until it is told to end. */
function startWork(db: Db, stopping = never) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let times = 0;
  const ended = runOnce(
    { db, name, goesOn: false },
    async (tell) => {
      times += 1;
      tell({ times });
      await promise;
    },
    stopping,
  );
  ended.catch(() => {});
  return { ended, end: resolve, breakOff: reject, times: () => times };
}

describe('Work that one replica at a time does', () => {
  test('is done once for all who ask while it runs, and they are answered when it is over', async () => {
    const first = startWork(one);
    await isRunning(other);
    const late = [startWork(other), startWork(other), startWork(one)];
    const over: number[] = [];
    for (const [n, { ended }] of late.entries()) void ended.then(() => over.push(n));
    // As often as they look.
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(over).toEqual([]);
    first.end();
    await Promise.all([first.ended, ...late.map(({ ended }) => ended)]);
    expect([first.times(), ...late.map(({ times }) => times())]).toEqual([1, 0, 0, 0]);
    expect(await readJob(one, name)).toMatchObject({ run: 1, isRunning: false, finished: expect.any(Date) });
  });

  test('is done again for who asks after it is over', async () => {
    for (const db of [one, other]) {
      const work = startWork(db);
      work.end();
      await work.ended;
      expect(work.times()).toBe(1);
    }
    expect(await readJob(one, name)).toMatchObject({ run: 2 });
  });

  test('whose doer breaks off is done by who waited for it', async () => {
    const first = startWork(one);
    await isRunning(other);
    const second = startWork(other);
    second.end();
    first.breakOff(new Error('it broke off'));
    await expect(first.ended).rejects.toThrow('it broke off');
    await second.ended;
    expect(second.times()).toBe(1);
    expect(await readJob(one, name)).toMatchObject({ run: 2, isRunning: false, finished: expect.any(Date) });
  });

  test('whose doer has died is done by who waited, as soon as the lease is over', async () => {
    await takeJob(one, name, { holder: 'a replica that died', leaseMs: 1_500, progress: {} });
    const began = performance.now();
    const second = startWork(other);
    second.end();
    await second.ended;
    expect(second.times()).toBe(1);
    expect(performance.now() - began).toBeGreaterThan(1_000);
    expect(performance.now() - began).toBeLessThan(8_000);
  });

  test('is not begun by who does not want to wait', async () => {
    const first = startWork(one);
    await isRunning(other);
    expect(await runUnlessRunning({ db: other, name, goesOn: false }, async () => {})).toBe('is running');
    first.end();
    await first.ended;
    expect(await runUnlessRunning({ db: other, name, goesOn: false }, async () => {})).toBe('done');
  });

  test('that is waited for by a replica that stops is not said to be done', async () => {
    const stopping = new AbortController();
    const first = startWork(one);
    await isRunning(other);
    const second = startWork(other, stopping.signal);
    stopping.abort();
    await expect(second.ended).rejects.toMatchObject({ kind: 'unavailable' });
    first.end();
    await first.ended;
  });

  test('is never done by two at once, however many begin in the same moment', async () => {
    let underWay = 0;
    let most = 0;
    const work = async () => {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise((resolve) => setTimeout(resolve, 50));
      underWay -= 1;
    };
    const calls = Array.from({ length: 12 }, (_, n) =>
      runOnce({ db: n % 2 === 0 ? one : other, name, goesOn: false }, work, never),
    );
    await Promise.all(calls);
    expect(most).toBe(1);
  });
});

describe('The row of such work', () => {
  test('tells every replica how far it has come, about once a second', async () => {
    const work = startWork(one);
    await eventually(async () => (await readJob(other, name))?.progress.times === 1);
    work.end();
    await work.ended;
    expect((await readJob(other, name))?.progress).toEqual({ times: 1 });
  });

  test('says nothing of the run before once another one has begun', async () => {
    await takeJob(one, name, { holder: 'first', leaseMs: 10_000, progress: {} });
    await finishJob(one, name, 'first', { total: 7 });
    expect((await readJob(other, name))?.progress).toEqual({ total: 7 });
    await takeJob(other, name, { holder: 'second', leaseMs: 10_000, progress: {} });
    expect(await readJob(one, name)).toMatchObject({ run: 2, isRunning: true, finished: null });
    expect((await readJob(one, name))?.progress).toEqual({});
  });

  test('keeps where the last run ended for work that goes on from there', async () => {
    const alone = { db: one, name, goesOn: true };
    await runUnlessRunning(alone, async (tell) => tell({ upTo: 7 }));
    let found: unknown;
    await runUnlessRunning(alone, async () => {
      found = (await readJob(other, name))?.progress;
    });
    expect(found).toEqual({ upTo: 7 });
    expect((await readJob(other, name))?.progress).toEqual({ upTo: 7 });
  });

  test('is the latest holder’s: who slept past its lease can neither renew nor end it', async () => {
    expect(await takeJob(one, name, { holder: 'sleeper', leaseMs: 60_000, progress: {} })).toBe(1);
    expect(await takeJob(other, name, { holder: 'next', leaseMs: 60_000, progress: {} })).toBeNull();
    await execute(database.url, `UPDATE job SET until = until - interval '61 s' WHERE name = '${name}'`);
    expect((await readJob(one, name))?.isRunning).toBe(false);
    expect(await takeJob(other, name, { holder: 'next', leaseMs: 60_000, progress: {} })).toBe(2);
    expect(await renewJob(one, name, { holder: 'sleeper', leaseMs: 60_000, progress: { total: 1 } })).toBe(false);
    await finishJob(one, name, 'sleeper', { total: 1 });
    expect(await readJob(one, name)).toMatchObject({ run: 2, isRunning: true });
    expect((await readJob(one, name))?.progress).toEqual({});
    expect(await renewJob(other, name, { holder: 'next', leaseMs: 60_000, progress: { total: 2 } })).toBe(true);
    expect((await readJob(one, name))?.progress).toEqual({ total: 2 });
  });

  test('that nobody has written yet is nothing', async () => {
    expect(await readJob(one, name)).toBeNull();
  });
});
