import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { whyNotSendAgain } from '../../src/message/explained-actions.ts';
import { explain, type Standing, type Tone } from '../../src/message/explanation.ts';
import { statuses } from '../../src/message/status.ts';
import { errorCodes } from '../../src/twilio/error-codes.ts';

const now = new Date('2026-11-24T10:00:00.000Z');
const later = new Date('2026-11-24T10:10:00.000Z');
const end = new Date('2026-11-25T09:00:00.000Z');

/** At Twilio, with nothing left to do, unless it is said otherwise. */
function standing(changes: Partial<Standing> = {}): Standing {
  return {
    now,
    status: 'delivered',
    twilioSid: 'SM1',
    errorCode: null,
    step: null,
    due: null,
    unresolved: false,
    sendBy: end,
    isPlaceholder: false,
    isOld: false,
    isTextGone: false,
    isNumberGone: false,
    hasOpenTwin: false,
    hasSecondCopy: false,
    attempt: { outcome: 'accepted', deadline: now },
    ...changes,
  };
}
const waiting = { twilioSid: null, status: 'accepted', due: later };
const running = { outcome: null, deadline: later };

const words: readonly (readonly [string, Partial<Standing>, Tone, RegExp])[] = [
  ['delivered', { status: 'delivered' }, 'good', /^It reached the patient’s phone, as the carrier reported\.$/],
  ['read', { status: 'read' }, 'good', /was opened there/],
  ['undelivered', { status: 'undelivered', errorCode: '30005' }, 'bad', /: the carrier could not deliver it\.$/],
  ['failed', { status: 'failed', errorCode: '30008' }, 'bad', /did not reach the patient: Twilio could not send it\.$/],
  ['failed with a strange code', { status: 'failed', errorCode: '30999' }, 'bad', /not in the table of error codes\.$/],
  ['refused', { status: 'error', errorCode: '21610', twilioSid: null }, 'bad', /was not sent, and will not be\.$/],
  ['error without a code', { status: 'error', twilioSid: null }, 'bad', /it was not sent, and will not be\.$/],
  ['cancelled', { status: 'canceled', twilioSid: null }, 'neutral', /cancelled before it was sent/],
  ['unconfirmed', { status: 'unconfirmed', twilioSid: null }, 'unknown', /may have got it, or not/],
  ['sent', { status: 'sent', step: 'poll', due: later }, 'waiting', /has not reported yet/],
  [
    'sent long ago',
    { status: 'sent', step: 'poll', isOld: true },
    'unknown',
    /72 hours.*many carriers never report delivery/,
  ],
  ['sent, not polled', { status: 'sent' }, 'unknown', /not asked about it any more: many carriers never/],
  ['settled as sent', { status: 'sent', twilioSid: null }, 'unknown', /without Twilio’s word/],
  ['made up', { status: 'sent', isPlaceholder: true }, 'neutral', /Nothing was sent.*TWILIO_DISABLED/],
  ['queued', { status: 'queued', step: 'poll', due: later }, 'waiting', /has it in its queue.*has not got it yet/],
  ['queued long ago', { status: 'queued', step: 'poll', isOld: true }, 'unknown', /The last that was heard.*72 hours/],
  ['sending, not polled', { status: 'sending' }, 'unknown', /not asked about it any more/],
  ['sending', { status: 'sending', step: 'poll' }, 'waiting', /passing it to the carrier/],
  ['scheduled', { status: 'scheduled', step: 'poll' }, 'waiting', /at a set time/],
  ['accepted by Twilio', { status: 'accepted', step: 'poll' }, 'waiting', /choosing a sender/],
  ['to be sent', { ...waiting, step: 'send', attempt: null }, 'waiting', /recorded here and has not been sent yet/],
  ['handed over now', { ...waiting, step: 'resolve', unresolved: true, attempt: running }, 'waiting', /at this moment/],
  ['unresolved', { ...waiting, step: 'resolve', unresolved: true }, 'unknown', /may or may not have it/],
  ['two ends', { status: 'delivered', step: 'verify', due: later }, 'unknown', /two different ends/],
  ['a second copy', { status: 'delivered', hasSecondCopy: true }, 'good', /may have got it twice\.$/],
  ['a row of others', { status: null }, 'unknown', /not known\.$/],
  ['a word of next year', { status: 'teleported' }, 'unknown', /not known\.$/],
];

