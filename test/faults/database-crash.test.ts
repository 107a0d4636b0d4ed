import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Replica, type Stage, setStage } from '../chaos/stage.ts';
import { startProxy } from '../support/proxy.ts';
import { eventually, tenant } from '../support/service.ts';
import { numberOf } from './support.ts';

const SETTLE_MS = '500';
let stage: Stage;
let replicas: Replica[];

beforeAll(async () => {
  stage = await setStage({ seed: 1, speed: 20 });
  replicas = await Promise.all([1, 2].map(() => stage.startReplica({ SETTLE_MS, TWILIO_TIMEOUT_MS: '2000' })));
});
afterAll(() => stage.stop());

type Asked = { readonly content: string; readonly status: number; readonly messageId: string | null };

async function post(baseUrl: string, n: number, content: string): Promise<Asked> {
  const answer = await fetch(`${baseUrl}/dhos/v1/sms`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...tenant,
      ...(n % 3 === 0 && { prefer: 'respond-async' }),
    },
    body: JSON.stringify({ sender: '+447700900001', receiver: numberOf(n % 200), content }),
  });
  await answer.arrayBuffer();
  return { content, status: answer.status, messageId: answer.headers.get('x-message-id') };
}

/** A steady load until `work` is done. */
async function underLoad(about: string, work: () => Promise<void>): Promise<Asked[]> {
  const asked: Promise<Asked>[] = [];
  let n = 0;
  const asking = setInterval(() => {
    const { baseUrl = '' } = replicas[n % replicas.length] ?? {};
    asked.push(post(baseUrl, n, `${about}, ${n}.`));
    n += 1;
  }, 15);
  await work();
  clearInterval(asking);
  return Promise.all(asked);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('PostgreSQL crashes and restarts under load, three times', () => {
  let asked: Asked[];
  type Row = { uuid: string; content: string; status: string; twilio_sid: string | null; attempts: number };
  let rows: Map<string, Row>;
  let creates: { m: string; sid?: string; http?: number }[];

  beforeAll(async () => {
    asked = await underLoad('Crash', async () => {
      for (let crash = 0; crash < 3; crash++) {
        await pause(700);
        await stage.crashPostgres();
      }
      await pause(700);
    });
    await eventually(
      async () => (await stage.query("SELECT FROM message WHERE unresolved OR step <> 'poll'")).length === 0,
      // A message to be sent later is left to its own replica for 20 s.
      45_000,
    );
    rows = new Map((await stage.query<Row>('SELECT * FROM message')).map((row) => [row.uuid, row]));
    creates = (await stage.simulator.journal('create')) as typeof creates;
  });

  test('the load met the crashes: some requests were answered 503, most were not', () => {
    const count = (status: number) => asked.filter((one) => one.status === status).length;
    expect(count(503)).toBeGreaterThan(0);
    expect(count(200)).toBeGreaterThan(50);
    expect(count(202)).toBeGreaterThan(20);
  });

  test('no request is answered anything but 200, 202 and 503', () => {
    expect([...new Set(asked.map(({ status }) => status))].sort()).toEqual([200, 202, 503]);
  });

  test('Twilio was called for nothing that is not recorded', () => {
    expect(creates.length).toBeGreaterThan(50);
    for (const { m } of creates) expect(rows.has(m)).toBe(true);
  });

  test('what was answered 200 or 202 is at Twilio, each once', async () => {
    const byContent = Map.groupBy(rows.values(), ({ content }) => content);
    for (const { content, status, messageId } of asked) {
      if (status === 503) continue;
      const [row, ...more] = byContent.get(content) ?? [];
      expect(more).toEqual([]);
      expect(row).toMatchObject({ uuid: messageId, twilio_sid: expect.stringMatching(/^SM/) });
    }
    expect(await stage.simulator.ask('duplicates')).toEqual([]);
  });

  test('what was answered 503 is not at Twilio and never will be', () => {
    const refused = new Set(asked.filter(({ status }) => status === 503).map(({ content }) => content));
    for (const { m } of creates) expect(refused.has(rows.get(m)?.content ?? '')).toBe(false);
    for (const { content, status } of rows.values()) if (refused.has(content)) expect(status).toBe('error');
  });

  test('the replicas go on without a restart', async () => {
    for (const { baseUrl, child } of replicas) {
      expect(child.exitCode).toBeNull();
      expect((await fetch(`${baseUrl}/healthcheck`)).status).toBe(200);
      expect((await post(baseUrl, 1, `After all of it, ${baseUrl}`)).status).toBe(200);
    }
  });
});

describe('PostgreSQL is down while requests keep coming', () => {
  test('the memory of the service stays flat, and it recovers', { timeout: 60_000 }, async () => {
    const proxy = await startProxy(stage.databaseUrl);
    const { baseUrl } = await stage.startReplica({
      DATABASE_URL: proxy.url,
      LOG_LEVEL: 'ERROR',
      // V8 lets a heap grow before it looks for what is garbage; with little room it looks often.
      NODE_OPTIONS: '--max-old-space-size=110 --max-semi-space-size=4',
    });
    expect((await post(baseUrl, 1, 'Before it went down.')).status).toBe(200);
    proxy.cut();
    const storm = async (count: number, about: string) => {
      for (let n = 0; n < count; n += 50) {
        const batch = await Promise.all(Array.from({ length: 50 }, (_, k) => post(baseUrl, k, `${about}, ${n + k}`)));
        expect(new Set(batch.map(({ status }) => status))).toEqual(new Set([503]));
      }
      return memoryOf(baseUrl);
    };
    // The first storm warms it up: code is compiled, buffers and pools take their size.
    const warm = await storm(1_500, 'The first storm');
    const after = await storm(1_500, 'The second storm');
    expect(after - warm).toBeLessThan(16 * 1024 * 1024);
    proxy.open();
    await eventually(async () => (await fetch(`${baseUrl}/healthcheck`)).status === 200);
    expect((await post(baseUrl, 1, 'After it came back.')).status).toBe(200);
    await proxy.close();
  });
});

async function memoryOf(baseUrl: string): Promise<number> {
  const text = await (await fetch(`${baseUrl}/metrics`)).text();
  const memory = Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]);
  expect(memory).toBeGreaterThan(0);
  return memory;
}
