import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { streamedBody } from '../../src/http/streamed-body.ts';
import { residentMb } from '../bench/load.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { expectProblem } from '../support/http.ts';
import { type Run, runService, startFlags } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { eventually, startTestService, type TestService } from '../support/service.ts';

/** More text than sockets and their buffers hold, so that who does not read makes the stream wait. */
const ROWS = 20_000;
const MANY_ROWS = 100_000;
let database: TestDatabase;
let proxy: Awaited<ReturnType<typeof startProxy>>;
let service: TestService;

const headers = { 'x-trustomer': 'long', 'x-product': 'gdm' };

beforeAll(async () => {
  database = await createDatabase();
  proxy = await startProxy(database.url);
  service = await startTestService(
    {
      TWILIO_DISABLED: 'true',
      TWILIO_ACCOUNT_SID: 'test',
      TWILIO_AUTH_TOKEN: 'test',
      TWILIO_CALL_BACK_URL: 'http://dummy',
    },
    { databaseUrl: proxy.url },
  );
  await insertRows('long', ROWS);
  await service.query('VACUUM ANALYZE message');
});
afterAll(async () => {
  await service.stop();
  await proxy.close();
  await database.drop();
});

const insertRows = (trustomer: string, count: number) =>
  service.query(
    `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, trustomer_code, product_name)
     SELECT $1 || '-' || n, timestamp '2026-01-01' + n * interval '1 second', 'x', now(), 'x', 's', '+447700900100',
       'Text number ' || n || repeat('.', 600), 'sent', $1, 'gdm'
     FROM generate_series(1, $2::int) AS n`,
    [trustomer, count],
  );
const open = (path = '/dhos/v1/sms', baseUrl = service.baseUrl, trustomer = 'long'): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    get(baseUrl + path, { headers: { ...headers, 'x-trustomer': trustomer }, agent: false }, resolve).on(
      'error',
      reject,
    );
  });
