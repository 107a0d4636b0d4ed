import { once } from 'node:events';
import { Agent, request } from 'node:http';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { startTcpServer, type TcpServer } from '../support/tcp.ts';
import { type PostgresProxy, startPostgresProxy } from './postgres-proxy.ts';
import { startTwilioProxy, type TwilioProxy } from './twilio-proxy.ts';

/** A drill is only as good as its moments: what the proxies of the kill matrix hold, and what has happened by then. */
describe('the proxy in front of PostgreSQL', () => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let client: pg.Client;
  let witness: pg.Client;

  beforeEach(async () => {
    database = await createDatabase('empty');
    proxy = await startPostgresProxy(database.url);
    client = new pg.Client({ connectionString: proxy.url });
    client.on('error', () => {});
    witness = new pg.Client({ connectionString: database.url });
    await Promise.all([client.connect(), witness.connect()]);
    await witness.query('CREATE TABLE note (text varchar)');
  });

  afterEach(async () => {
    await Promise.allSettled([client.end(), witness.end()]);
    await proxy.close();
    await database.drop();
  });

  const write = (text: string) =>
    client.query({ name: 'write-note', text: 'INSERT INTO note VALUES ($1)', values: [text] });
  const notes = async () =>
    (await witness.query<{ text: string }>('SELECT text FROM note')).rows.map((row) => row.text);

  it('keeps a held statement from PostgreSQL for good when the client dies', async () => {
    const hold = proxy.holdRequest('write-note');
    const writing = write('never').catch((error: Error) => error);
    await hold.reached;
    hold.lose();
    expect(await writing).toBeInstanceOf(Error);
    expect(await notes()).toEqual([]);
  });

  it('holds an answer only once the statement is committed, and names the process that did it', async () => {
    const hold = proxy.holdAnswer('write-note');
    let isAnswered = false;
    const writing = write('kept').then(() => {
      isAnswered = true;
    });
    const { backendPid } = await hold.reached;
    expect(await notes()).toEqual(['kept']);
    expect(isAnswered).toBe(false);
    expect((await witness.query('SELECT FROM pg_stat_activity WHERE pid = $1', [backendPid])).rowCount).toBe(1);
    hold.release();
    await writing;
  });

  it('waits for the COMMIT of a transaction', async () => {
    const hold = proxy.holdAnswer('write-note');
    await client.query('BEGIN');
    await write('kept');
    expect(await notes()).toEqual([]);
    const committing = client.query('COMMIT');
    await hold.reached;
    expect(await notes()).toEqual(['kept']);
    hold.release();
    await committing;
  });

  it('passes an answer that touched no row, and one that is an error', async () => {
    const hold = proxy.holdAnswer('update-note');
    const update = (text: string | null) =>
      client.query({
        name: 'update-note',
        text: 'UPDATE note SET text = $1::varchar || 1 / length($1)',
        values: [text],
      });
    expect((await update('a')).rowCount).toBe(0);
    await witness.query("INSERT INTO note VALUES ('old')");
    await expect(update('')).rejects.toThrow(/division by zero/);
    const updating = update('a');
    await hold.reached;
    hold.release();
    expect((await updating).rowCount).toBe(1);
  });

  it('lets go on what it held, in order', async () => {
    const hold = proxy.holdRequest('write-note');
    const writing = write('first');
    await hold.reached;
    const reading = client.query('SELECT text FROM note');
    hold.release();
    await writing;
    expect((await reading).rows).toEqual([{ text: 'first' }]);
    await write('second');
    expect(await notes()).toEqual(['first', 'second']);
  });
});

describe('the proxy in front of Twilio', () => {
  let twilio: TcpServer;
  let received: string;
  let proxy: TwilioProxy;

  beforeEach(async () => {
    received = '';
    twilio = await startTcpServer((socket, asked) => {
      received += asked;
      socket.write('HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}');
    });
    proxy = await startTwilioProxy(twilio.url);
  });

  afterEach(async () => {
    await proxy.close();
    await twilio.close();
  });

  function create(body: string) {
    const agent = new Agent({ keepAlive: false });
    const path = '/2010-04-01/Accounts/AC0/Messages.json';
    const asking = request(`${proxy.url}${path}`, {
      agent,
      method: 'POST',
      headers: { 'content-length': body.length },
    });
    asking.end(body);
    const status = once(asking, 'response').then(
      ([answer]) => Number(answer.statusCode),
      () => 'broken off' as const,
    );
    return { asking, status };
  }

  it('lets a create pass', async () => {
    expect(await create('Body=one').status).toBe(201);
    expect(received).toContain('Body=one');
    expect(proxy.creates()).toBe(1);
  });

  it('stops a create half-way, and a dead client leaves the half', async () => {
    proxy.treat(() => ({ stopAfter: 0.5 }));
    const { asking, status } = create('Body=one');
    await proxy.stopped();
    asking.destroy();
    expect(await status).toBe('broken off');
    expect(received).toBe('');
  });

  it('keeps the answer to what Twilio has taken', async () => {
    proxy.treat(({ form }) => (form.get('Body') === 'one' ? 'keep answer' : 'pass'));
    const { status } = create('Body=one');
    await proxy.stopped();
    expect(received).toContain('Body=one');
    expect(await create('Body=two').status).toBe(201);
    proxy.release();
    expect(await status).toBe(201);
  });

  it('keeps a create whole and sends it later', async () => {
    proxy.treat(() => 'keep');
    const { status } = create('Body=one');
    await proxy.stopped();
    expect(received).toBe('');
    proxy.release();
    expect(await status).toBe(201);
    expect(received).toContain('Body=one');
  });
});
