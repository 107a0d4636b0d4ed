import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { request } from 'undici';
import { run } from '../support/process.ts';
import type { Benchmark, Measurement } from './harness.ts';
import { cpuSeconds, load, residentMb } from './load.ts';

const account = `AC${'1'.repeat(32)}`;
const token = 'token';
const headers = {
  authorization: `Basic ${Buffer.from(`${account}:${token}`).toString('base64')}`,
  'content-type': 'application/x-www-form-urlencoded',
};
const path = `/2010-04-01/Accounts/${account}/Messages.json`;

/** Receivers of the range kept for fiction that have no fate of their own. */
function receiver(n: number): string {
  return `+447700900${String(n % 180).padStart(3, '0')}`;
}

function create(n: number, statusCallback?: string) {
  const form = new URLSearchParams({ To: receiver(n), From: '+447700900001', Body: `Text number ${n}, quite short.` });
  if (statusCallback !== undefined) form.set('StatusCallback', statusCallback);
  return { path, method: 'POST' as const, headers, body: form.toString() };
}

async function startSimulator(...args: string[]) {
  // As `npm run simulator` starts it.
  const simulator = run(
    '--max-semi-space-size=4',
    [
      '--heap-growing-percent=20',
      'src/simulator/index.ts',
      '--port',
      '0',
      '--account',
      account,
      '--token',
      token,
      '--seed',
      '1',
      ...args,
    ],
    {},
  );
  return { ...simulator, url: await urlOf(simulator) };
}

async function urlOf(program: ReturnType<typeof run>): Promise<string> {
  const [url] = await program.printed(/http:\/\/127\.0\.0\.1:\d+/);
  return url;
}

const COUNT = 30_000;

/** Creates a second for each second of CPU that the server used: what one core takes, however busy the other one is. */
async function createsPerCore(
  program: ReturnType<typeof run>,
  url: string,
  progress: (line: string) => void,
): Promise<number> {
  const pid = program.child.pid ?? 0;
  const go = (count: number) =>
    load({
      url,
      connections: 64,
      count,
      expected: 201,
      request: (n) => create(n),
      onProgress: (n) => progress(`${n} creates`),
    });
  await go(3_000);
  const before = cpuSeconds(pid);
  await go(COUNT);
  return COUNT / (cpuSeconds(pid) - before);
}

const creates: Benchmark = {
  name: 'simulator, creates',
  run: async (progress) => {
    const floor = run('test/bench/floor-twilio.ts', [], {});
    const simulator = await startSimulator('--speed', '0');
    try {
      const value = await createsPerCore(simulator, simulator.url, progress);
      const unavoidable = await createsPerCore(floor, await urlOf(floor), progress);
      const what = 'simulator: creates a second on one core';
      return [{ what, value, unit: '/s', floor: unavoidable, target: '≥ 3,000 /s', isMet: value >= 3_000 }];
    } finally {
      floor.child.kill();
      simulator.child.kill();
      await Promise.all([floor.ended, simulator.ended]);
    }
  },
};

/** Texts that have lived their whole life: every one with its journal entries. */
const memory: Benchmark = {
  name: 'simulator, memory',
  run: async (progress) => {
    const simulator = await startSimulator('--speed', '0');
    try {
      const count = 100_000;
      const together = 5_000;
      for (let done = 0; done < count; done += together) {
        progress(`${done} of ${count} texts`);
        const request = (n: number) => create(done + n);
        await load({ url: simulator.url, connections: 64, count: together, expected: 201, request });
        await advance(simulator.url, '1m');
      }
      const value = residentMb(simulator.child.pid ?? 0);
      return [
        { what: 'simulator: memory with 100,000 texts', value, unit: 'MB', target: '≤ 300 MB', isMet: value <= 300 },
      ];
    } finally {
      simulator.child.kill();
      await simulator.ended;
    }
  },
};

const HOURS = 10;
const TEXTS = 10_000;

const TOGETHER = 10;

/** Ten hours in which ten texts are sent every 36 s, with all their callbacks. */
const drivenClock: Benchmark = {
  name: 'simulator, driven clock',
  run: async (progress): Promise<Measurement[]> => {
    let callbacks = 0;
    const sink = createServer((incoming, answer) => {
      callbacks += 1;
      incoming.resume().on('end', () => answer.writeHead(204).end());
    });
    sink.listen(0, '127.0.0.1');
    await once(sink, 'listening');
    const statusCallback = `http://127.0.0.1:${(sink.address() as AddressInfo).port}/callback`;
    const simulator = await startSimulator('--speed', '0');
    try {
      const began = performance.now();
      for (let n = 0; n < TEXTS; n += TOGETHER) {
        for (let k = n; k < n + TOGETHER; k += 1) {
          const { method, body: form } = create(k, statusCallback);
          const { body } = await request(simulator.url + path, { method, headers, body: form });
          await body.dump();
        }
        await advance(simulator.url, `${((HOURS * 3_600_000) / TEXTS) * TOGETHER}ms`);
        progress(`${((n / TEXTS) * HOURS).toFixed(1)} of ${HOURS} hours`);
      }
      await advance(simulator.url, '1m');
      const value = (performance.now() - began) / 1000;
      if (callbacks !== TEXTS * 3) throw new Error(`${callbacks} callbacks came instead of ${TEXTS * 3}`);
      const what = `simulator: ${HOURS} simulated hours, ${TEXTS.toLocaleString('en')} texts, every callback answered`;
      return [{ what, value, unit: 's', target: '≤ 30 s', isMet: value <= 30 }];
    } finally {
      simulator.child.kill();
      await simulator.ended;
      sink.close();
    }
  },
};

async function advance(url: string, by: string): Promise<void> {
  const { statusCode, body } = await request(`${url}/_simulator/clock`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ advance: by }),
  });
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`the clock answered ${statusCode}: ${text}`);
}

export const simulatorBenchmarks: readonly Benchmark[] = [creates, memory, drivenClock];
