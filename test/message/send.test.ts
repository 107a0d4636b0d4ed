import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { runService } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { eventually, startTestService, tenant, text } from '../support/service.ts';
import { httpAnswer, startTcpServer } from '../support/tcp.ts';

const account = {
  TWILIO_ACCOUNT_SID: 'AC1',
  TWILIO_AUTH_TOKEN: 'token',
  TWILIO_CALL_BACK_URL: 'https://sms.example.com/dhos/v1/sms/callback',
};
const takenAs = (sid: string) =>
  httpAnswer(201, JSON.stringify({ sid, status: 'queued', body: '', error_code: null, date_sent: null }));

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function testDatabase() {
  const database = await createDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 2 });
  pool.on('error', () => {});
  cleanUps.push(database.drop, () => pool.end());
  return { ...database, pool };
}

const post = (baseUrl: string) =>
  fetch(`${baseUrl}/dhos/v1/sms`, {
    method: 'POST',
    headers: { ...tenant, 'content-type': 'application/json' },
    body: JSON.stringify(text),
  });

describe('recorded before sent (G1)', () => {
  test('when Twilio hears of a message, its row and its attempt are committed and no connection is held', async () => {
    const database = await testDatabase();
    let seen: unknown;
    const twilio = await startTcpServer(async (socket, request) => {
      const uuid = new URLSearchParams(request).get('StatusCallback')?.match(/\?m=([0-9a-f-]{36})&a=1#rc=5/)?.[1];
      // The loops of the service ask for a moment now and then; what is held during the call would never be idle.
      const busy = `SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'polaris-sms' AND state <> 'idle'`;
      const isIdle = await eventually(async () => (await database.pool.query(busy)).rowCount === 0, 5_000).catch(
        () => false,
      );
      const { rows } = await database.pool.query(
        `SELECT m.status, m.twilio_sid, a.n, a.closed, $2::boolean AS "isIdle"
         FROM message m JOIN attempt a ON a.message_uuid = m.uuid WHERE m.uuid = $1`,
        [uuid, isIdle],
      );
      seen = rows;
      socket.write(takenAs('SM1'));
    });
    cleanUps.push(twilio.close);
    const service = await startTestService({ ...account, TWILIO_BASE_URL: twilio.url }, { databaseUrl: database.url });
    cleanUps.push(service.stop);

    expect((await service.post(text)).status).toBe(200);
    expect(seen).toEqual([{ status: 'accepted', twilio_sid: null, n: 1, closed: null, isIdle: true }]);
    const [attempt] = await service.query('SELECT outcome, http_status, closed IS NOT NULL AS closed FROM attempt');
    expect(attempt).toEqual({ outcome: 'accepted', http_status: 201, closed: true });
  });

  test('kill -9 between the row and the call to Twilio leaves a row that says so', async () => {
    const database = await testDatabase();
    // Accepts connections and never shakes hands: the service is stuck before it can write a byte.
    const silent = createServer();
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    cleanUps.push(async () => silent.close());
    const env = {
      ...account,
      TWILIO_BASE_URL: `https://127.0.0.1:${(silent.address() as AddressInfo).port}`,
      DATABASE_URL: database.url,
    };
    const first = await runService(env);
    const answer = post(first.baseUrl).catch(() => 'cut');
    await eventually(async () => (await database.pool.query('SELECT FROM attempt')).rowCount === 1);
    first.child.kill('SIGKILL');
    expect(await first.ended).toBe('SIGKILL');
    expect(await answer).toBe('cut');

    const second = await startTestService(env, { databaseUrl: database.url });
    cleanUps.push(second.stop);
    const listed = await second.call('/dhos/v1/sms', { headers: tenant });
    expect(listed.json).toHaveLength(1);
    expect(listed.json[0]).toMatchObject({ ...text, status: 'accepted' });
    expect(listed.json[0]).not.toHaveProperty('twilio_sid');
    expect(await second.query('SELECT n, closed, outcome FROM attempt')).toEqual([
      { n: 1, closed: null, outcome: null },
    ]);
  });

  test('no database, no call to Twilio: 503, and nothing was sent', async () => {
    const database = await testDatabase();
    const proxy = await startProxy(database.url);
    const twilio = await startTcpServer((socket) => socket.write(takenAs('SM1')));
    cleanUps.push(twilio.close, proxy.close);
    const service = await startTestService({ ...account, TWILIO_BASE_URL: twilio.url }, { databaseUrl: proxy.url });
    cleanUps.push(service.stop);

    proxy.cut();
    const refused = await service.post(text);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(twilio.requests).toEqual([]);
    expect((await service.call('/running')).status).toBe(200);
    expect((await service.call('/healthcheck')).status).toBe(503);

    proxy.open();
    expect((await service.post(text)).status).toBe(200);
    expect(twilio.requests).toHaveLength(1);
    expect((await service.call('/healthcheck')).status).toBe(200);
  });

  test('a database that hangs is 503 within the time of a POST, and gives the places for sending back', async () => {
    const database = await testDatabase();
    const proxy = await startProxy(database.url);
    const twilio = await startTcpServer((socket) => socket.write(takenAs(`SM${randomUUID()}`)));
    cleanUps.push(twilio.close, proxy.close);
    const env = { ...account, TWILIO_BASE_URL: twilio.url, TWILIO_MAX_CONCURRENCY: '1' };
    const service = await startTestService(env, { databaseUrl: proxy.url });
    cleanUps.push(service.stop);

    expect((await service.post(text)).status).toBe(200);
    proxy.freeze();
    expect((await service.post(text)).status).toBe(503);
    // The hung connection was dropped, and a new one is not frozen.
    expect((await service.post(text)).status).toBe(200);
    expect(twilio.requests).toHaveLength(2);
  });

  test('a refusal that could not be recorded is not promised: 202, for the row does not say so', async () => {
    const database = await testDatabase();
    const proxy = await startProxy(database.url);
    const twilio = await startTcpServer((socket) => {
      proxy.cut();
      socket.write(httpAnswer(400, JSON.stringify({ code: 21610, message: 'no', status: 400 })));
    });
    cleanUps.push(twilio.close, proxy.close);
    const service = await startTestService({ ...account, TWILIO_BASE_URL: twilio.url }, { databaseUrl: proxy.url });
    cleanUps.push(service.stop);
    const answer = await service.post(text);
    expect([answer.status, answer.json.status]).toEqual([202, 'accepted']);
  });

  test('the database is lost while Twilio answers: 200 with the SID, and a callback completes the row', async () => {
    const database = await testDatabase();
    const proxy = await startProxy(database.url);
    const sid = `SM${'a'.repeat(32)}`;
    const twilio = await startTcpServer((socket, request) => {
      if (request.startsWith('POST /2010-04-01/Accounts/AC1/Messages.json')) proxy.cut();
      socket.write(takenAs(sid));
    });
    cleanUps.push(twilio.close, proxy.close);
    const service = await startTestService({ ...account, TWILIO_BASE_URL: twilio.url }, { databaseUrl: proxy.url });
    cleanUps.push(service.stop);

    const sent = await service.post(text);
    expect(sent.status).toBe(200);
    expect(sent.json).toMatchObject({ twilio_sid: sid, status: 'queued' });

    proxy.open();
    const { uuid } = sent.json;
    const called = await service.callback({ MessageSid: sid, MessageStatus: 'delivered' }, { query: `?m=${uuid}&a=1` });
    expect(called.status).toBe(204);
    expect((await service.call(`/dhos/v1/sms/${uuid}`)).json).toMatchObject({ twilio_sid: sid, status: 'delivered' });
  });
});