const waits: readonly (readonly [string, Partial<Standing>, RegExp, Date | null])[] = [
  ['its first turn', { ...waiting, step: 'send', attempt: null }, /a free place.*tried next at the time given/, later],
  [
    'a turn that is due',
    { ...waiting, step: 'send', attempt: null, due: now },
    /a free place.*given up at the time/,
    end,
  ],
  [
    'Twilio',
    { ...waiting, step: 'send', attempt: { outcome: 'refused', deadline: now } },
    /^Twilio, which did not/,
    later,
  ],
  ['a twin', { ...waiting, step: 'send', hasOpenTwin: true }, /identical text/, end],
  ['an answer', { ...waiting, step: 'resolve', unresolved: true, attempt: running }, /^Twilio’s answer/, later],
  ['the log', { ...waiting, step: 'resolve', unresolved: true }, /look at Twilio’s log/, later],
  ['a poll', { status: 'sent', step: 'poll', due: later }, /when Twilio is asked next/, later],
  ['the right end', { step: 'verify', due: later }, /which of the two ends/, later],
  ['a first copy', { step: 'look back', due: later }, /for a first copy/, later],
  ['its redaction', { step: 'redact', due: later }, /empty its copy of the text.*at the time given/, later],
  ['the redaction of a twin', { step: 'redact', due: later, hasOpenTwin: true }, /^an identical text/, later],
  ['an operator', { status: 'unconfirmed', twilioSid: null }, /^an operator who looks/, null],
];

const actionOf = (changes: Partial<Standing>, name: string) =>
  explain(standing(changes)).actions.find(({ action }) => action === name);

/** Every combination that a row may show, whether the service writes it or somebody's SQL. */
const anyStanding: fc.Arbitrary<Standing> = fc.record({
  now: fc.constant(now),
  status: fc.constantFrom(...Object.keys(statuses), null, 'teleported'),
  twilioSid: fc.constantFrom('SM1', null),
  errorCode: fc.constantFrom(null, ...errorCodes.map(({ code }) => code), '30999', '+447700900123', 'The secret text'),
  step: fc.constantFrom(null, 'send', 'resolve', 'verify', 'look back', 'poll', 'redact'),
  due: fc.constantFrom(null, now, later),
  unresolved: fc.boolean(),
  sendBy: fc.constant(end),
  isPlaceholder: fc.boolean(),
  isOld: fc.boolean(),
  isTextGone: fc.boolean(),
  isNumberGone: fc.boolean(),
  hasOpenTwin: fc.boolean(),
  hasSecondCopy: fc.boolean(),
  attempt: fc.option(
    fc.record({
      outcome: fc.constantFrom(null, 'accepted', 'refused', 'not processed', 'unknown', 'absent'),
      deadline: fc.constantFrom(now, later),
    }),
  ),
});

