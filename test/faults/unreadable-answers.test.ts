import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RequestRule } from '../../src/simulator/scenario.ts';
import type { TestService } from '../support/service.ts';
import { type FakeTwilio, isCreate, newSid, resource, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import {
  acceptedFor,
  allTogether,
  attemptsOf,
  createsOf,
  ended,
  type Manner,
  manners,
  numberOf,
  postUntilTaken,
  type Scene,
  startAlone,
  startScene,
  timesAsked,
} from './support.ts';

const damages = ['truncated', 'wrong-types', 'endless', 'drip'] as const;
type Case = {
  readonly answer: (typeof damages)[number];
  readonly created: boolean;
  readonly manner: Manner;
  readonly receiver: string;
};
const cases: Case[] = damages
  .flatMap((answer) => [true, false].flatMap((created) => manners.map((manner) => ({ answer, created, manner }))))
  .map((one, n) => ({ ...one, receiver: numberOf(n) }));

describe('A 201 that cannot be read', () => {
  let scene: Scene;
  let resultOf: (one: Case) => ReturnType<typeof run>;

  beforeAll(async () => {
    const rules = cases.map(
      ({ receiver, answer, created }): RequestRule => ({
        on: 'create',
        when: { receiver, occurrence: 1 },
        do: { answer, created },
      }),
    );
    scene = await startScene({ rules });
    resultOf = allTogether(cases, run);
  });
  afterAll(() => scene.stop());

  async function run({ answer: damage, created, manner, receiver }: Case) {
    const answer = await postUntilTaken(scene.service, receiver, `${damage} ${created} ${manner}`, manner);
    return { answer, row: await ended(scene.service, answer.headers.get('x-message-id') ?? '', 25_000) };
  }

  test.each(cases)('$answer, created: $created, $manner: unknown, then exactly 1 at Twilio', async (one) => {
    const { answer, row } = await resultOf(one);
    expect([answer.status, answer.json.status]).toEqual([202, 'accepted']);
    const accepted = acceptedFor(scene, one.receiver);
    expect(accepted).toHaveLength(1);
    expect(row.twilio_sid).toBe(accepted[0]);
    expect(await timesAsked(scene.service, row.uuid)).toBe(one.created ? 1 : 2);
  });

  test('nobody was sent anything twice', async () => {
    await Promise.all(cases.map(resultOf));
    expect(scene.simulator.judge.duplicates()).toEqual([]);
  });

  test('the log tells of no fault of the service itself', async () => {
    await Promise.all(cases.map(resultOf));
    for (const line of ['a request failed', 'a piece of work failed', 'an outcome was not recorded']) {
      expect(scene.service.logged()).not.toContain(line);
    }
    expect((await scene.service.call('/healthcheck')).status).toBe(200);
  });
});

/** What the simulator does not answer, because it is nobody's 201. */
const bodies = [
  { what: 'a page in HTML', body: '<html><body>Welcome to the hotel network</body></html>' },
  { what: 'nothing', body: '' },
  { what: 'null', body: 'null' },
  { what: 'a list', body: '[]' },
  { what: 'an empty object', body: '{}' },
  { what: 'an empty SID', body: { ...resource(), sid: '' } },
  { what: 'no SID', body: { status: 'queued' } },
  { what: 'no status', body: { sid: newSid() } },
  { what: 'JSON 50,000 levels deep', body: '['.repeat(50_000) + ']'.repeat(50_000) },
  { what: '__proto__', body: `{"__proto__":{"sid":"${newSid()}","status":"queued"}}` },
  { what: '300 KiB', body: { ...resource(), more: 'x'.repeat(300 * 1024) } },
] as const;
type Body = (typeof bodies)[number];

describe('A 201 that is not Twilio’s', () => {
  let twilio: FakeTwilio;
  let service: TestService;
  let resultOf: (one: Body) => ReturnType<typeof run>;

  beforeAll(async () => {
    twilio = await startFakeTwilio();
    const sids = new Map<string, string>();
    twilio.answerWith((asked) => {
      const { Body = '', To = '' } = asked.form;
      if (isCreate(asked)) {
        sids.set(To, newSid());
        return { status: 201, body: bodies.find(({ what }) => what === Body)?.body ?? '' };
      }
      const to = new URL(asked.path, twilio.url).searchParams.get('To') ?? '';
      const index = Number(to.slice(-3)) - Number(numberOf(0).slice(-3));
      const message = { sid: sids.get(to) ?? '', to, from: '+447700900001', body: bodies[index]?.what, status: 'sent' };
      const messages = [resource({ ...message, date_created: new Date().toUTCString() })];
      return { status: 200, body: { messages, next_page_uri: null } };
    });
    service = await startAlone({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '1000', SETTLE_MS: '100' });
    resultOf = allTogether(bodies, run);
    return async () => {
      await service.stop();
      await twilio.stop();
    };
  });

  async function run({ what }: Body, n: number) {
    const answer = await postUntilTaken(service, numberOf(n), what, 'sync');
    return { answer, row: await ended(service, answer.headers.get('x-message-id') ?? '') };
  }

  test.each(bodies)('$what: unknown, and found in Twilio’s log', async (one) => {
    const { answer, row } = await resultOf(one);
    expect(answer.status).toBe(202);
    expect(row).toMatchObject({ status: 'sent', attempts: 1, twilio_sid: expect.stringMatching(/^SM/) });
    expect(await attemptsOf(service, row.uuid)).toMatchObject([{ n: 1, outcome: 'accepted' }]);
    expect(createsOf(twilio, one.what)).toHaveLength(1);
  });
});
