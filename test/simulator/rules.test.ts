import { describe, expect, test } from 'vitest';
import { readScenario } from '../../src/simulator/read-scenario.ts';
import { createRules, type RequestFacts } from '../../src/simulator/rules.ts';
import type { RequestKind } from '../../src/simulator/scenario.ts';

const calm: RequestFacts = { kind: 'create', receiver: '+447700900123', fate: 'x', occurrence: 1, inFlight: 1 };

/** Which rule applies to each request, by its number; 0 is none. */
function numbersFor(rules: string, requests: Partial<RequestFacts>[], seed = 1, now = () => 0) {
  const compiled = createRules(readScenario(`rules:\n${rules}`), seed, now);
  return requests.map((facts) => compiled.forRequest({ ...calm, ...facts })?.number ?? 0);
}

const rule = (when: string, on = 'create') => `  - { on: ${on}, when: ${when}, do: { answer: 503 } }\n`;
const times = (n: number): Partial<RequestFacts>[] => Array.from({ length: n }, () => ({}));

describe('a rule', () => {
  test('applies to requests of its kind', () => {
    const kinds: RequestKind[] = ['create', 'fetch', 'list', 'update', 'delete'];
    const requests = kinds.map((kind) => ({ kind }));
    expect(numbersFor(rule('{}', 'list'), requests)).toEqual([0, 0, 1, 0, 0]);
  });

  test('applies from one moment up to another, the second not included', () => {
    const moments = [0, 999, 1000, 1999, 2000];
    let at = 0;
    const now = () => moments[at++] ?? 0;
    expect(numbersFor(rule('{ from: 1s, until: 2s }'), times(5), 1, now)).toEqual([0, 0, 1, 1, 0]);
  });

  test('applies to the n-th request', () => {
    expect(numbersFor(rule('{ nth: 3 }'), times(5))).toEqual([0, 0, 1, 0, 0]);
  });

  test('applies to every n-th request', () => {
    expect(numbersFor(rule('{ every: 2 }'), times(5))).toEqual([0, 1, 0, 1, 0]);
  });

  test('counts only what meets its other conditions', () => {
    const [mine, other] = [{}, { receiver: '+447700900124' }];
    expect(numbersFor(rule('{ nth: 2, receiver: "*123" }'), [mine, other, mine, mine])).toEqual([0, 0, 1, 0]);
  });

  test('applies to the n-th request for one text', () => {
    const requests = [{ occurrence: 1 }, { occurrence: 2 }, { occurrence: 3 }];
    expect(numbersFor(rule('{ occurrence: 2 }'), requests)).toEqual([0, 1, 0]);
  });

  test.for([
    ['"*0123"', 1],
    ['"+4477*"', 1],
    ['"+44*0123"', 1],
    ['"+447700900123"', 1],
    ['"*0124"', 0],
    ['"0123"', 0],
    ['"+1*"', 0],
  ] as const)('with the receiver %s applies to +447700900123: %i', ([receiver, number]) => {
    expect(numbersFor(rule(`{ receiver: ${receiver} }`), [{}])).toEqual([number]);
  });

  test('applies when more are in flight', () => {
    expect(numbersFor(rule('{ inFlightAbove: 2 }'), [{ inFlight: 2 }, { inFlight: 3 }])).toEqual([0, 1]);
  });

  test('with a probability applies to about so many, and to the same whatever their order', () => {
    const requests = Array.from({ length: 2000 }, (_, n) => ({ fate: `text ${n}` }));
    const numbers = numbersFor(rule('{ probability: 0.1 }'), requests);
    expect(numbers.filter(Boolean).length).toBeGreaterThan(150);
    expect(numbers.filter(Boolean).length).toBeLessThan(250);
    expect(numbersFor(rule('{ probability: 0.1 }'), requests.toReversed())).toEqual(numbers.toReversed());
    expect(numbersFor(rule('{ probability: 0.1 }'), requests, 2)).not.toEqual(numbers);
  });

  test('draws by itself: two of the same probability do not hit the same', () => {
    const requests = Array.from({ length: 200 }, (_, n) => ({ fate: `text ${n}` }));
    const numbers = numbersFor(rule('{ probability: 0.5 }') + rule('{ probability: 0.5 }'), requests);
    expect(new Set(numbers)).toEqual(new Set([0, 1, 2]));
  });

  test('that comes first wins', () => {
    expect(numbersFor(rule('{ nth: 2 }') + rule('{}'), times(3))).toEqual([2, 1, 2]);
  });
});

test('all rules that match a callback apply to it', () => {
  const rules = createRules(
    readScenario(`rules:
  - { on: callback, when: { status: sent }, do: { lose: true } }
  - { on: callback, do: { double: true } }
  - { on: callback, when: { receiver: "*9" }, do: { double: true } }
`),
    1,
    () => 0,
  );
  const numbersOf = (status: string) =>
    rules.forCallback({ receiver: '+447700900123', status, fate: 'x' }).map(({ number }) => number);
  expect(numbersOf('sent')).toEqual([1, 2]);
  expect(numbersOf('delivered')).toEqual([2]);
});