describe('an explanation', () => {
  test.each(words)('of a message that is %s', (_name, changes, tone, summary) => {
    const said = explain(standing(changes));
    expect([said.tone, said.summary]).toEqual([tone, expect.stringMatching(summary)]);
  });

  test.each(waits)('says that it waits for %s, and until when', (_name, changes, waitsFor, until) => {
    expect(explain(standing(changes))).toMatchObject({ waitsFor: expect.stringMatching(waitsFor), until });
  });

  test('of what has ended and is emptied at Twilio waits for nothing', () => {
    expect(explain(standing())).toMatchObject({ waitsFor: null, until: null, error: null });
  });

  test('says what an error means once, where it tells of the error', () => {
    for (const { code, means } of errorCodes) {
      const said = explain(standing({ status: 'undelivered', errorCode: code }));
      expect([said.error?.means, said.summary.includes(means)]).toEqual([means, false]);
    }
  });

  test('of what arrived after all does not tell of an error, and of what was ended from outside does not wait for Twilio', () => {
    expect(explain(standing({ status: 'delivered', errorCode: '30003' })).error).toBeNull();
    expect(explain(standing({ ...waiting, status: 'delivered', step: 'send' })).waitsFor).toMatch(/^nothing any more/);
  });

  test('of anything at all has words, never text, number or another’s words', () => {
    fc.assert(
      fc.property(anyStanding, (any) => {
        const said = explain(any);
        expect(said.summary).toMatch(/^[A-Z].*\.$/);
        expect(JSON.stringify(said)).not.toMatch(/\+?\d{7}|secret|undefined/);
        if (any.step !== null && any.due !== null) expect(said.waitsFor).not.toBeNull();
        if (any.status === 'unconfirmed') expect(['unknown', 'neutral']).toContain(said.tone);
        if (any.unresolved && any.status === 'accepted') expect(said.tone).not.toMatch(/bad|good/);
        if (said.tone === 'bad') expect(any.status).toMatch(/^(undelivered|failed|error)$/);
        if (said.tone === 'good') expect(any.status).toMatch(/^(delivered|read)$/);
        expect(said.actions.map(({ possible, reason }) => possible === (reason === null))).not.toContain(false);
        for (const { risk } of said.actions) expect(risk).toMatch(/^[A-Z].*\.$/);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('the actions', () => {
  test.each([
    ['delivered', /twice\.$/],
    ['sent', /may get it twice\.$/],
    ['unconfirmed', /may get it twice\.$/],
    ['queued', /may get it twice\.$/],
    ['undelivered', /may get it twice\.$/],
    ['error', /look for a newer one first/],
    ['canceled', /cancelled on purpose/],
  ])('say what sending a %s one again risks', (status, risk) => {
    expect(actionOf({ status }, 'send_again')).toMatchObject({ possible: true, risk: expect.stringMatching(risk) });
  });

  test('say that what failed for good will fail again', () => {
    expect(actionOf({ status: 'failed', errorCode: '21610' }, 'send_again')?.risk).toMatch(/it will fail again\.$/);
    expect(actionOf({ status: 'failed', errorCode: '30003' }, 'send_again')?.risk).not.toMatch(/fail again/);
  });

  test.each([
    ['without its text', { isTextGone: true }, /text is emptied/],
    ['without its number', { isNumberGone: true }, /number is emptied/],
    ['unresolved', { ...waiting, unresolved: true, step: 'resolve' }, /wait for that/],
    ['still to be sent', { ...waiting, step: 'send' }, /still to be sent/],
  ])('do not send one again that is %s', (_name, changes, reason) => {
    expect(whyNotSendAgain(standing(changes))).toMatch(reason);
    expect(actionOf(changes, 'send_again')).toMatchObject({ possible: false, reason: expect.stringMatching(reason) });
  });

  test('poll what has a SID, settle what is unconfirmed, delete what is there, erase what is not needed', () => {
    expect(actionOf({}, 'poll')?.possible).toBe(true);
    expect(actionOf({ twilioSid: null }, 'poll')).toMatchObject({
      possible: false,
      reason: expect.stringMatching(/no SID/),
    });
    expect(actionOf({ status: 'unconfirmed' }, 'settle')?.possible).toBe(true);
    expect(actionOf({ status: 'sent' }, 'settle')?.possible).toBe(false);
    expect(actionOf({}, 'delete')?.possible).toBe(true);
    expect(actionOf({ isTextGone: true, isNumberGone: true }, 'erase')?.possible).toBe(true);
    expect(actionOf({ unresolved: true }, 'erase')?.possible).toBe(false);
    expect(actionOf({ ...waiting, step: 'send' }, 'erase')?.possible).toBe(true);
  });

  test('say that deleting a waiting one cancels it, and that erasing cannot be undone', () => {
    expect(actionOf({ ...waiting, step: 'send' }, 'delete')?.risk).toMatch(/^It is cancelled/);
    expect(actionOf({}, 'delete')?.risk).toMatch(/calls nothing back/);
    expect(actionOf({}, 'erase')?.risk).toMatch(/cannot be had back/);
    expect(actionOf({}, 'settle')?.risk).toMatch(/twice.*never gets it/);
  });
});
