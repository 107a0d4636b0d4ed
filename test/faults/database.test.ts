import pg from 'pg';
import { describe, expect, type TestContext, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { execute } from '../support/postgres.ts';
import { type Proxy as DatabaseProxy, startProxy } from '../support/proxy.ts';
import { type Answer, eventually, startTestService, type TestService } from '../support/service.ts';
import { type FakeTwilio, isCreate, newSid, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import { dropDatabase, inTurn, manners, numberOf, post } from './support.ts';

type Stage = { service: TestService; twilio: FakeTwilio; proxy: DatabaseProxy; url: string };

/** The service behind a network that can be cut; `url` goes straight to its database. */
function setStage(context: TestContext, env: Record<string, string> = {}): Promise<Stage> {
  return inTurn(() => buildStage(context, env));
}

async function buildStage({ onTestFinished }: TestContext, env: Record<string, string>): Promise<Stage> {
  const database = await createDatabase();
  const proxy = await startProxy(database.url);
  const twilio = await startFakeTwilio();
  const service = await startTestService(
    { ...twilioAt(twilio.url), SETTLE_MS: '400', ...env },
    { databaseUrl: proxy.url },
  );
  onTestFinished(async () => {
    await service.stop();
    await twilio.stop();
    await proxy.close();
    await dropDatabase(database);
  });
  return { service, twilio, proxy, url: database.url };
}

type Asked = { readonly content: string; readonly answer: Answer; readonly afterMs: number };

/** So many at once, every second one without waiting for Twilio. */
function postMany(service: TestService, count: number, about: string): Promise<Asked[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const [content, begun] = [`${about}, ${n}.`, performance.now()];
      const answer = await post(service, numberOf(n), content, manners[n % 2] ?? 'sync');
      return { content, answer, afterMs: performance.now() - begun };
    }),
  );
}

/**
 * 200 and 202: the message is there, and Twilio gets it once. 503: it is not at Twilio and never will be (G9), and says
 * when to ask again. Nothing else.
 */
async function expectTruth({ twilio, url }: Stage, asked: readonly Asked[]): Promise<void> {
  const texts = (at: typeof twilio) => at.asked.filter(isCreate).map(({ form }) => form.Body);
  const accepted = asked.filter(({ answer }) => answer.status !== 503).map(({ content }) => content);
  await eventually(async () => accepted.every((content) => texts(twilio).includes(content)), 30_000);
  await eventually(
    async () => (await execute(url, "SELECT FROM message WHERE unresolved OR step <> 'poll'")).rowCount === 0,
    30_000,
  );
  const { rows } = await execute(url, 'SELECT content, status, twilio_sid FROM message');
  for (const { content, answer } of asked) {
    const row = rows.find((candidate) => candidate.content === content);
    const times = texts(twilio).filter((text) => text === content).length;
    if (answer.status === 503) {
      expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
      expect({ content, times, status: row?.status ?? 'error' }).toEqual({ content, times: 0, status: 'error' });
    } else {
      expect([200, 202]).toContain(answer.status);
      expect({ content, times, hasSid: row?.twilio_sid != null }).toEqual({ content, times: 1, hasSid: true });
    }
  }
}

const statusesOf = (asked: readonly Asked[]) => new Set(asked.map(({ answer }) => answer.status));
const isHealthy = (service: TestService) => async () => (await service.call('/healthcheck')).status === 200;
const WITHIN_MS = 14_000;

