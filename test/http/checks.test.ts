import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Check } from '../../src/message/checks.ts';
import { readScenario } from '../../src/simulator/read-scenario.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { type DrivenScene, MINUTE_MS, startDrivenScene } from '../support/driven-clock.ts';
import { createKey, ouh } from '../support/keys.ts';
import { type Proxy as DatabaseProxy, startProxy } from '../support/proxy.ts';
import { eventually, freshText, quiet, startTestService, type TestService, tenant } from '../support/service.ts';

/** Each check turns red by a real fault, and green again when it is over. */
type Answered = Omit<Check, 'since'> & { since?: string };
type Caller = Record<string, string>;

async function ask(service: TestService, headers: Caller = {}): Promise<Answered[]> {
  const began = performance.now();
  const answer = await service.call('/dhos/v1/checks', { headers });
  expect(answer.status).toBe(200);
  expect(performance.now() - began).toBeLessThan(4_000);
  return answer.json;
}

/** Here no answer is kept, so the next one is news. */
const notKept = { checksKeptMs: 0 };

function become(
  service: TestService,
  name: string,
  state: string,
  reason: RegExp,
  headers: Caller = {},
): Promise<Answered> {
  const isIt = (one: Answered) => one.name === name && one.state === state && reason.test(one.reason);
  return eventually(async () => (await ask(service, headers)).find(isIt));
}

const statesOf = (checks: readonly Answered[]) => Object.fromEntries(checks.map(({ name, state }) => [name, state]));
const allOk = {
  callbacks: 'ok',
  signatures: 'ok',
  unresolved: 'ok',
  redaction: 'ok',
  twilio: 'ok',
  database: 'ok',
};

