import { describe, expect, type TestContext, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { execute } from '../support/postgres.ts';
import { type Proxy as DatabaseProxy, startProxy } from '../support/proxy.ts';
import { type Answer, eventually, startTestService, type TestService, tenant } from '../support/service.ts';
import { twilioAt } from '../support/twilio.ts';
import { acceptedFor, dropDatabase, type Manner, manners, numberOf, post, type Scene, startScene } from './support.ts';

type Stage = { scene: Scene; service: TestService; proxy: DatabaseProxy; url: string };
const content = 'Recorded, perhaps.';

/** A database that takes some seconds to record, and goes on with it when its client has gone. */
async function setStage({ onTestFinished }: TestContext): Promise<Stage> {
  const database = await createDatabase();
  await execute(
    database.url,
    `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$;
     CREATE TRIGGER slow BEFORE INSERT ON message FOR EACH STATEMENT EXECUTE FUNCTION slow()`,
  );
  const proxy = await startProxy(database.url);
  // Longer than recording takes, or a look at Twilio's log would come before the service can make it void.
  const scene = await startScene({ databaseUrl: proxy.url, env: { SETTLE_MS: '5000' } });
  onTestFinished(async () => {
    await scene.stop();
    await proxy.close();
    await dropDatabase(database);
  });
  return { scene, service: scene.service, proxy, url: database.url };
}

/** The connection breaks while PostgreSQL records the message; it commits all the same. */
async function breakWhileRecording(
  { service, proxy, url }: Stage,
  manner: Manner,
  key?: string,
): Promise<Answer | null> {
  const answer =
    key === undefined
      ? post(service, numberOf(0), content, manner)
      : service.post(
          { sender: '+447700900001', receiver: numberOf(0), content },
          { ...tenant, 'idempotency-key': key, ...(manner === 'async' && { prefer: 'respond-async' }) },
        );
  const isRecording = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
  await eventually(async () => (await execute(url, isRecording)).rowCount === 1);
  proxy.cut();
  await execute(url, 'DROP TRIGGER slow ON message');
  return answer.catch(() => null);
}

const rowsIn = async (url: string) => (await execute(url, 'SELECT uuid, status, step FROM message')).rows;

describe.concurrent('The connection to PostgreSQL breaks while a message is being recorded', () => {
  test('sync, and is back at once: 503 names the message, which is void and never sent', async (context) => {
    const stage = await setStage(context);
    const answering = breakWhileRecording(stage, 'sync', 'a key');
    await eventually(async () => (await rowsIn(stage.url)).length === 1);
    stage.proxy.open();
    const answer = await answering;
    expect(answer?.status).toBe(503);
    expect(await rowsIn(stage.url)).toEqual([
      { uuid: answer?.headers.get('x-message-id'), status: 'error', step: null },
    ]);
    expect((await execute(stage.url, 'SELECT FROM idempotency_key')).rowCount).toBe(0);

    // Asking again is safe, with the same key, too: the text gets there once.
    await eventually(async () => (await stage.service.call('/healthcheck')).status === 200);
    const again = await stage.service.post(
      { sender: '+447700900001', receiver: numberOf(0), content },
      { ...tenant, 'idempotency-key': 'a key' },
    );
    expect(again.status).toBe(200);
    expect(acceptedFor(stage.scene, numberOf(0))).toHaveLength(1);
  });

  test('async, and is back at once: it is recorded all the same, once, and 202 is true', async (context) => {
    const stage = await setStage(context);
    const answering = breakWhileRecording(stage, 'async', 'a key');
    await eventually(async () => (await rowsIn(stage.url)).length === 1);
    stage.proxy.open();
    const answer = await answering;
    expect(answer?.status).toBe(202);
    const uuid = answer?.headers.get('x-message-id');
    expect(await rowsIn(stage.url)).toMatchObject([{ uuid }]);
    await eventually(async () => acceptedFor(stage.scene, numberOf(0)).length === 1);

    const again = await stage.service.post(
      { sender: '+447700900001', receiver: numberOf(0), content },
      { ...tenant, 'idempotency-key': 'a key' },
    );
    expect([again.status, again.json.uuid]).toEqual([200, uuid]);
    expect(acceptedFor(stage.scene, numberOf(0))).toHaveLength(1);
  });

  // Who waits no longer than a POST may take gets no answer at all: nothing true could be said.
  test.for(manners)(
    '%s, and stays away for long: what was answered is true all the same, and asking again sends it once',
    { timeout: 60_000 },
    async (manner, context) => {
      const stage = await setStage(context);
      const answer = await breakWhileRecording(stage, manner);
      await expectOneCopyAfterAskingAgain(stage, answer);
    },
  );

  test('async, for this replica alone: what another one sends was not answered 503', {
    timeout: 80_000,
  }, async (context) => {
    const stage = await setStage(context);
    const { baseUrl, accountSid, authToken } = stage.scene.simulator;
    const account = { ...twilioAt(baseUrl), TWILIO_ACCOUNT_SID: accountSid, TWILIO_AUTH_TOKEN: authToken };
    const other = await startTestService(account, { databaseUrl: stage.url });
    context.onTestFinished(() => other.stop());
    const answer = await breakWhileRecording(stage, 'async');
    // The other one takes up what has not been claimed for 20 s, unless it is void by then.
    await eventually(
      async () => (await rowsIn(stage.url)).every(({ step }) => step === null || step === 'poll'),
      40_000,
    );
    await expectOneCopyAfterAskingAgain(stage, answer);
  });
});

/**
 * A caller who is told 503 asks again, one who is told 202 does not. Either way the patient gets one text (G9). One whose
 * connection breaks is told nothing, and can be sure with a key only.
 */
async function expectOneCopyAfterAskingAgain({ scene, service, proxy, url }: Stage, answer: Answer | null) {
  if (answer === null) return;
  expect([202, 503]).toContain(answer.status);
  // The service itself sees a little later than the test that it has given up.
  await new Promise((resolve) => setTimeout(resolve, 500));
  proxy.open();
  await eventually(async () => (await service.call('/healthcheck')).status === 200);
  if (answer.status === 503) {
    await eventually(async () => (await post(service, numberOf(0), content, 'sync')).status === 200, 20_000);
  }
  // A message to be sent later is left to its own replica for 20 s.
  await eventually(async () => (await rowsIn(url)).every(({ step }) => step === null || step === 'poll'), 30_000);
  expect({ answered: answer.status, atTwilio: acceptedFor(scene, numberOf(0)).length }).toEqual({
    answered: answer.status,
    atTwilio: 1,
  });
}
