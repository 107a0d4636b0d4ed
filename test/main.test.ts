import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { createDatabase } from './support/database.ts';
import { run, runService } from './support/process.ts';
import { eventually, type Json, tenant, text } from './support/service.ts';
import { startTcpServer } from './support/tcp.ts';

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'polaris-sms-main-'));
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function ownDatabase(): Promise<string> {
  const database = await createDatabase();
  cleanUps.push(database.drop);
  return database.url;
}

function urlParts(baseUrl: string): { hostname: string; port: number } {
  const { hostname, port } = new URL(baseUrl);
  return { hostname, port: Number(port) };
}

const send = (baseUrl: string, body: object = text) =>
  fetch(`${baseUrl}/dhos/v1/sms`, {
    method: 'POST',
    headers: { ...tenant, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

describe('starting', () => {
  test('ENVIRONMENT unset and nothing configured: exit 1, one line for each missing variable', async () => {
    const started = run('src/index.ts', [], {});
    expect(await started.ended).toBe(1);
    expect(started.output().trim().split('\n')).toEqual(
      [
        ...['HOST', 'PORT', 'USER', 'PASSWORD', 'NAME'].map((part) => `DATABASE_${part}`),
        ...['TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN', 'TWILIO_CALL_BACK_URL', 'COUNTRY_CODE'],
      ].map((name) => `${name} is missing`),
    );
  });

  test('a port in use: exit 1, one sentence that says what to do', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    cleanUps.push(async () => blocker.close());
    const { port } = blocker.address() as AddressInfo;
    const started = run('src/index.ts', [], {
      ENVIRONMENT: 'DEVELOPMENT',
      LISTEN_ADDRESS: '127.0.0.1',
      PORT: String(port),
      DATABASE_URL: await ownDatabase(),
      LOG_LEVEL: 'ERROR',
    });
    expect(await started.ended).toBe(1);
    expect(started.output()).toBe(
      `Port ${port} is in use: stop what uses it, or choose another one, for example PORT=${port + 1}.\n`,
    );
  });

  test('a port for callbacks in use: exit 1, one sentence that says what to do', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    cleanUps.push(async () => blocker.close());
    const { port } = blocker.address() as AddressInfo;
    const started = run('src/index.ts', [], {
      ENVIRONMENT: 'DEVELOPMENT',
      LISTEN_ADDRESS: '127.0.0.1',
      PORT: '0',
      CALLBACK_PORT: String(port),
      DATABASE_URL: await ownDatabase(),
      LOG_LEVEL: 'ERROR',
    });
    expect(await started.ended).toBe(1);
    expect(started.output()).toBe(
      `Port ${port} is in use: stop what uses it, or choose another one, for example CALLBACK_PORT=${port + 1}.\n`,
    );
  });

  test('a data directory that cannot be written to: exit 1, one sentence', async () => {
    const folder = await makeFolder();
    await writeFile(path.join(folder, 'file'), '');
    const started = run('src/index.ts', [], {
      ENVIRONMENT: 'DEVELOPMENT',
      PORT: '0',
      DATA_DIR: path.join(folder, 'file'),
      LOG_LEVEL: 'ERROR',
    });
    expect(await started.ended).toBe(1);
    expect(started.output().trim().split('\n')).toHaveLength(1);
    expect(started.output()).toContain('DATA_DIR');
  });

  test('a database that nobody serves: exit 1, one sentence without the password', async () => {
    const started = run('src/index.ts', [], {
      ENVIRONMENT: 'DEVELOPMENT',
      PORT: '0',
      DATABASE_URL: 'postgres://me:canary-password@127.0.0.1:1/sms',
      LOG_LEVEL: 'ERROR',
    });
    expect(await started.ended).toBe(1);
    expect(started.output().trim().split('\n')).toHaveLength(1);
    expect(started.output()).not.toContain('canary-password');
  });
});

describe('stopping', () => {
  test('SIGTERM finishes what is in flight and exits 0', async () => {
    const twilio = await startTcpServer(() => {});
    cleanUps.push(twilio.close);
    const service = await runService({
      DATABASE_URL: await ownDatabase(),
      TWILIO_BASE_URL: twilio.url,
      TWILIO_ACCOUNT_SID: 'AC1',
      TWILIO_AUTH_TOKEN: 'token',
      TWILIO_CALL_BACK_URL: 'https://sms.example.com/callback',
      TWILIO_TIMEOUT_MS: '1500',
    });
    const answer = send(service.baseUrl);
    await eventually(async () => twilio.requests.length === 1);
    service.child.kill('SIGTERM');
    expect((await answer).status).toBe(202);
    expect(await service.ended).toBe(0);
  });

  test('connections on which nothing, or half a request, was sent do not hold a stop up', async () => {
    const service = await runService({ DATABASE_URL: await ownDatabase(), CALLBACK_PORT: '0' });
    const [, callbackBaseUrl = ''] = await service.printed(/"callbackBaseUrl":"(http:[^"]+)"/);
    const opened = [service.baseUrl, callbackBaseUrl].flatMap((baseUrl) =>
      ['', 'GET /running HTTP/1.1\r\nHost'].map((sent) => ({ ...urlParts(baseUrl), sent })),
    );
    for (const { port, hostname, sent } of opened) {
      const socket = connect(port, hostname);
      cleanUps.push(async () => socket.destroy());
      await once(socket, 'connect');
      socket.on('error', () => {});
      socket.write(sent);
    }
    // An answer on a third connection: by then the service has seen the first two.
    for (const baseUrl of [service.baseUrl, callbackBaseUrl]) await fetch(`${baseUrl}/running`);
    const began = performance.now();
    service.child.kill('SIGTERM');
    expect(await service.ended).toBe(0);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  test('Ctrl-C, which npm passes on a second time, exits 0', async () => {
    const service = await runService({ DATABASE_URL: await ownDatabase() });
    service.child.kill('SIGINT');
    service.child.kill('SIGINT');
    expect(await service.ended).toBe(0);
  });
});

describe('one command, nothing configured', () => {
  const processesOf = (folder: string) =>
    execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(folder));

  test('a text is delivered and redacted; after kill -9 it is found again; Ctrl-C leaves no process behind', async () => {
    const folder = await makeFolder();
    const first = await runService({ DATA_DIR: folder });
    const { uuid } = (await (await send(first.baseUrl)).json()) as Json;
    const get = async (baseUrl: string): Promise<Json> => (await fetch(`${baseUrl}/dhos/v1/sms/${uuid}`)).json();
    const ended = await eventually(async () => {
      const message = await get(first.baseUrl);
      return message.redacted !== undefined && message;
    });
    expect(ended.status).toBe('delivered');
    first.child.kill('SIGKILL');
    await first.ended;

    const second = await runService({ DATA_DIR: folder });
    expect(await get(second.baseUrl)).toEqual(ended);
    second.child.kill('SIGINT');
    expect(await second.ended).toBe(0);
    expect(processesOf(folder)).toEqual([]);
  });
});
