import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RequestRule } from '../../src/simulator/scenario.ts';
import {
  acceptedFor,
  allTogether,
  attemptsOf,
  ended,
  type Manner,
  manners,
  numberOf,
  postUntilTaken,
  type Scene,
  SETTLE_MS,
  startScene,
  TIMEOUT_MS,
  timesAsked,
} from './support.ts';

type Fault = Extract<RequestRule, { on: 'create' }>['do'];
/** What a create meets, and when Twilio takes the message: never, at once, or so late that the caller has given up. */
const faults: readonly { readonly what: string; readonly fault: Fault }[] = [
  { what: '500', fault: { answer: 500 } },
  { what: '502 from a proxy', fault: { answer: 502, html: true } },
  { what: '503', fault: { answer: 503 } },
  { what: 'timeout', fault: { answer: 'hang' } },
  { what: 'reset', fault: { answer: 'reset' } },
];
const times = [
  { when: 'before acceptance', created: false, attempts: 2 },
  { when: 'after acceptance', created: true, attempts: 1 },
  // After the caller has given up.
  { when: 'acceptance within the settle time', created: TIMEOUT_MS + SETTLE_MS / 2, attempts: 1 },
] as const;

type Case = (typeof faults)[number] & (typeof times)[number] & { readonly manner: Manner; readonly receiver: string };
const cases: Case[] = faults
  .flatMap((fault) => times.flatMap((time) => manners.map((manner) => ({ ...fault, ...time, manner }))))
  .map((one, n) => ({ ...one, receiver: numberOf(n) }));

const rulesFor = (some: readonly Case[], speed: number): RequestRule[] =>
  some.map(({ receiver, fault, created }) => ({
    on: 'create',
    when: { receiver, occurrence: 1 },
    do: { ...fault, created: typeof created === 'number' ? created * speed : created },
  }));

const textOf = ({ what, when, manner }: Case) => `${what}, ${when}, ${manner}`;

describe('A create of which nobody knows whether Twilio took it, and no callback comes', () => {
  let scene: Scene;
  let resultOf: (one: Case) => ReturnType<typeof run>;
  beforeAll(async () => {
    scene = await startScene({ rules: rulesFor(cases, 20) });
    resultOf = allTogether(cases, run);
  });
  afterAll(() => scene.stop());

  async function run(one: Case) {
    const answer = await postUntilTaken(scene.service, one.receiver, textOf(one), one.manner);
    return { answer, row: await ended(scene.service, answer.headers.get('x-message-id') ?? '', 25_000) };
  }

  test.each(cases)('$what, $when, $manner: 202, and exactly 1 at Twilio', async (one) => {
    const { answer, row } = await resultOf(one);
    expect([answer.status, answer.json.status]).toEqual([202, 'accepted']);
    expect(answer.headers.get('location')).toBe(`/dhos/v1/sms/${row.uuid}`);
    const accepted = acceptedFor(scene, one.receiver);
    expect(accepted).toHaveLength(1);
    expect(row).toMatchObject({ twilio_sid: accepted[0], error_code: null });
    expect(await timesAsked(scene.service, row.uuid)).toBe(one.attempts);
    const attempts = await attemptsOf(scene.service, row.uuid);
    expect(attempts.at(-1)).toMatchObject({ outcome: 'accepted', twilio_sid: accepted[0] });
    if (one.attempts === 2) expect(attempts.at(-2)).toMatchObject({ outcome: 'absent' });
  });

  test('nobody was sent anything twice, and nothing is left unknown', async () => {
    await Promise.all(cases.map(resultOf));
    expect(scene.simulator.judge.duplicates()).toEqual([]);
    expect(await scene.service.query('SELECT FROM message WHERE unresolved OR twilio_sid IS NULL')).toEqual([]);
    expect(await scene.service.query('SELECT FROM duplicate_handover')).toEqual([]);
  });
});

describe('A create whose answer is lost, and Twilio calls back', () => {
  const taken = cases.filter(({ created }) => created !== false);
  let scene: Scene;
  let resultOf: (one: Case) => ReturnType<typeof run>;

  beforeAll(async () => {
    // So long that only a callback can tell within the time of the test.
    scene = await startScene({ rules: rulesFor(taken, 20), hasCallbacks: true, env: { SETTLE_MS: '600000' } });
    resultOf = allTogether(taken, run);
  });
  afterAll(() => scene.stop());

  async function run(one: Case) {
    const answer = await postUntilTaken(scene.service, one.receiver, textOf(one), one.manner);
    return { answer, row: await ended(scene.service, answer.headers.get('x-message-id') ?? '') };
  }

  test.each(taken)('$what, $when, $manner: the callback proves it, whatever the settle time', async (one) => {
    const { answer, row } = await resultOf(one);
    // 200 if the callback outran the end of the call.
    expect([200, 202]).toContain(answer.status);
    const accepted = acceptedFor(scene, one.receiver);
    expect(accepted).toHaveLength(1);
    expect(row.twilio_sid).toBe(accepted[0]);
    expect(await timesAsked(scene.service, row.uuid)).toBe(1);
    expect((await attemptsOf(scene.service, row.uuid)).at(-1)).toMatchObject({
      outcome: 'accepted',
      twilio_sid: accepted[0],
    });
  });

  test('200 with the SID when the callback comes before the caller gives up', async () => {
    const one = taken.find(({ what, created, manner }) => what === 'timeout' && created === true && manner === 'sync');
    if (one === undefined) throw new Error('there is no such case');
    const { answer, row } = await resultOf(one);
    expect([answer.status, answer.json.twilio_sid]).toEqual([200, row.twilio_sid]);
  });

  test("nobody looked in Twilio's log", async () => {
    await Promise.all(taken.map(resultOf));
    expect(scene.simulator.journal()).not.toContain('"kind":"list"');
    expect(scene.simulator.judge.duplicates()).toEqual([]);
  });
});
