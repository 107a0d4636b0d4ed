import { describe, expect, test } from 'vitest';
import { classOf, type ErrorClass, meaningOf } from '../../src/twilio/error-codes.ts';
import type { Exchange } from '../../src/twilio/exchange.ts';
import { type CreateOutcome, mayBeTakenLater, outcomeOfCreate, readErrorCode } from '../../src/twilio/outcome.ts';

const httpStatuses = Array.from({ length: 500 }, (_, n) => n + 100);
const resource = JSON.stringify({ sid: 'SM1', status: 'queued', error_code: null, date_sent: null });
const answered = (httpStatus: number, body: string, retryAfterS: number | null = null): Exchange => ({
  kind: 'answered',
  httpStatus,
  retryAfterS,
  body,
});
const errorBody = (code: unknown) => JSON.stringify({ code, message: 'words', more_info: 'https://…', status: 400 });

/** Everything that can come back in an answer, and whether it is Twilio's message resource, or an error that bears Twilio's code. */
const bodies: readonly { readonly body: string; readonly isMessage: boolean; readonly code: string | null }[] = [
  { body: resource, isMessage: true, code: null },
  { body: JSON.stringify({ sid: 'SM1', status: 'a word of next year' }), isMessage: true, code: null },
  { body: errorBody(21211), isMessage: false, code: '21211' },
  { body: errorBody(20429), isMessage: false, code: '20429' },
  { body: errorBody(99_999), isMessage: false, code: '99999' },
  { body: errorBody(null), isMessage: false, code: null },
  { body: errorBody(undefined), isMessage: false, code: null },
  { body: errorBody('21211'), isMessage: false, code: null },
  { body: errorBody(21211.5), isMessage: false, code: null },
  { body: JSON.stringify({ code: 21211 }), isMessage: false, code: null },
  { body: JSON.stringify({ sid: 7, status: 'queued' }), isMessage: false, code: null },
  { body: JSON.stringify({ sid: 'SM1' }), isMessage: false, code: null },
  { body: JSON.stringify({ sid: '', status: 'queued' }), isMessage: false, code: null },
  { body: JSON.stringify({ sid: 'S'.repeat(65), status: 'queued' }), isMessage: false, code: null },
  { body: JSON.stringify([{ sid: 'SM1', status: 'queued' }]), isMessage: false, code: null },
  { body: resource.slice(0, -9), isMessage: false, code: null },
  { body: errorBody(21211).slice(0, -9), isMessage: false, code: null },
  { body: '<html>Bad Gateway</html>', isMessage: false, code: null },
  { body: '{"__proto__":{"sid":"SM1","status":"queued"}}', isMessage: false, code: null },
  { body: 'null', isMessage: false, code: null },
  { body: '', isMessage: false, code: null },
];

/** G3: what is provable, and everything else. */
function expectedKind(httpStatus: number, { isMessage, code }: (typeof bodies)[number]): CreateOutcome['kind'] {
  if ((httpStatus === 200 || httpStatus === 201) && isMessage) return 'accepted';
  if (httpStatus === 429) return 'refused';
  return httpStatus >= 400 && httpStatus <= 499 && code !== null ? 'refused' : 'unknown';
}