const begun = async () => {
  const response = await open();
  await once(response, 'readable');
  return response;
};
/** Sessions of PostgreSQL that are in the middle of a list. */
const streamsOpen = async () =>
  (
    await service.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_xmin IS NOT NULL AND query LIKE '%ORDER BY created DESC%' AND pid <> pg_backend_pid()`,
    )
  ).length;
const noStreams = () => eventually(async () => (await streamsOpen()) === 0);

describe('A list of more than 1,000 messages', () => {
  test('is streamed whole, in its order, without an ETag or a length', async () => {
    const answer = await service.call('/dhos/v1/sms', { headers });
    expect(answer.headers.has('etag')).toBe(false);
    expect(answer.headers.has('content-length')).toBe(false);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    const ids = answer.json.map(({ uuid }: { uuid: string }) => uuid);
    expect(ids).toHaveLength(ROWS);
    expect(ids.every((uuid: string, n: number) => uuid === `long-${ROWS - n}`)).toBe(true);
    await noStreams();
  });

  test('is of one moment: what changes while it is read is not in it', async () => {
    const response = await begun();
    await service.query(`UPDATE message SET status = 'delivered' WHERE uuid = 'long-1'`);
    response.setEncoding('utf8');
    let text = '';
    for await (const piece of response) text += piece;
    expect(JSON.parse(text).at(-1)).toMatchObject({ uuid: 'long-1', status: 'sent' });
  });

  test('HEAD answers its header fields alone', async () => {
    const answer = await service.call('/dhos/v1/sms', { method: 'HEAD', headers });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    await noStreams();
  });

  test('a client that goes away ends the stream in PostgreSQL', async () => {
    const response = await begun();
    expect(await streamsOpen()).toBe(1);
    response.destroy();
    await noStreams();
  });

  test('four are streamed at once, a fifth is 503, and sending goes on meanwhile', async () => {
    const four = await Promise.all([begun(), begun(), begun(), begun()]);
    const fifth = await service.call('/dhos/v1/sms', { headers });
    expectProblem(fifth, 503, 'Too many long lists are being read: ask again, or page by page.');
    expect(fifth.headers.get('retry-after')).toBe('5');
    expect((await service.call('/dhos/v1/sms?limit=50', { headers })).json).toHaveLength(50);
    expect((await service.post({ sender: 's', receiver: '+447700900123', content: 'c' })).status).toBe(200);
    for (const response of four) response.destroy();
    await noStreams();
    (await begun()).destroy();
  });

  test('is cut, never ended, when the database goes away in the middle', async () => {
    const response = await begun();
    proxy.cut();
    response.resume();
    const failure = await once(response, 'end').then(
      () => null,
      (error: Error) => error,
    );
    expect(failure).toMatchObject({ code: 'ECONNRESET' });
    expect(response.complete).toBe(false);
    proxy.open();
    await eventually(async () => (await service.call('/healthcheck')).status === 200);
    expect((await service.call('/dhos/v1/sms?limit=1', { headers })).status).toBe(200);
  });

  test('is cut with a reset, which a client of HTTP/1.0 cannot take for its end', async () => {
    const socket = connect(Number(new URL(service.baseUrl).port), '127.0.0.1');
    socket.write('GET /dhos/v1/sms HTTP/1.0\r\nx-trustomer: long\r\nx-product: gdm\r\n\r\n');
    await once(socket, 'data');
    socket.pause();
    proxy.cut();
    socket.resume();
    await expect(once(socket, 'end')).rejects.toMatchObject({ code: 'ECONNRESET' });
    proxy.open();
    await eventually(async () => (await service.call('/healthcheck')).status === 200);
  });

  test('is 503 when the database goes away before the first row', async () => {
    proxy.cut();
    expectProblem(await service.call('/dhos/v1/sms', { headers }), 503, /^The database cannot be reached\./);
    proxy.open();
    await eventually(async () => (await service.call('/healthcheck')).status === 200);
  });
});

describe('A streamed body', () => {
  const pieces = (closed: () => void) =>
    (async function* () {
      try {
        // As PostgreSQL does, it lets others in between its pieces.
        for (;;) yield await setImmediate(Buffer.alloc(65_536));
      } finally {
        closed();
      }
    })();

  test('that nobody takes is given up after its time, and gives back what it holds', async () => {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const more = pieces(resolve);
    const first = await more.next();
    const body = streamedBody(first.value ?? Buffer.alloc(0), more, { pieceWithinMs: 20, allWithinMs: 60_000 });
    body.once('readable', () => {});
    await expect(once(body, 'end')).rejects.toMatchObject({ name: 'SlowReader' });
    await closed;
  });

  test('that is taken for ever is given up after its time', async () => {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const more = pieces(resolve);
    const first = await more.next();
    const body = streamedBody(first.value ?? Buffer.alloc(0), more, { pieceWithinMs: 60_000, allWithinMs: 50 });
    body.resume();
    await expect(once(body, 'end')).rejects.toMatchObject({ name: 'SlowReader' });
    await closed;
  });

  test('that ends before anybody began to read gives back what it holds', async () => {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const more = pieces(resolve);
    const first = await more.next();
    streamedBody(first.value ?? Buffer.alloc(0), more, { pieceWithinMs: 60_000, allWithinMs: 60_000 }).destroy();
    await closed;
  });
});

describe('The memory of the service', () => {
  let child: Run & { baseUrl: string };
  beforeAll(async () => {
    await insertRows('longer', MANY_ROWS);
    child = await runService({ DATABASE_URL: database.url, LOG_LEVEL: 'WARN' }, startFlags);
  });
  afterAll(async () => {
    child.child.kill();
    await child.ended;
  });

  test(`stays within 60 MB above idle for a list of ${MANY_ROWS} messages, with one more that nobody reads`, async () => {
    const pid = child.child.pid ?? 0;
    // What a process grows by when it works for the first time is not the list's.
    const warmUp = await open('/dhos/v1/sms?limit=10000', child.baseUrl, 'longer');
    await once(warmUp.resume(), 'end');
    const idleMb = residentMb(pid);
    const unread = await open('/dhos/v1/sms', child.baseUrl, 'longer');
    const read = await open('/dhos/v1/sms', child.baseUrl, 'longer');
    let peakMb = 0;
    let bytes = 0;
    for await (const piece of read) {
      bytes += piece.length;
      peakMb = Math.max(peakMb, residentMb(pid));
    }
    unread.destroy();
    expect(bytes).toBeGreaterThan(80_000_000);
    expect(peakMb - idleMb).toBeLessThan(60);
  }, 120_000);
});
