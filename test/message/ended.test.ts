import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDb } from '../../src/db/db.ts';
import { markDeleted } from '../../src/message/messages.ts';
import { openTwilioClient } from '../../src/twilio/client.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { startFakeTwilio } from '../support/twilio.ts';
import { begin, type Driver, perform } from './status-driver.ts';
import { isEnd, type Step } from './status-model.ts';
import { type Planned, plan, withSid } from './status-plans.ts';

/** When a message ended: the moment of the evidence, whatever order it comes in. */
const RUNS = 400;
const TAKES_MS = 120_000;
let database: TestDatabase;
let driver: Driver;

beforeAll(async () => {
  database = await createDatabase();
  const fake = await startFakeTwilio();
  const twilio = openTwilioClient({
    accountSid: 'AC1',
    authTokens: ['token'],
    apiKey: null,
    baseUrl: fake.url,
    timeoutMs: 5_000,
    maxConcurrency: 5,
  });
  driver = { db: openDb({ url: database.url, poolSize: 3 }), twilio, fake };
});
afterAll(async () => {
  await driver.twilio.close();
  await driver.fake.stop();
  await driver.db.close();
  await database.drop();
});

type Row = { status: string | null; ended: Date | null; modified: Date };

async function rowOf(uuid: string): Promise<Row> {
  const { rows } = await driver.db.query<Row>({
    text: 'SELECT status, ended, modified FROM message WHERE uuid = $1',
    values: [uuid],
  });
  return rows[0] as Row;
}

/** Each callback of this SID, in the order they came. */
async function callbacksOf(sid: string): Promise<{ word: string; received: Date }[]> {
  const { rows } = await driver.db.query<{ word: string; received: Date }>({
    text: 'SELECT message_status AS word, received FROM callback WHERE twilio_sid = $1 ORDER BY id',
    values: [sid],
  });
  return rows;
}

const isFinal = (status: string | null) => isEnd(status) || status === 'read';

/** What `ended` has to be after a step that may have changed the status, from the rows of the callbacks and nothing else. */
async function expectedAfter(step: Step, before: Row, after: Row, sid: string): Promise<Date | null> {
  if (after.status === before.status) return before.ended;
  if (!isFinal(after.status)) return null;
  if (before.status === 'delivered' && after.status === 'read') return before.ended;
  const told = (await callbacksOf(sid)).filter(({ word }) => word === after.status);
  const isContested = isEnd(before.status) && isEnd(after.status);
  if (step.kind === 'join' || isContested) return told[0]?.received ?? after.modified;
  if (step.kind === 'callback') return told.at(-1)?.received ?? null;
  return after.modified;
}

const callback = (word: string, bearsOurId = true): Planned => ({
  kind: 'callback',
  sid: 0,
  word,
  code: null,
  dateSent: null,
  bearsOurId,
});
const asked = (word: string): Planned => ({ kind: 'verify', sid: 0, word, code: null, dateSent: null });
const answer = (word: string): Planned => ({ kind: 'answer', sid: 0, word, code: null, dateSent: null });
const recorded = { status: 'accepted', hasSid: false, isPlaceholder: false };

async function run(steps: readonly Planned[], start: Parameters<typeof begin>[1] = recorded) {
  const { world, sids } = await begin(driver.db, start);
  const { uuid } = world.row;
  const seen: Row[] = [await rowOf(uuid)];
  for (const step of steps) {
    await perform(driver, uuid, withSid(step, sids));
    seen.push(await rowOf(uuid));
  }
  return { uuid, sid: sids[0], seen, last: seen.at(-1) as Row };
}

describe('When a message ended', () => {
  test('is when its final callback was recorded, and no doubled or late one moves it', async () => {
    const steps = [answer('queued'), callback('sent'), callback('delivered'), callback('delivered'), callback('sent')];
    const { sid, seen } = await run(steps);
    const delivered = (await callbacksOf(sid)).find(({ word }) => word === 'delivered');
    expect(seen.map(({ ended }) => ended)).toEqual([null, null, null, ...Array(3).fill(delivered?.received)]);
  });

  test('is when the callback came that had to wait for its message, not when it was joined', async () => {
    const { sid, last } = await run([callback('delivered', false), answer('queued'), { kind: 'join' }]);
    const [kept] = await callbacksOf(sid);
    expect(last).toMatchObject({ status: 'delivered', ended: kept?.received });
    expect(last.modified.getTime()).toBeGreaterThan(kept?.received.getTime() ?? Number.NaN);
  });

  test('stays with the first of two ends until Twilio is asked; then it is when the true one was told', async () => {
    const { sid, seen } = await run([
      answer('queued'),
      callback('undelivered'),
      callback('delivered'),
      asked('delivered'),
    ]);
    const [first, second] = await callbacksOf(sid);
    expect(seen.map(({ status, ended }) => [status, ended]).slice(2)).toEqual([
      ['undelivered', first?.received],
      ['undelivered', first?.received],
      ['delivered', second?.received],
    ]);
  });

  test('of a delivered one that is read stays when it was delivered', async () => {
    const { seen } = await run([answer('queued'), callback('delivered'), callback('read')]);
    expect(seen[3]).toMatchObject({ status: 'read', ended: seen[2]?.ended });
  });

  test('of one that ended before there was this column, or by the SQL of others, is not made up later', async () => {
    const start = { status: 'delivered', hasSid: true, isPlaceholder: false };
    const { seen } = await run([callback('delivered'), callback('sent'), callback('read')], start);
    expect(seen.map(({ ended }) => ended)).toEqual([null, null, null, null]);
  });

  test('of one that was deleted before it was sent is when it was deleted', async () => {
    const { uuid } = await run([]);
    await driver.db.query({ text: "UPDATE message SET step = 'send' WHERE uuid = $1", values: [uuid] });
    const tenant = { trustomerCode: 'ouh', productName: 'gdm' };
    await markDeleted(driver.db, uuid, tenant, null);
    const row = await rowOf(uuid);
    expect(row).toMatchObject({ status: 'canceled', ended: row.modified });
  });

  test(
    'after any sequence of answers, callbacks, lists, fetches and joins is when the evidence of the status was recorded',
    async () => {
      let ends = 0;
      await fc.assert(
        fc.asyncProperty(plan(8), async ({ start, steps }) => {
          const { world, sids } = await begin(driver.db, start);
          const { uuid } = world.row;
          for (const planned of steps) {
            const step = withSid(planned, sids);
            const before = await rowOf(uuid);
            await perform(driver, uuid, step);
            const after = await rowOf(uuid);
            const sid = 'sid' in step && step.kind !== 'verify' ? step.sid : sids[0];
            expect(after.ended).toEqual(await expectedAfter(step, before, after, sid));
            if (before.ended === null && after.ended !== null) ends += 1;
          }
        }),
        { seed: 20_261_124, numRuns: RUNS },
      );
      expect(ends).toBeGreaterThan(RUNS / 5);
    },
    TAKES_MS,
  );
});
