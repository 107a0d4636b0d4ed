import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import type { TestService } from '../support/service.ts';
import { type FakeTwilio, healthy, type Reply, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import { attemptsOf, ended, numberOf, post, rowOf, startAlone } from './support.ts';

/** What a text says that Twilio shall do with it: how often it is refused, and when to come back. */
const tooMany = (times: number, retryAfterS: number | null) => `429 ${times} times, Retry-After ${retryAfterS}`;
const ALWAYS = 99;

/** A Twilio that obeys the texts, and when each of them was asked for. */
type Asked = { readonly times: Map<string, number[]>; readonly twilio: FakeTwilio };

async function startBusyTwilio(): Promise<Asked> {
  const twilio = await startFakeTwilio();
  const times = new Map<string, number[]>();
  twilio.answerWith((asked): Reply => {
    const content = asked.form.Body ?? '';
    const before = times.get(content) ?? [];
    times.set(content, [...before, performance.now()]);
    const [, refusals, retryAfter] = /^429 (\d+) times, Retry-After (\d+|null)/.exec(content) ?? [];
    if (before.length >= Number(refusals ?? 0)) return healthy(asked);
    const headers: Record<string, string> = retryAfter === 'null' ? {} : { 'retry-after': retryAfter ?? '' };
    return { status: 429, headers, body: { code: 20429, message: 'Too Many Requests', status: 429 } };
  });
  return { times, twilio };
}

let busy: Asked;
let service: TestService;
/** With little time for each call. */
let hurried: TestService;

beforeAll(async () => {
  busy = await startBusyTwilio();
  service = await startAlone(twilioAt(busy.twilio.url));
  hurried = await startAlone({ ...twilioAt(busy.twilio.url), TWILIO_TIMEOUT_MS: '1500' });
});
afterAll(async () => {
  await service.stop();
  await hurried.stop();
  await busy.twilio.stop();
});

const outcomesOf = async (uuid: string, of = service) => (await attemptsOf(of, uuid)).map(({ outcome }) => outcome);
const gaps = (content: string) => {
  const times = busy.times.get(content) ?? [];
  return times.slice(1).map((at, n) => at - (times[n] ?? 0));
};

describe.concurrent('Twilio has too many requests, and a caller waits', () => {
  test.concurrent('without Retry-After: three tries, each with an attempt of its own, then 503', async () => {
    const content = tooMany(ALWAYS, null);
    const answer = await post(service, numberOf(0), content, 'sync');
    const uuid = answer.headers.get('x-message-id') ?? '';
    expectProblem(answer, 503, /was not and will not be sent: ask again\.$/, { message_id: uuid });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(busy.times.get(content)).toHaveLength(3);
    expect(await outcomesOf(uuid)).toEqual(['refused', 'refused', 'refused']);
    expect(await rowOf(service, uuid)).toMatchObject({ status: 'error', error_code: '20429', step: null });
  });

  test.concurrent('Retry-After: it comes back no sooner, and hands it on with the 503', async () => {
    const content = tooMany(ALWAYS, 1);
    const answer = await post(service, numberOf(1), content, 'sync');
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    expect(busy.times.get(content)).toHaveLength(3);
    for (const gap of gaps(content)) expect(gap).toBeGreaterThanOrEqual(990);
  });

  test.concurrent('the second or third try is taken: 200, once at Twilio', async () => {
    for (const times of [1, 2]) {
      const content = tooMany(times, null);
      const answer = await post(service, numberOf(1 + times), content, 'sync');
      expect(answer.status).toBe(200);
      expect(busy.times.get(content)).toHaveLength(times + 1);
      expect(await outcomesOf(answer.json.uuid)).toEqual([...Array(times).fill('refused'), 'accepted']);
    }
  });

  test.concurrent('a Retry-After beyond the deadline: one try, 503 at once', async () => {
    for (const [retryAfterS, of] of [
      [60, service],
      [2, hurried],
    ] as const) {
      const content = `${tooMany(ALWAYS, retryAfterS)}, beyond`;
      const begun = performance.now();
      const answer = await post(of, numberOf(10 + retryAfterS), content, 'sync');
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, String(retryAfterS)]);
      expect(busy.times.get(content)).toHaveLength(1);
      expect(performance.now() - begun).toBeLessThan(5_000);
    }
  });

  test.concurrent('pauses have full jitter: who was refused together does not come back together', async () => {
    const contents = Array.from({ length: 16 }, (_, n) => `${tooMany(1, null)}, ${n}`);
    const answers = await Promise.all(contents.map((content, n) => post(service, numberOf(20 + n), content, 'sync')));
    expect(answers.map(({ status }) => status)).toEqual(Array(16).fill(200));
    // Evenly drawn from 0 to 1 s; that all 16 fall into 300 ms has a chance of one in ten million.
    const pauses = contents.flatMap(gaps);
    expect(Math.max(...pauses) - Math.min(...pauses)).toBeGreaterThan(300);
  });
});

describe('Twilio has too many requests, and nobody waits', () => {
  test('it is sent later: not before Retry-After is over, and once', async () => {
    const busy = await startBusyTwilio();
    const service = await startAlone(twilioAt(busy.twilio.url));
    const content = tooMany(2, 1);
    const answer = await post(service, numberOf(0), content, 'async');
    expect([answer.status, answer.json.status]).toEqual([202, 'accepted']);
    const row = await ended(service, answer.json.uuid);
    expect(row).toMatchObject({ status: 'queued', attempts: 3, twilio_sid: expect.stringMatching(/^SM/) });
    expect(await outcomesOf(row.uuid, service)).toEqual(['refused', 'refused', 'accepted']);
    const times = busy.times.get(content) ?? [];
    expect(times).toHaveLength(3);
    for (const n of [1, 2]) expect((times[n] ?? 0) - (times[n - 1] ?? 0)).toBeGreaterThanOrEqual(990);
    await service.stop();
    await busy.twilio.stop();
  });
});
