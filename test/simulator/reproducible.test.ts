import { describe, expect, test } from 'vitest';
import { readScenario } from '../../src/simulator/read-scenario.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { call, create, journalOf, receiveCallbacks, simulate, simulateDriven } from './support.ts';

const rough = `
concurrency: 100
list: { lag: 10s }
rules:
  - { on: create, when: { probability: 0.1 }, do: { answer: 503, created: true } }
  - { on: create, when: { probability: 0.1 }, do: { answer: reset, created: 30s } }
  - { on: create, when: { probability: 0.1 }, do: { answer: truncated, created: false } }
  - { on: fetch, when: { probability: 0.2 }, do: { answer: 500 } }
  - { on: list, when: { probability: 0.2 }, do: { answer: 429 } }
  - { on: callback, when: { probability: 0.2 }, do: { lose: true } }
  - { on: callback, when: { probability: 0.2 }, do: { double: true } }
  - { on: callback, when: { probability: 0.3 }, do: { shuffle: 5s } }
`;

/** One client that asks one thing after the other, and gives up on nothing. */
async function runSerially(seed: number): Promise<string> {
  const simulator = await simulateDriven(rough, { seed });
  const server = await receiveCallbacks((n) => (n % 5 === 0 ? 500 : 204));
  for (let n = 0; n < 60; n++) {
    const StatusCallback = `${server.url}?m=${n}&a=1#rc=1&rp=5xx`;
    const To = n % 7 === 0 ? '+447700900996' : `+4477009001${10 + (n % 50)}`;
    await create(simulator, { Body: `text ${n % 40}`, To, StatusCallback }).catch(() => {});
    await simulator.advance(700);
    await call(simulator, '/Messages.json?PageSize=5').catch(() => {});
  }
  for (const { sid } of simulator.messages()) await call(simulator, `/Messages/${sid}.json`);
  await simulator.advance(60_000);
  return simulator.journal();
}

describe('one seed and one scenario', () => {
  test('give a serial client the same journal to the byte, and another seed another', async () => {
    const [one, same, other] = [await runSerially(7), await runSerially(7), await runSerially(8)];
    expect(one.split('\n').length).toBeGreaterThan(250);
    expect(same).toBe(one);
    expect(other).not.toBe(one);
  });

  test('write no text, no host, no port and no real date into the journal', async () => {
    const simulator = await simulate({ seed: 7 });
    const server = await receiveCallbacks();
    await create(simulator, { Body: 'canary', StatusCallback: server.url });
    await create(simulator, { Boddy: 'canary' });
    await call(simulator, '/Canaries.json');
    await simulator.settled();
    expect(journalOf(simulator)).toHaveLength(6);
    const { port } = new URL(server.url);
    const told = simulator.journal().replaceAll(/[0-9a-f]{16,}/g, '');
    for (const secret of ['canary', '127.0.0.1', `:${port}`, `:${new URL(simulator.baseUrl).port}`]) {
      expect(told).not.toContain(secret);
    }
    // As a date, or in milliseconds since 1970: other numbers may begin alike.
    expect(told).not.toMatch(/202\d-\d\d|\b1[78]\d{11}\b/);
  });

  const texts = Array.from({ length: 300 }, (_, n) => ({ Body: `text ${n}`, To: `+4477009001${10 + (n % 50)}` }));

  test('give each text the same fate, whether it comes alone or with 63 others', async () => {
    const alone = await fatesOf(texts, 1);
    const together = await fatesOf(texts.toReversed(), 64);
    expect(together).toEqual(alone);
    expect(new Set(Object.values(alone).map((fate) => fate.replace(/SM.*/, ''))).size).toBeGreaterThan(3);
  });
});

/** What became of each text: the rule that it met, its SID, and what happened to each of its callbacks. */
async function fatesOf(texts: { Body: string; To: string }[], connections: number): Promise<Record<string, string>> {
  const simulator = await simulate({ speed: 0, seed: 7, scenario: readScenario(rough) });
  const server = await receiveCallbacks();
  const waiting = [...texts];
  const client = async () => {
    for (let text = waiting.pop(); text !== undefined; text = waiting.pop()) {
      await create(simulator, { ...text, StatusCallback: server.url }).catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: connections }, client));
  await simulator.advance(3_600_000);
  return Object.fromEntries(
    journalOf(simulator, 'create').map(({ to, text, rule, fault, sid }) => {
      return [`${to} ${text}`, `${rule} ${fault} ${sid} ${callbacksOf(simulator, sid)}`];
    }),
  );
}

function callbacksOf(simulator: Simulator, sid: unknown): string {
  const entries = journalOf(simulator, 'callback').filter((entry) => entry.sid === sid);
  return entries
    .map(({ status, fault, outcome }) => `${status} ${fault} ${outcome}`)
    .sort()
    .join();
}
