import { describe, expect, test } from 'vitest';
import type { CreateOutcome } from '../../src/twilio/outcome.ts';
import { makePace, signOf } from '../../src/twilio/pace.ts';

const accepted: CreateOutcome = {
  kind: 'accepted',
  message: {
    sid: 'SM1',
    status: 'queued',
    errorCode: null,
    errorMessage: null,
    dateSent: null,
    dateCreated: null,
    body: null,
    from: null,
    to: null,
    messagingServiceSid: null,
  },
};
const unknown: CreateOutcome = { kind: 'unknown', httpStatus: 500, reason: 'HTTP status 500' };
const unreachable: CreateOutcome = { kind: 'not processed', reason: 'ECONNREFUSED' };
const tooMany = (retryAfterS: number | null): CreateOutcome => ({
  kind: 'refused',
  errorClass: 'later',
  httpStatus: 429,
  code: '20429',
  retryAfterS,
});
const refused = (errorClass: 'account' | 'for good' | 'configuration' | 'later'): CreateOutcome => ({
  kind: 'refused',
  errorClass,
  httpStatus: 400,
  code: '1',
  retryAfterS: null,
});
const troubles = { 'the account is refused': refused('account'), '429': tooMany(null), 'nobody is there': unreachable };

/** With a clock that the test moves; draws are the largest possible unless told. */
function paceAt(draw = 1) {
  let nowMs = 1_000_000;
  const pace = makePace(
    () => nowMs,
    () => draw,
  );
  return {
    ...pace,
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

/** How long nothing may be sent, found out by letting time pass in steps of 1 ms. */
function pauseOf(pace: ReturnType<typeof paceAt>): number {
  for (let ms = 0; ms <= 600_000; ms += 1) {
    if (pace.limit(50) > 0) return ms;
    pace.pass(1);
  }
  throw new Error('it never ends');
}

describe('the pace of work that nobody waits for', () => {
  test('a call that we did not even try says nothing about Twilio', () => {
    const pace = paceAt();
    pace.note(signOf({ kind: 'not processed', reason: 'no time was left for the call', isOurs: true }));
    expect(pace.limit(50)).toBe(50);
    pace.note(signOf(unreachable));
    pace.note(signOf({ kind: 'not processed', reason: 'no time was left for the call', isOurs: true }));
    expect(pace.limit(50)).toBe(0);
  });

  test('is as fast as there are places, as long as Twilio takes messages', () => {
    const pace = paceAt();
    for (const outcome of [accepted, unknown, refused('for good'), refused('configuration'), refused('later')]) {
      pace.note(signOf(outcome));
      expect([pace.limit(50), pace.limit(1), pace.limit(0)]).toEqual([50, 1, 0]);
    }
  });

  test.each(Object.entries(troubles))('%s: a pause, then one message at a time', (_name, trouble) => {
    const pace = paceAt();
    pace.note(signOf(trouble));
    expect(pace.limit(50)).toBe(0);
    expect(pauseOf(pace)).toBe(500);
    expect([pace.limit(50), pace.limit(0)]).toEqual([1, 0]);
  });

  test('pauses double up to half a minute', () => {
    const pace = paceAt();
    const pauses = Array.from({ length: 9 }, () => {
      pace.note(signOf(unreachable));
      return pauseOf(pace);
    });
    expect(pauses).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  test('pauses of many replicas do not meet: a draw makes each up to half as long', () => {
    const pauses = [0, 0.5, 1].map((draw) => {
      const pace = paceAt(draw);
      pace.note(signOf(unreachable));
      return pauseOf(pace);
    });
    expect(pauses).toEqual([250, 375, 500]);
  });

  test('what was under way when the trouble began is one trouble, not fifty', () => {
    const pace = paceAt();
    for (let n = 0; n < 50; n += 1) pace.note(signOf(unreachable));
    expect(pauseOf(pace)).toBe(500);
  });

  test('Retry-After is obeyed, up to five minutes, and never makes the pause shorter', () => {
    const pauses = [0, 0.1, 7, 30, 31, 100_000].map((retryAfterS) => {
      const pace = paceAt();
      pace.note(signOf(tooMany(retryAfterS)));
      return pauseOf(pace);
    });
    expect(pauses).toEqual([500, 500, 7_000, 30_000, 31_000, 300_000]);
  });

  test('the first message that Twilio takes ends the trouble at once, and the next one starts small', () => {
    const pace = paceAt();
    for (let n = 0; n < 4; n += 1) {
      pace.note(signOf(unreachable));
      pauseOf(pace);
    }
    pace.note(signOf(unreachable));
    expect(pace.limit(50)).toBe(0);
    pace.note(signOf(accepted));
    expect(pace.limit(50)).toBe(50);
    pace.note(signOf(unreachable));
    expect(pauseOf(pace)).toBe(500);
  });

  test('it never stops for good: after a year of trouble a probe may be sent', () => {
    const pace = paceAt();
    for (let n = 0; n < 2_000; n += 1) {
      pace.note(signOf(unreachable));
      pace.pass(30_000);
    }
    expect(pace.limit(50)).toBe(1);
  });
});