describe.concurrent('PostgreSQL is in trouble', { timeout: 80_000 }, () => {
  test('it is down for a while: 503, no call to Twilio, and all is well again without a restart', async (context) => {
    const stage = await setStage(context);
    const { service, twilio, proxy } = stage;
    const before = await postMany(service, 20, 'Before');
    await expectTruth(stage, before);
    proxy.cut();
    const called = twilio.asked.length;
    const down: Asked[] = [];
    const begun = performance.now();
    for (let round = 0; performance.now() - begun < 4_000; round++) {
      down.push(...(await postMany(service, 20, `Down, ${round}`)));
    }
    expect(statusesOf(down)).toEqual(new Set([503]));
    expect((await service.callback({ MessageSid: newSid(), MessageStatus: 'sent' })).status).toBe(503);
    expect(twilio.asked).toHaveLength(called);
    proxy.open();
    await eventually(isHealthy(service));
    const after = await postMany(service, 20, 'After');
    expect(statusesOf(after)).toEqual(new Set([200, 202]));
    await expectTruth(stage, [...down, ...after]);
  });

  test('it goes away and comes back again and again under load: each answer is true', async (context) => {
    const stage = await setStage(context);
    const { service, proxy } = stage;
    const asked: Promise<Asked[]>[] = [];
    for (let round = 0; round < 10; round++) {
      asked.push(postMany(service, 10, `Flapping, ${round}`));
      await new Promise((resolve) => setTimeout(resolve, 20 + 10 * round));
      proxy.cut();
      asked.push(postMany(service, 10, `Flapping, cut, ${round}`));
      await new Promise((resolve) => setTimeout(resolve, 50));
      proxy.open();
    }
    const all = (await Promise.all(asked)).flat();
    await eventually(isHealthy(service));
    await expectTruth(stage, all);
  });

  test('its pool is exhausted: who waits too long is told 503, in time, and all is well again', async (context) => {
    const stage = await setStage(context, { DATABASE_POOL_SIZE: '5' });
    const { service, url } = stage;
    const hog = new pg.Client({ connectionString: url });
    await hog.connect();
    await hog.query('BEGIN; LOCK TABLE message IN ACCESS EXCLUSIVE MODE');
    const waiting = postMany(service, 40, 'Exhausted');
    await eventually(async () => /state="waiting"} [1-9]/.test((await service.call('/metrics')).text));
    // Longer than a request waits for a connection, shorter than PostgreSQL works on a statement.
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    await hog.query('COMMIT');
    await hog.end();
    const asked = await waiting;
    expect(statusesOf(asked)).toContain(503);
    for (const { afterMs } of asked) expect(afterMs).toBeLessThan(WITHIN_MS);
    const after = await postMany(service, 20, 'After');
    expect(statusesOf(after)).toEqual(new Set([200, 202]));
    await expectTruth(stage, [...asked, ...after]);
  });

  test('each of its statements takes 3 s: every answer is true and comes in time', async (context) => {
    const stage = await setStage(context);
    const { service, url } = stage;
    await execute(
      url,
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$;
       CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON message FOR EACH STATEMENT EXECUTE FUNCTION slow()`,
    );
    const asked = await postMany(service, 30, 'Slow');
    for (const { afterMs } of asked) expect(afterMs).toBeLessThan(WITHIN_MS);
    expect(statusesOf(asked)).toContain(200);
    await execute(url, 'DROP TRIGGER slow ON message');
    await expectTruth(stage, asked);
  });

  test('recording takes longer than a call may: 503, and Twilio is never called', async (context) => {
    const stage = await setStage(context, { TWILIO_TIMEOUT_MS: '500' });
    const { service, twilio, url } = stage;
    await execute(
      url,
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END $$;
       CREATE TRIGGER slow BEFORE INSERT ON message FOR EACH STATEMENT EXECUTE FUNCTION slow()`,
    );
    const answer = await post(service, numberOf(0), 'Recorded too late.', 'sync');
    expect(answer.status).toBe(503);
    await expectTruth(stage, [{ content: 'Recorded too late.', answer, afterMs: 0 }]);
    expect(twilio.asked.filter(isCreate)).toEqual([]);
  });

  test('it is read-only: 503, no call to Twilio, reading goes on; and all is well again', async (context) => {
    const stage = await setStage(context);
    const { service, twilio, url } = stage;
    const sent = await post(service, numberOf(0), 'Before it was read-only.', 'sync');
    await setReadOnly(url, true);
    const called = twilio.asked.length;
    const asked = await eventually(async () => {
      // One whose session was ended in the middle of its commit gets no answer: nothing true could be said.
      const many = await postMany(service, 20, `Read-only, ${performance.now()}`).catch(() => null);
      // A connection that broke is good for one 503; what is to be seen is that of PostgreSQL itself.
      return (await service.call(`/dhos/v1/sms/${sent.json.uuid}`)).status === 200 && many;
    }, 40_000);
    expect(statusesOf(asked)).toEqual(new Set([503]));
    expect((await service.callback({ MessageSid: newSid(), MessageStatus: 'sent' })).status).toBe(503);
    expect((await service.call('/dhos/v1/sms', { headers: { 'x-trustomer': 'ouh', 'x-product': 'gdm' } })).status).toBe(
      200,
    );
    expect(twilio.asked).toHaveLength(called);
    await setReadOnly(url, false);
    const after = await eventually(async () => {
      const many = await postMany(service, 5, `Writable, ${performance.now()}`);
      return !statusesOf(many).has(503) && many;
    });
    await expectTruth(stage, [...asked, ...after]);
  });

  test('it becomes read-only while Twilio answers: 200 with the SID, and the row learns it later', async (context) => {
    const stage = await setStage(context, { SETTLE_MS: '60000' });
    const { service, twilio, url } = stage;
    const sid = newSid();
    twilio.answerWith(async () => {
      await setReadOnly(url, true);
      return { status: 201, body: { sid, status: 'queued' } };
    });
    const answer = await post(service, numberOf(0), 'Read-only since.', 'sync');
    expect([answer.status, answer.json.twilio_sid]).toEqual([200, sid]);
    await setReadOnly(url, false);
    const query = `?m=${answer.json.uuid}&a=1`;
    await eventually(
      async () => (await service.callback({ MessageSid: sid, MessageStatus: 'sent' }, { query })).status === 204,
    );
    expect((await service.call(`/dhos/v1/sms/${answer.json.uuid}`)).json).toMatchObject({
      status: 'sent',
      twilio_sid: sid,
    });
  });
});

/** For new sessions; the old ones are ended, as at a failover. */
async function setReadOnly(url: string, isReadOnly: boolean): Promise<void> {
  const name = new URL(url).pathname.slice(1);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('SET default_transaction_read_only = off; SET transaction_read_only = off');
  await client.query(`ALTER DATABASE ${name} SET default_transaction_read_only = ${isReadOnly ? 'on' : 'off'}`);
  await client.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'polaris-sms'",
  );
  await client.end();
}
