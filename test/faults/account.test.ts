import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { eventually, type TestService } from '../support/service.ts';
import { type FakeTwilio, isCreate, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import { allTogether, logOf, metric, numberOf, post, rowOf, startAlone } from './support.ts';

const cases = [
  { httpStatus: 401, code: 20003, why: 'wrong credentials' },
  { httpStatus: 403, code: 20005, why: 'an account that is not active' },
  { httpStatus: 404, code: 20404, why: 'an account that Twilio does not know' },
] as const;
type Case = (typeof cases)[number];

/** Twilio is watched so long for a storm of retries. */
const WATCHED_MS = 2_500;
const WAITING = 30;
const stops: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

async function run({ httpStatus, code }: Case) {
  const twilio = await startFakeTwilio();
  twilio.answerWith(() => ({ status: httpStatus, body: { code, message: 'Refused.', status: httpStatus } }));
  const service = await startAlone(twilioAt(twilio.url));
  stops.push(twilio.stop, service.stop);

  const sync = await post(service, numberOf(0), 'Nobody waits longer for this.', 'sync');
  const first = await post(service, numberOf(1), 'The first that waits.', 'async');
  await eventually(async () => twilio.asked.filter(isCreate).length >= 2);
  const asked = await askedWhileWaiting(service, twilio);
  const waiting = await service.query("SELECT uuid FROM message WHERE status = 'accepted' AND step IS NOT NULL");

  twilio.answerWith(undefined);
  await eventually(async () => (await rowOf(service, first.json.uuid))?.twilio_sid, 25_000);
  await eventually(
    async () => (await service.query("SELECT FROM message WHERE status = 'accepted'")).length === 0,
    25_000,
  );
  return { service, twilio, sync, first, asked, waiting: waiting.length };
}

/** How often Twilio was asked within some seconds while so many messages waited. */
async function askedWhileWaiting(service: TestService, twilio: FakeTwilio): Promise<number> {
  const before = twilio.asked.length;
  const begun = performance.now();
  for (let n = 0; n < WAITING - 1; n++) await post(service, numberOf(2 + n), `It waits, ${n}.`, 'async');
  await eventually(async () => performance.now() - begun > WATCHED_MS);
  return twilio.asked.length - before;
}

describe('Twilio refuses the account', () => {
  let resultOf: (one: Case) => ReturnType<typeof run>;
  beforeAll(() => {
    resultOf = allTogether(cases, run);
  });

  test.each(cases)('$httpStatus, $why: 503 for who waits, and the message ends', async (one) => {
    const { service, sync } = await resultOf(one);
    const uuid = sync.headers.get('x-message-id') ?? '';
    expectProblem(sync, 503, /was not and will not be sent: ask again\.$/, { message_id: uuid });
    expect(Number(sync.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await rowOf(service, uuid)).toMatchObject({ status: 'error', error_code: String(one.code), attempts: 1 });
  });

  test.each(cases)('$httpStatus, $why: the log and the metric raise the alarm, for who waits or not', async (one) => {
    const { service, sync, first } = await resultOf(one);
    for (const uuid of [sync.headers.get('x-message-id') ?? '', first.json.uuid]) {
      const [line] = logOf(service, uuid).filter(({ message }) => message === 'refused by Twilio');
      expect(line).toMatchObject({ level: 'ERROR', errorClass: 'account', httpStatus: one.httpStatus });
    }
    expect(await metric(service, 'sms_twilio_refusals_total{class="account"}')).toBeGreaterThanOrEqual(2);
  });

  test.each(cases)(
    '$httpStatus, $why: 30 messages that nobody waits for wait, and do not storm Twilio',
    async (one) => {
      const { asked, waiting } = await resultOf(one);
      expect(waiting).toBe(WAITING);
      // One probe after each pause, and pauses double from half a second on.
      expect(asked).toBeLessThanOrEqual(6);
    },
  );

  test.each(cases)('$httpStatus, $why: once it is mended, all that waited are sent, each once', async (one) => {
    const { service, twilio } = await resultOf(one);
    const rows = await service.query<{ uuid: string; n: number }>(
      `SELECT uuid, (SELECT count(*)::int FROM attempt WHERE message_uuid = uuid AND outcome = 'accepted') AS n
       FROM message WHERE twilio_sid IS NOT NULL`,
    );
    expect(rows).toHaveLength(WAITING);
    expect(rows.every(({ n }) => n === 1)).toBe(true);
    // The one with a caller was told that it never will be sent.
    expect(twilio.asked.filter(({ form }) => form.Body === 'Nobody waits longer for this.')).toHaveLength(1);
  });
});
