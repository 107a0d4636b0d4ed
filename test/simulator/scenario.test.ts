import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { CannotStart } from '../../src/errors.ts';
import { readScenario, readScenarioFile } from '../../src/simulator/read-scenario.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';

const written = `
about: Twilio is down for an hour
seed: 7
latency: { median: 50ms, p99: 400ms }
concurrency: 30
list: { lag: 1h }
rules:
  - on: create
    when: { from: "00:30", until: 01:30, probability: 0.1, receiver: "*0123" }
    do: { answer: 503, retryAfter: 5s, created: 30s }
  - on: callback
    do: { repeatAfter: { delay: 1s, without: [ErrorCode] } }
`;

const meant = {
  about: 'Twilio is down for an hour',
  seed: 7,
  latency: { median: 50, p99: 400 },
  concurrency: 30,
  list: { lag: 3_600_000 },
  rules: [
    {
      on: 'create',
      when: { from: 1_800_000, until: 5_400_000, probability: 0.1, receiver: '*0123' },
      do: { answer: 503, retryAfter: 5000, created: 30_000 },
    },
    { on: 'callback', when: {}, do: { repeatAfter: { delay: 1000, without: ['ErrorCode'] } } },
  ],
};

describe('a scenario', () => {
  test('is read from YAML, times in milliseconds', () => {
    expect(readScenario(written)).toEqual(meant);
  });

  test('is read from JSON', () => {
    expect(readScenario('{"rules":[{"on":"create","do":{"answer":"hang"}}]}')).toEqual({
      rules: [{ on: 'create', when: {}, do: { answer: 'hang' } }],
    });
  });

  test('that is empty lets everything go well', () => {
    expect(readScenario('')).toEqual({ rules: [] });
  });

  test('is read from a file', () => {
    const file = path.join(tmpdir(), `scenario-${process.pid}.yaml`);
    writeFileSync(file, written);
    expect(readScenarioFile(file)).toEqual(meant);
  });
});

const create = 'rules:\n  - on: create\n';
const wrong: [text: string, sentence: string][] = [
  [
    'rules:\n  - on: creat\n    do: {}',
    'f.yaml:2: rules[1].on must be create, fetch, list, update, delete or callback',
  ],
  ['about: x\nrule: []', 'f.yaml:2: rule is unknown here'],
  [`${create}    do: { anwser: 503 }`, 'f.yaml:3: rules[1].do.anwser is unknown here'],
  [`${create}`, 'f.yaml:2: rules[1].do is missing'],
  [`${create}    do: {}`, 'f.yaml:3: rules[1].do must say what happens'],
  [
    `${create}    do: { answer: 200 }`,
    'f.yaml:3: rules[1].do.answer must be an HTTP status from 400 to 599 or one of reset, hang, truncated, drip, endless, wrong-types, foreign-sid',
  ],
  [
    `${create}    do: { answer: hang, html: true }`,
    'f.yaml:3: rules[1].do has retryAfter or html, which need an answer from 400 to 599',
  ],
  [
    `${create}    when:\n      nth: 2\n      from: 30\n    do: { answer: 503 }`,
    'f.yaml:5: rules[1].when.from must be a time since the start, as "00:30", "01:30:15", 90s or 2h',
  ],
  [
    `${create}    when: { probability: 10 }\n    do: { answer: 503 }`,
    'f.yaml:3: rules[1].when.probability must be from 0 to 1',
  ],
  [`${create}    when: { nth: 0 }\n    do: { answer: 503 }`, 'f.yaml:3: rules[1].when.nth must be at least 1'],
  [
    `${create}    do: { answer: 503, created: soon }`,
    'f.yaml:3: rules[1].do.created must be true, false, or a duration after which it is created',
  ],
  [
    'rules:\n  - on: callback\n    do:\n      delay: 30',
    'f.yaml:4: rules[1].do.delay must be a duration as 500ms, 90s, 30m or 1h',
  ],
  ['rules:\n  - on: fetch\n    do: { created: true }', 'f.yaml:3: rules[1].do.created is unknown here'],
  ['rules: 503', 'f.yaml:1: rules must be a list of rules'],
  ['- 503', 'f.yaml:1: the scenario must be a mapping of names to values'],
  ['seed: 1\nseed: 2', 'f.yaml:2: Map keys must be unique'],
  ['rules:\n  - on: create\n    do: { answer: 503', 'f.yaml:3: '],
];

describe('a scenario is refused by file, line and field', () => {
  test.for(wrong)('%j', ([text, sentence]) => {
    expect(() => readScenario(text, 'f.yaml')).toThrow(CannotStart);
    expect(() => readScenario(text, 'f.yaml')).toThrow(sentence);
  });

  test('for everything that is wrong in it, from top to bottom', () => {
    const text = 'latency: { median: 5 }\nrules:\n  - on: list\n    do: { answer: 503, dne: true }';
    expect(() => readScenario(text, 'f.yaml')).toThrow(
      new CannotStart(
        [
          'f.yaml:1: latency.median must be a duration as 500ms, 90s, 30m or 1h',
          'f.yaml:1: latency.p99 is missing',
          'f.yaml:4: rules[1].do.dne is unknown here',
        ].join('\n'),
      ),
    );
  });

  test('when the file is not there', () => {
    expect(() => readScenarioFile('/nowhere.yaml')).toThrow(
      new CannotStart('The scenario /nowhere.yaml cannot be read: there is no such file.'),
    );
  });

  test('when it signs with a second token that nobody gave', async () => {
    const scenario = readScenario('signWith: secondary');
    await expect(startSimulator({ scenario })).rejects.toThrow('give it with --token2');
  });
});