describe('what became of a create (G3)', () => {
  test('for every HTTP status and every kind of body: accepted and refused are proved, all else is unknown', () => {
    for (const httpStatus of httpStatuses) {
      for (const one of bodies) {
        const outcome = outcomeOfCreate(answered(httpStatus, one.body, 7));
        const where = `${httpStatus} ${one.body}`;
        expect(outcome.kind, where).toBe(expectedKind(httpStatus, one));
        if (outcome.kind === 'refused') {
          expect(outcome, where).toEqual({
            kind: 'refused',
            errorClass: classOf(httpStatus, one.code),
            httpStatus,
            code: one.code,
            retryAfterS: 7,
          });
        }
        if (outcome.kind === 'unknown') expect(outcome.httpStatus, where).toBe(httpStatus);
      }
    }
  });

  test('no 2xx, 3xx or 5xx is ever a refusal, so nothing is sent again because of one', () => {
    const notRefusals = httpStatuses.filter((httpStatus) => httpStatus < 400 || httpStatus > 499);
    for (const httpStatus of notRefusals) {
      for (const { body } of bodies) expect(outcomeOfCreate(answered(httpStatus, body)).kind).not.toBe('refused');
    }
  });

  test('not one byte written: not processed', () => {
    const outcome = outcomeOfCreate({ kind: 'not written', reason: 'ECONNREFUSED' });
    expect(outcome).toEqual({ kind: 'not processed', reason: 'ECONNREFUSED' });
  });

  test('broken off after the first byte: unknown', () => {
    const outcome = outcomeOfCreate({ kind: 'broken off', reason: 'ECONNRESET' });
    expect(outcome).toEqual({ kind: 'unknown', httpStatus: null, reason: 'ECONNRESET' });
  });

  test('a reason never repeats what the answer said, which may hold a number', () => {
    for (const httpStatus of httpStatuses) {
      const outcome = outcomeOfCreate(answered(httpStatus, 'about +447700900123'));
      expect(JSON.stringify(outcome)).not.toContain('447700900123');
    }
  });

  test('what Twilio says of the message it took is read: numbers or texts, dates as ISO 8601, nulls or gaps', () => {
    const full = {
      sid: 'SM1',
      status: 'accepted',
      error_code: 30003,
      error_message: 'words',
      date_sent: 'Tue, 24 Nov 2026 10:20:30 +0000',
      date_created: 'Tue, 24 Nov 2026 10:20:29 +0000',
      body: 'text',
      from: null,
      to: '+447700900123',
      messaging_service_sid: 'MG1',
      num_segments: '1',
    };
    const read = {
      sid: 'SM1',
      status: 'accepted',
      errorCode: '30003',
      errorMessage: 'words',
      dateSent: '2026-11-24T10:20:30.000Z',
      dateCreated: '2026-11-24T10:20:29.000Z',
      body: 'text',
      from: null,
      to: '+447700900123',
      messagingServiceSid: 'MG1',
    };
    expect(outcomeOfCreate(answered(201, JSON.stringify(full)))).toEqual({ kind: 'accepted', message: read });
    const strange = JSON.stringify({ ...full, error_code: '30003', date_sent: 'soon', date_created: null });
    expect(outcomeOfCreate(answered(201, strange))).toEqual({
      kind: 'accepted',
      message: { ...read, dateSent: null, dateCreated: null },
    });
  });
});

/** Every code, by the class that it has. */
const codes: Readonly<Record<ErrorClass, readonly number[]>> = {
  account: [20003, 20005, 20404, 30002],
  'for good': [
    20001, 21211, 21212, 21602, 21603, 21604, 21610, 21612, 21614, 21617, 21624, 21635, 30004, 30005, 30006, 30007,
    30008, 30409,
  ],
  configuration: [21408, 21606, 21609, 21701, 21703, 30032, 30034],
  later: [20009, 20429, 20500, 20503, 21611, 30001, 30003, 30022, 30450, 30500],
};
const classes = Object.keys(codes) as ErrorClass[];
const refused = (httpStatus: number, code: number | null) => {
  const outcome = outcomeOfCreate(answered(httpStatus, errorBody(code)));
  if (outcome.kind !== 'refused') throw new Error('this is no refusal');
  return outcome;
};

describe('a refusal', () => {
  test('has the class of its code, for every code that the table knows', () => {
    const known = Array.from({ length: 90_000 }, (_, n) => n + 10_000).filter((code) => meaningOf(String(code)));
    expect(known).toEqual(Object.values(codes).flat().sort());
    for (const errorClass of classes) {
      for (const code of codes[errorClass]) expect(refused(400, code).errorClass).toBe(errorClass);
    }
  });

  test('with a code of no table has the class of its HTTP status: the account for 401, 403 and 404, else for good', () => {
    for (let httpStatus = 400; httpStatus < 500; httpStatus += 1) {
      const expected = { 401: 'account', 403: 'account', 404: 'account', 429: 'later' }[httpStatus] ?? 'for good';
      expect(refused(httpStatus, 99_999).errorClass).toBe(expected);
    }
  });

  test('429 is later, whatever the code and whoever said it', () => {
    for (const code of [...Object.values(codes).flat(), 99_999, null])
      expect(refused(429, code).errorClass).toBe('later');
  });

  test('may be taken later if the account or the moment is to blame, for every class and every code', () => {
    const mayBe: Readonly<Record<ErrorClass, boolean>> = {
      account: true,
      'for good': false,
      configuration: false,
      later: true,
    };
    for (const errorClass of classes) {
      for (const code of codes[errorClass]) expect(mayBeTakenLater(refused(400, code))).toBe(mayBe[errorClass]);
    }
    expect(mayBeTakenLater({ kind: 'not processed', reason: 'ENOTFOUND' })).toBe(true);
  });

  test('bears a code only where Twilio wrote a whole number beside its words', () => {
    expect(readErrorCode(errorBody(21211))).toBe('21211');
    for (const code of [null, undefined, '21211', 1.5, {}, true]) expect(readErrorCode(errorBody(code))).toBeNull();
  });
});
