import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { expectProblem } from '../support/http.ts';
import { execute } from '../support/postgres.ts';
import { type Proxy as DatabaseProxy, startProxy } from '../support/proxy.ts';
import { eventually, startTestService, type TestService, tenant, text } from '../support/service.ts';
import { type FakeTwilio, newSid, resource, startFakeTwilio, twilioAt } from '../support/twilio.ts';

let database: TestDatabase;
let proxy: DatabaseProxy;
let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  database = await createDatabase();
  proxy = await startProxy(database.url);
  twilio = await startFakeTwilio();
  service = await startTestService(twilioAt(twilio.url), { databaseUrl: proxy.url });
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
  await proxy.close();
  await database.drop();
});

const countRows = async () => (await execute(database.url, 'SELECT FROM message')).rowCount;

/** A pool may still hold connections that broke; each is good for one 503. */
async function bringBack(): Promise<void> {
  proxy.open();
  await eventually(async () => (await service.call('/healthcheck')).status === 200);
}

describe('While the database is down', () => {
  let sent: string;

  beforeAll(async () => {
    sent = (await service.post(text)).json.uuid;
    proxy.cut();
  });
  afterAll(bringBack);

  test('GET and HEAD /running answer 200, and so does /version', async () => {
    const running = await service.call('/running');
    expect([running.status, running.text]).toEqual([200, '{"running":true}']);
    expect((await service.call('/running', { method: 'HEAD' })).status).toBe(200);
    expect((await service.call('/version')).status).toBe(200);
  });

  test('/healthcheck answers 503 and names the check that failed', async () => {
    const answer = await service.call('/healthcheck');
    expect(answer.status).toBe(503);
    expect(answer.json).toEqual({
      status: 'failure',
      results: [
        { checker: 'serving', passed: true, output: 'ok' },
        { checker: 'database', passed: false, output: expect.stringMatching(/^failed/) },
      ],
    });
  });

  test('a POST answers 503 + Retry-After, names no message, and Twilio is not called', async () => {
    const before = [await countRows(), twilio.asked.length];
    const answer = await service.post(text);
    expectProblem(answer, 503, 'The database cannot be reached. Nothing was sent: ask again.');
    expect(answer.headers.get('retry-after')).toBe('5');
    expect(answer.headers.has('x-message-id')).toBe(false);
    expect([await countRows(), twilio.asked.length]).toEqual(before);
  });

  test('what is wrong with a request is said all the same', async () => {
    expectProblem(await service.post({}), 400, /^sender: must be a text\./);
    expectProblem(await service.call('/nowhere'), 404, 'There is nothing at this address.');
  });

  test.each([
    ['a list', '/dhos/v1/sms', 'GET'],
    ['a look-up', '/dhos/v1/sms/some-id', 'GET'],
    ['a deletion', '/dhos/v1/sms/some-id', 'DELETE'],
    ['the counts', '/dhos/v1/sms_status_counts?start_date=2026-01-01T00:00:00Z&end_date=2026-01-02T00:00:00Z', 'GET'],
    ['a bulk update', '/dhos/v1/sms/bulk_update', 'POST'],
  ])('%s answers 503 + Retry-After, never 500', async (_what, path, method) => {
    const answer = await service.call(path, { method, headers: tenant });
    expectProblem(answer, 503, /^The database cannot be reached\./);
    expect(answer.headers.get('retry-after')).toBe('5');
  });

  test('a callback that cannot be committed is not acknowledged: 503', async () => {
    const answer = await service.callback({ MessageSid: newSid(), MessageStatus: 'sent' });
    expectProblem(answer, 503, /^The database cannot be reached\./);
    const forged = await service.callback({ MessageSid: 'SM1', MessageStatus: 'sent' }, { authToken: 'wrong' });
    expect(forged.status).toBe(403);
  });

  test('it works again without a restart once the database is back', async () => {
    await bringBack();
    expect((await service.call(`/dhos/v1/sms/${sent}`)).status).toBe(200);
    expect((await service.post(text)).status).toBe(200);
  });
});

describe('The database goes away during the call to Twilio', () => {
  const sid = newSid();
  let asked = 0;
  beforeEach(() => {
    asked = 0;
  });

  test('and comes back within 3 s: 200, recorded', async () => {
    twilio.answerWith(async () => {
      proxy.cut();
      setTimeout(() => proxy.open(), 500);
      return { status: 201, body: resource({ sid: newSid() }) };
    });
    const answer = await service.post(text);
    twilio.answerWith(undefined);
    expect(answer.status).toBe(200);
    expect((await service.call(`/dhos/v1/sms/${answer.json.uuid}`)).json).toEqual(answer.json);
  });

  test('and stays away: still 200 with the SID, and the callback completes the row', async () => {
    twilio.answerWith(async () => {
      asked += 1;
      proxy.cut();
      return { status: 201, body: resource({ sid }) };
    });
    const answer = await service.post(text);
    twilio.answerWith(undefined);
    expect([answer.status, answer.json.twilio_sid, answer.json.status, asked]).toEqual([200, sid, 'queued', 1]);
    await bringBack();
    const path = `/dhos/v1/sms/${answer.json.uuid}`;
    expect((await service.call(path)).json).toMatchObject({ status: 'accepted' });
    const query = `?m=${answer.json.uuid}&a=1`;
    expect((await service.callback({ MessageSid: sid, MessageStatus: 'sent' }, { query })).status).toBe(204);
    expect((await service.call(path)).json).toMatchObject({ status: 'sent', twilio_sid: sid });
  });
});