describe('With Twilio and the clock in hand', { timeout: 60_000 }, () => {
  let scene: DrivenScene;
  let everybody: Caller;
  let ours: Caller;
  let theirs: Caller;

  beforeAll(async () => {
    scene = await startDrivenScene({}, { AUTH_MODE: 'apikey' }, notKept);
    everybody = (await createKey(scene.service.databaseUrl, { tenant: null })).bearer;
    ours = (await createKey(scene.service.databaseUrl, { tenant: ouh })).bearer;
    theirs = (await createKey(scene.service.databaseUrl, { tenant: { ...ouh, trustomerCode: 'other' } })).bearer;
  }, 60_000);
  afterAll(() => scene.stop());

  const post = (headers = tenant) => scene.service.post(freshText(), { ...everybody, ...headers });
  const deliver = (sid: string) => scene.service.callback({ MessageSid: sid, MessageStatus: 'delivered' });
  const useRules = (...rules: string[]) =>
    scene.simulator.useScenario(
      readScenario(['rules:', '- { on: callback, do: { lose: true } }', ...rules].join('\n  ')),
    );
  const reach = (name: string, state: string, reason: RegExp) => become(scene.service, name, state, reason, everybody);

  /** What was under way when Twilio recovered may have to be tried once more: time goes on until then. */
  const recover = (name: string, reason: RegExp) =>
    eventually(async () => {
      await scene.pass(MINUTE_MS);
      const checks = await ask(scene.service, everybody);
      return checks.some((one) => one.name === name && one.state === 'ok' && reason.test(one.reason));
    }, 30_000);

  test('nothing happens, and all is well', async () => {
    const checks = await ask(scene.service, everybody);
    expect(statesOf(checks)).toEqual(allOk);
    const reasons = checks.map(({ reason }) => reason);
    expect(reasons).toEqual([
      'Nothing was handed to Twilio in the last hour, so no callback is expected.',
      'This replica found no wrong signature in the last 15 minutes.',
      'Of every message it is known whether Twilio has it.',
      'Twilio holds no text of a message that has ended.',
      'Nothing was tried in the last 15 minutes.',
      expect.stringMatching(/^It answered in \d+ ms\.$/),
    ]);
  });

  test('callbacks that get lost are missed after ten minutes, for everybody and for the tenant, until one comes', async () => {
    const sids: string[] = [];
    for (let n = 0; n < 3; n += 1) sids.push((await post()).json.twilio_sid);
    await scene.pass(5 * MINUTE_MS);
    await reach('callbacks', 'ok', /^No callback has come yet\.$/);
    await scene.pass(6 * MINUTE_MS);
    const missed = /^No callback has come yet, and 3 messages were handed to Twilio since\. Statuses are late/;
    await reach('callbacks', 'failing', missed);
    await become(scene.service, 'callbacks', 'failing', missed, ours);
    await become(scene.service, 'callbacks', 'ok', /^Nothing was handed/, theirs);

    await deliver(sids[0] ?? '');
    await reach('callbacks', 'ok', /^The last callback came a moment ago\.$/);
    await become(scene.service, 'callbacks', 'ok', /^The last callback came a moment ago\.$/, ours);
    await scene.pass(1_000);
    await post();
    await scene.pass(14 * MINUTE_MS);
    const again = await reach(
      'callbacks',
      'failing',
      /^The last callback came 14 minutes ago, and 1 message was handed to Twilio since\./,
    );
    expect(again.since).toBe(`${scene.ago(14 * MINUTE_MS + 1_000)}Z`);
  });

  test('a message of which nobody can tell whether Twilio has it is overdue after a quarter of an hour', async () => {
    useRules('- { on: create, do: { answer: 500, created: true } }', '- { on: list, do: { answer: 503 } }');
    expect((await post()).status).toBe(202);
    await scene.pass(10 * MINUTE_MS);
    await reach(
      'unresolved',
      'ok',
      /^Of 1 message it is not known yet whether Twilio has it; it was tried 10 minutes ago\.$/,
    );
    await scene.pass(6 * MINUTE_MS);
    const overdue =
      /^Of 1 message it is not known yet whether Twilio has it; it was tried 16 minutes ago\. Twilio’s log/;
    await reach('unresolved', 'failing', overdue);
    await become(scene.service, 'unresolved', 'failing', overdue, ours);
    await become(scene.service, 'unresolved', 'ok', /./, theirs);
    useRules();
    await recover('unresolved', /^Of every message it is known whether Twilio has it\.$/);
  });

  test('texts that Twilio does not empty are overdue an hour after their end, until it does', async () => {
    await scene.pass(20 * MINUTE_MS);
    await reach('redaction', 'ok', /^Twilio holds no text/);
    useRules('- { on: update, do: { answer: 503 } }');
    const { json } = await post();
    await deliver(json.twilio_sid);
    await scene.pass(30 * MINUTE_MS);
    await reach('redaction', 'ok', /^1 text has waited to be emptied at Twilio for 30 minutes\.$/);
    await scene.pass(31 * MINUTE_MS);
    const overdue = /^1 text has waited to be emptied at Twilio for 61 minutes\. Patients/;
    expect((await reach('redaction', 'failing', overdue)).since).toBe(`${scene.ago(61 * MINUTE_MS)}Z`);
    await become(scene.service, 'redaction', 'failing', overdue, ours);
    await become(scene.service, 'redaction', 'ok', /^Twilio holds no text/, theirs);
    useRules();
    await recover('redaction', /^Twilio holds no text/);
  });

  test('credentials that Twilio refuses are told at once, and no longer once it accepts a message', async () => {
    await scene.pass(20 * MINUTE_MS);
    useRules('- { on: create, do: { answer: 401 } }');
    expect((await post()).status).toBe(503);
    await reach(
      'twilio',
      'failing',
      /^Twilio refused the only attempt of the last 15 minutes because of the account\. Nothing can be sent until/,
    );
    await become(scene.service, 'twilio', 'ok', /^Nothing was tried/, theirs);
    useRules();
    await scene.pass(1_000);
    expect((await post()).status).toBe(200);
    await reach('twilio', 'ok', /^Twilio refused 1 of 2 attempts of the last 15 minutes because of the account\.$/);
  });

  test('more than one attempt in five without an answer is told, when there were five', async () => {
    await scene.pass(20 * MINUTE_MS);
    const unheard = '- { on: create, do: { answer: 500, created: true } }';
    expect((await post()).status).toBe(200);
    await reach('twilio', 'ok', /^The only attempt of the last 15 minutes reached Twilio\.$/);
    for (let n = 0; n < 2; n += 1) expect((await post()).status).toBe(200);
    await reach('twilio', 'ok', /^All 3 attempts of the last 15 minutes reached Twilio\.$/);
    useRules(unheard);
    expect((await post()).status).toBe(202);
    await reach('twilio', 'ok', /^1 of 4 attempts of the last 15 minutes did not reach Twilio or got no answer\.$/);
    useRules();
    expect((await post()).status).toBe(200);
    await reach('twilio', 'ok', /^1 of 5 attempts .* did not reach Twilio or got no answer\.$/);
    useRules(unheard);
    expect((await post()).status).toBe(202);
    await reach('twilio', 'failing', /^2 of 6 attempts .* did not reach Twilio or got no answer\. Messages are late/);
    useRules();
    await scene.pass(16 * MINUTE_MS);
    await reach('twilio', 'ok', /./);
  });
});

