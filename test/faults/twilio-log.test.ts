import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import type { RequestRule } from '../../src/simulator/scenario.ts';
import { eventually } from '../support/service.ts';
import { isCreate, type Reply, resource, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import {
  acceptedFor,
  allTogether,
  attemptsOf,
  ended,
  journalOf,
  metric,
  numberOf,
  postUntilTaken,
  rowOf,
  type Scene,
  startAlone,
  startScene,
} from './support.ts';

type ListFault = Extract<RequestRule, { on: 'fetch' | 'list' }>['do'];
const faults: readonly { readonly what: string; readonly fault: ListFault }[] = [
  { what: '500', fault: { answer: 500 } },
  { what: '503 from a proxy', fault: { answer: 503, html: true } },
  { what: '429', fault: { answer: 429, retryAfter: 1_000 } },
  { what: '401', fault: { answer: 401 } },
  { what: 'timeout', fault: { answer: 'hang' } },
  { what: 'reset', fault: { answer: 'reset' } },
  { what: 'truncated', fault: { answer: 'truncated' } },
  { what: 'wrong types', fault: { answer: 'wrong-types' } },
  { what: 'endless', fault: { answer: 'endless' } },
  { what: 'a byte a second', fault: { answer: 'drip' } },
];
const FAILED_LOOKS = 2;
/** Nobody calls back, so only the log can tell. */
const lostAnswer = (receiver: string, created: boolean): RequestRule => ({
  on: 'create',
  when: { receiver, nth: 1 },
  do: { answer: 'reset', created },
});

type Case = (typeof faults)[number] & { readonly created: boolean; readonly receiver: string };
const cases: Case[] = faults
  .flatMap((fault) => [true, false].map((created) => ({ ...fault, created })))
  .map((one, n) => ({ ...one, receiver: numberOf(n) }));

describe('A look at Twilio’s log that fails, twice in a row', () => {
  let scene: Scene;
  let resultOf: (one: Case) => ReturnType<typeof run>;

  beforeAll(async () => {
    const rules = cases.flatMap(({ receiver, created, fault }) => [
      lostAnswer(receiver, created),
      ...[1, 2].map((occurrence): RequestRule => ({ on: 'list', when: { receiver, occurrence }, do: fault })),
    ]);
    scene = await startScene({ rules, env: { SETTLE_MS: '100' } });
    resultOf = allTogether(cases, run);
  });
  afterAll(() => scene.stop());

  async function run({ what, created, receiver }: Case) {
    const answer = await postUntilTaken(scene.service, receiver, `${what}, ${created}`, 'sync');
    return ended(scene.service, answer.headers.get('x-message-id') ?? '', 25_000);
  }

  test.each(cases.filter(({ created }) => created))(
    '$what: concludes nothing; found later, never sent again',
    async (one) => {
      const row = await resultOf(one);
      expect(acceptedFor(scene, one.receiver)).toEqual([row.twilio_sid]);
      expect(row.attempts).toBe(1);
      expect(journalOf(scene, 'list', one.receiver)).toHaveLength(FAILED_LOOKS + 1);
    },
  );

  test.each(cases.filter(({ created }) => !created))(
    '$what: concludes nothing; sent again only after two complete looks',
    async (one) => {
      const row = await resultOf(one);
      expect(acceptedFor(scene, one.receiver)).toEqual([row.twilio_sid]);
      const attempts = await attemptsOf(scene.service, row.uuid);
      const [, again] = journalOf(scene, 'create', one.receiver);
      const looks = journalOf(scene, 'list', one.receiver).filter(({ n }) => Number(n) < Number(again?.n));
      expect(attempts).toMatchObject([{ outcome: 'absent' }, { outcome: 'accepted' }]);
      expect(looks).toHaveLength(FAILED_LOOKS + 2);
    },
  );

  test('the metric counts failed looks as such', async () => {
    await Promise.all(cases.map(resultOf));
    const found = cases.length / 2;
    expect(await metric(scene.service, 'sms_log_looks_total{look="failed"}')).toBe(cases.length * FAILED_LOOKS);
    expect(await metric(scene.service, 'sms_log_looks_total{look="found"}')).toBe(found);
    expect(await metric(scene.service, 'sms_log_looks_total{look="nothing"}')).toBe(found * 2);
  });
});

describe.concurrent('A log that is hard to read', () => {
  test('is stale: what appears in it within the settle time is found, and not sent again', async ({
    onTestFinished,
  }) => {
    const receiver = numberOf(0);
    // As 60 s to the settle time's 120, a hundred times as fast.
    const scene = await startScene({
      rules: [lostAnswer(receiver, true)],
      scenario: { list: { lag: 600 } },
      speed: 1,
      env: { TWILIO_TIMEOUT_MS: '500', SETTLE_MS: '1200' },
    });
    onTestFinished(() => scene.stop());
    const answer = await postUntilTaken(scene.service, receiver, 'It is in the log, but not yet.', 'sync');
    expect(answer.status).toBe(202);
    const row = await ended(scene.service, answer.json.uuid);
    expect(acceptedFor(scene, receiver)).toEqual([row.twilio_sid]);
    expect(row.attempts).toBe(1);
  });

  test.for([
    { what: 'has three pages: all are read', fails: false },
    { what: 'has three pages, and the second or third fails: that look counts for nothing', fails: true },
  ])('$what', async ({ fails }, { onTestFinished }) => {
    const receiver = numberOf(0);
    // The second request for a page and the fifth: a rule does not count what an earlier one has answered.
    const broken: RequestRule[] = [2, 4].map((nth) => ({ on: 'list', when: { receiver, nth }, do: { answer: 502 } }));
    const rules = [lostAnswer(receiver, true), ...(fails ? broken : [])];
    const scene = await startScene({ rules, env: { TWILIO_TIMEOUT_MS: '500', SETTLE_MS: '3000' } });
    onTestFinished(() => scene.stop());
    const answer = await postUntilTaken(scene.service, receiver, 'The oldest of many.', 'sync');
    expect(answer.status).toBe(202);
    for (let n = 0; n < 25; n++) {
      await Promise.all(Array.from({ length: 10 }, (_, k) => createAtTwilio(scene, receiver, `Another, ${n}-${k}.`)));
    }
    const row = await ended(scene.service, answer.json.uuid);
    expect(acceptedFor(scene, receiver)[0]).toBe(row.twilio_sid);
    expect(row.attempts).toBe(1);
    // 251 messages, a hundred on a page: 1 + 2; or page 2 fails, then page 3, then all is well.
    expect(journalOf(scene, 'list', receiver)).toHaveLength(fails ? 2 + 3 + 3 : 3);
  });
});

describe.concurrent('A log that proves nothing', () => {
  const to = numberOf(0);
  const lately = () => new Date().toUTCString();
  const listed = (messages: object[], next: string | null = null): Reply => ({
    status: 200,
    body: { messages, next_page_uri: next },
  });

  /** Its creates break; `log` answers for the list. */
  async function sendInto(log: (path: string) => Reply, { onTestFinished }: TestContext) {
    const twilio = await startFakeTwilio();
    twilio.answerWith((asked) => (isCreate(asked) ? 'hang up' : log(asked.path)));
    const service = await startAlone({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '500', SETTLE_MS: '0' });
    onTestFinished(async () => {
      await service.stop();
      await twilio.stop();
    });
    const answer = await postUntilTaken(service, to, 'Is it there?', 'sync');
    expect(answer.status).toBe(202);
    return { twilio, service, uuid: answer.json.uuid };
  }

  test('its texts are emptied: unconfirmed, never sent again', async (context) => {
    const emptied = () =>
      resource({ to, from: '+447700900001', body: '', status: 'delivered', date_created: lately() });
    const { twilio, service, uuid } = await sendInto(() => listed([emptied()]), context);
    expect(await ended(service, uuid)).toMatchObject({ status: 'unconfirmed', attempts: 1 });
    expect(twilio.asked.filter(isCreate)).toHaveLength(1);
  });

  test('its numbers are masked, so that a search by number finds nothing: unconfirmed, never sent again', async (context) => {
    const masked = () => resource({ to: '+44770090XXXX', from: '+447700900001', body: '', date_created: lately() });
    const log = (path: string) => listed(path.includes('To=') ? [] : [masked()]);
    const { twilio, service, uuid } = await sendInto(log, context);
    expect(await ended(service, uuid)).toMatchObject({ status: 'unconfirmed', attempts: 1 });
    expect(twilio.asked.filter(isCreate)).toHaveLength(1);
  });

  test('its pages never end: the look fails, and nothing is sent again', async (context) => {
    const { twilio, service, uuid } = await sendInto((path) => listed([], path), context);
    await eventually(async () => (await metric(service, 'sms_log_looks_total{look="failed"}')) >= 2);
    expect(await rowOf(service, uuid)).toMatchObject({ status: 'accepted', attempts: 1, unresolved: true });
    expect(twilio.asked.filter(isCreate)).toHaveLength(1);
  });
});

/** Somebody else writes from our number, or we did before. */
async function createAtTwilio({ simulator }: Scene, to: string, content: string): Promise<void> {
  const { baseUrl, accountSid, authToken } = simulator;
  const answer = await fetch(`${baseUrl}/2010-04-01/Accounts/${accountSid}/Messages.json`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString('base64')}` },
    body: new URLSearchParams({ To: to, From: '+447700900001', Body: content }),
  });
  expect(answer.status).toBe(201);
  await answer.arrayBuffer();
}
