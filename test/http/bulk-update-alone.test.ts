import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { expectProblem } from '../support/http.ts';
import { runService } from '../support/process.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, startTestService, type TestService } from '../support/service.ts';
import { type FakeTwilio, healthy, resource, sidIn, startFakeTwilio, twilioAt } from '../support/twilio.ts';

/** Two replicas over one database, and a Twilio that answers reads once the test lets it. */
let twilio: FakeTwilio;
let database: TestDatabase;
let one: TestService;
let other: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  database = await createDatabase();
  one = await startReplica();
  other = await startReplica();
});
afterEach(async () => {
  twilio.answerWith(undefined);
  await one.query('DELETE FROM message');
});
afterAll(async () => {
  await Promise.all([one.stop(), other.stop()]);
  await twilio.stop();
  await database.drop();
});

function startReplica(): Promise<TestService> {
  return startTestService({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '11000' }, { databaseUrl: database.url });
}

const bulkUpdate = (replica: Pick<TestService, 'baseUrl'>) =>
  fetch(`${replica.baseUrl}/dhos/v1/sms/bulk_update`, { method: 'POST' }).then(({ status }) => status);
const progressOf = async (replica: TestService) => (await replica.call('/dhos/v1/sms/bulk_update/progress')).json;
const fetches = () => twilio.asked.filter(({ method, path }) => method === 'GET' && sidIn(path) !== '');

async function insertSome(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await insertOriginalRow(one, { status: 'queued' });
}

/** Twilio says `delivered` of everything: of the first so many at once, of the others when it is let. */
function holdReads(atOnce: number): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  let reads = 0;
  twilio.asked.length = 0;
  twilio.answerWith(async (asked) => {
    if (asked.method !== 'GET' || sidIn(asked.path) === '') return healthy(asked);
    reads += 1;
    if (reads > atOnce) await promise;
    return { status: 200, body: resource({ sid: sidIn(asked.path), status: 'delivered' }) };
  });
  return resolve;
}

async function statuses(): Promise<string[]> {
  return (await one.query<{ status: string }>('SELECT status FROM message')).map(({ status }) => status);
}

describe('Bulk update, on whichever replica', () => {
  test('asked for twice at once: Twilio is asked once, and both are answered when it is over', async () => {
    await insertSome(30);
    const release = holdReads(12);
    const answers: number[] = [];
    const first = bulkUpdate(one).then((status) => answers.push(status));
    await eventually(async () => fetches().length > 12);
    const late = [other, other, one].map((replica) => bulkUpdate(replica).then((status) => answers.push(status)));
    await eventually(async () => (await progressOf(other)).asked === 12);
    expect(answers).toEqual([]);
    release();
    await Promise.all([first, ...late]);
    expect(answers).toEqual([204, 204, 204, 204]);
    expect(fetches()).toHaveLength(30);
    expect(await statuses()).toEqual(Array(30).fill('delivered'));
  });

  test('tells on every replica how far it is, and when it is over', async () => {
    await insertSome(30);
    const release = holdReads(12);
    const answered = bulkUpdate(one);
    const running = await eventually(async () => {
      const progress = await progressOf(other);
      return progress.running && progress.asked === 12 ? progress : null;
    });
    expect(running).toMatchObject({ running: true, total: 30, asked: 12, gone: 0, failed: 0, redacted: 0 });
    expect(running).not.toHaveProperty('finished');
    expect((await one.call('/metrics')).text).toMatch(/^sms_bulk_update_remaining 18$/m);
    release();
    await answered;
    expect(await progressOf(other)).toMatchObject({
      running: false,
      started: running.started,
      finished: expect.stringMatching(/Z$/),
      total: 30,
      asked: 30,
      changed: 30,
    });
    expect((await one.call('/metrics')).text).toMatch(/^sms_bulk_update_remaining 0$/m);
  });

  test('that a stop cuts short is not called done, and who waits on another replica does it', async () => {
    const third = await startReplica();
    await insertSome(30);
    const release = holdReads(12);
    const cutShort = fetch(`${third.baseUrl}/dhos/v1/sms/bulk_update`, { method: 'POST' });
    await eventually(async () => fetches().length > 12);
    const waiting = bulkUpdate(other);
    const stopped = third.stop();
    release();
    const answer = await cutShort;
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('1');
    await stopped;
    expect(await waiting).toBe(204);
    expect(await statuses()).toEqual(Array(30).fill('delivered'));
  });

  test('of a replica that is killed in the middle keeps the next one waiting for its lease, and no longer', {
    timeout: 90_000,
  }, async () => {
    const killed = await runService({ DATABASE_URL: database.url, ...twilioAt(twilio.url), LOG_FORMAT: 'plain' });
    await insertSome(30);
    const release = holdReads(12);
    const lost = bulkUpdate(killed).catch(() => 'no answer');
    await eventually(async () => fetches().length > 12);
    killed.child.kill('SIGKILL');
    await killed.ended;
    const began = performance.now();
    expect(await lost).toBe('no answer');
    release();
    expect((await progressOf(one)).running).toBe(true);
    expect(await bulkUpdate(other)).toBe(204);
    // LEASE_MS of alone.ts is 15 s; the rest is for a busy machine.
    expect(performance.now() - began).toBeLessThan(25_000);
    expect(await statuses()).toEqual(Array(30).fill('delivered'));
  });
});

describe('How far the latest bulk update has come', () => {
  test('with a query: 400', async () => {
    expectProblem(await one.call('/dhos/v1/sms/bulk_update/progress?id=8'), 400, 'Unknown: id.');
  });

  test('POST: 405', async () => {
    expect((await one.call('/dhos/v1/sms/bulk_update/progress', { method: 'POST' })).status).toBe(405);
  });

  test('before there was one: nothing is running, and all counts are 0', async () => {
    const fresh = await startTestService();
    expect((await fresh.call('/dhos/v1/sms/bulk_update/progress')).json).toEqual({
      running: false,
      total: 0,
      asked: 0,
      changed: 0,
      gone: 0,
      failed: 0,
      redacted: 0,
    });
    await fresh.stop();
  });
});