describe('Forged callbacks', () => {
  let now = new Date('2026-11-24T10:00:00.000Z').getTime();
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService(quiet, { ...notKept, clock: { now: () => new Date(now) } });
  });
  afterAll(() => service.stop());

  test('are told of for a quarter of an hour, with how many this replica refused', async () => {
    const fields = { MessageSid: 'SM0', MessageStatus: 'delivered' };
    for (let n = 0; n < 3; n += 1) expect((await service.callback(fields, { authToken: 'forged' })).status).toBe(403);
    const told = /^This replica refused 3 callbacks in the last 15 minutes for a wrong signature/;
    expect((await become(service, 'signatures', 'failing', told)).since).toBe('2026-11-24T10:00:00.000Z');
    now += 15 * MINUTE_MS;
    await become(service, 'signatures', 'ok', /^This replica found no wrong signature/);
  });

  test('without any signature, as anybody can send them, are told but turn nothing red', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    await service.call('/dhos/v1/sms/callback', { method: 'POST', headers, body: 'MessageSid=SM0' });
    await become(
      service,
      'signatures',
      'ok',
      /^This replica turned away 1 callback without a signature of Twilio’s form, and found no wrong signature in/,
    );
  });
});

test('Who asks twice within two seconds gets the same answer, who asks later a new one', async () => {
  const service = await startTestService(quiet);
  const began = performance.now();
  const [first, ...others] = await Promise.all(Array.from({ length: 20 }, () => ask(service)));
  expect(new Set(others.map((one) => JSON.stringify(one)))).toEqual(new Set([JSON.stringify(first)]));
  await service.callback({ MessageSid: 'SM0', MessageStatus: 'delivered' }, { authToken: 'forged' });
  expect(await ask(service)).toEqual(first);
  await become(service, 'signatures', 'failing', /^This replica refused 1 callback/);
  expect(performance.now() - began).toBeGreaterThan(2_000);
  await service.stop();
});

describe('While the database is away', { timeout: 60_000 }, () => {
  let database: TestDatabase;
  let proxy: DatabaseProxy;
  let service: TestService;
  beforeAll(async () => {
    database = await createDatabase();
    proxy = await startProxy(database.url);
    service = await startTestService(quiet, { ...notKept, databaseUrl: proxy.url });
  });
  afterAll(async () => {
    await service.stop();
    await proxy.close();
    await database.drop();
  });

  const away = { ...allOk, callbacks: 'unknown', unresolved: 'unknown', redaction: 'unknown', twilio: 'unknown' };

  const backAgain = () =>
    eventually(async () => JSON.stringify(statesOf(await ask(service))) === JSON.stringify(allOk), 20_000);

  async function expectAway(): Promise<void> {
    await become(service, 'database', 'failing', /^It cannot be reached/);
    const checks = await ask(service);
    expect(statesOf(checks)).toEqual({ ...away, database: 'failing' });
    expect(checks.find(({ name }) => name === 'twilio')?.reason).toBe(
      'The database did not answer, so nobody can say.',
    );
    expect(JSON.stringify(checks)).not.toContain('127.0.0.1');
  }

  test('its connections cut: that fails, what it would know is unknown, and all is well when it is back', async () => {
    await backAgain();
    proxy.cut();
    await expectAway();
    proxy.open();
    await backAgain();
  });

  test('and hangs: every answer comes within four seconds all the same', async () => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query('BEGIN; LOCK TABLE message, attempt, callback, polaris_migration');
    await expectAway();
    await client.query('COMMIT');
    await client.end();
    await backAgain();
  });
});
