import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import type { TestService } from '../support/service.ts';
import { type FakeTwilio, isCreate, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import {
  allTogether,
  attemptsOf,
  createsOf,
  ended,
  logOf,
  type Manner,
  manners,
  metric,
  numberOf,
  post,
  startAlone,
} from './support.ts';

/** Twilio's refusals of one message, in Twilio's words: https://www.twilio.com/docs/api/errors */
const refusals = [
  { code: 21211, class: 'for good', why: 'the number is not valid', says: 'The receiver is not a valid phone number.' },
  {
    code: 21610,
    class: 'for good',
    why: 'the receiver has opted out',
    says: 'The receiver has opted out of texts from this sender.',
  },
  {
    code: 21408,
    class: 'configuration',
    why: 'the account may not send there',
    says: 'The account may not send to this country.',
  },
  {
    code: 21606,
    class: 'configuration',
    why: 'the sender is not ours',
    says: 'The sender number does not belong to the account, or cannot send texts.',
  },
] as const;
type Case = (typeof refusals)[number] & { readonly manner: Manner };
const cases: Case[] = refusals.flatMap((refusal) => manners.map((manner) => ({ ...refusal, manner })));

let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  twilio.answerWith(({ form }) => {
    const code = Number(form.Body?.split(' ')[0]);
    return { status: 400, body: { code, message: `Refused: ${form.To}`, more_info: `https://…/${code}`, status: 400 } };
  });
  service = await startAlone(twilioAt(twilio.url));
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

describe('Twilio refuses a message', () => {
  let resultOf: (one: Case) => ReturnType<typeof run>;
  beforeAll(() => {
    resultOf = allTogether(cases, run);
  });

  async function run({ code, manner }: Case, n: number) {
    const content = `${code} ${manner}`;
    const answer = await post(service, numberOf(n), content, manner);
    const uuid = answer.headers.get('x-message-id') ?? '';
    return { answer, uuid, row: await ended(service, uuid), creates: createsOf(twilio, content).length };
  }

  test.each(cases)('$code, $why, $manner: error, its code is kept, and it is never tried again', async (one) => {
    const { answer, uuid, row, creates } = await resultOf(one);
    if (one.manner === 'sync') {
      expectProblem(answer, 422, one.says, { error_code: String(one.code), message_id: uuid });
      expect(answer.headers.has('retry-after')).toBe(false);
    } else {
      expect([answer.status, answer.json.status]).toEqual([202, 'accepted']);
    }
    expect(row).toMatchObject({ status: 'error', error_code: String(one.code), twilio_sid: null, step: null });
    expect((await service.call(`/dhos/v1/sms/${uuid}`)).json).toMatchObject({
      status: 'error',
      error_code: String(one.code),
      error_message: one.says,
    });
    expect(await attemptsOf(service, uuid)).toMatchObject([{ n: 1, outcome: 'refused' }]);
    expect(creates).toBe(1);
  });

  test.each(cases)(
    '$code, $manner: the log raises the alarm if it is the configuration, and only then',
    async (one) => {
      const { uuid } = await resultOf(one);
      const [line] = logOf(service, uuid).filter(({ message }) => message === 'refused by Twilio');
      const level = one.class === 'configuration' ? 'ERROR' : 'WARN';
      expect(line).toMatchObject({ level, errorClass: one.class, code: String(one.code), httpStatus: 400 });
    },
  );

  test('the metric counts them by class', async () => {
    await Promise.all(cases.map(resultOf));
    expect(await metric(service, 'sms_twilio_refusals_total{class="configuration"}')).toBe(4);
    expect(await metric(service, 'sms_twilio_refusals_total{class="for good"}')).toBe(4);
  });

  test('nothing is left to do for any of them', async () => {
    await Promise.all(cases.map(resultOf));
    expect(await service.query('SELECT FROM message WHERE step IS NOT NULL OR due IS NOT NULL OR unresolved')).toEqual(
      [],
    );
    expect(twilio.asked.filter(isCreate)).toHaveLength(cases.length);
  });
});
