import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeKeyedHash } from '../../src/message/keyed-hash.ts';
import { expectProblem } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
const HASH_KEY = 'a key of the tests, long enough';
const hash = makeKeyedHash(HASH_KEY);

beforeAll(async () => {
  service = await startTestService({ HASH_KEY });
});
afterAll(() => service.stop());

const ofTenant = (trustomer: string) => ({ 'x-trustomer': trustomer, 'x-product': 'gdm' });
const list = (trustomer: string, filters: Record<string, string>) =>
  service.call(`/dhos/v1/sms?${new URLSearchParams(filters)}`, { headers: ofTenant(trustomer) });
const found = async (trustomer: string, filters: Record<string, string>) => {
  const answer = await list(trustomer, filters);
  expect(answer.status).toBe(200);
  return answer.json.map(({ uuid }: { uuid: string }) => uuid).sort();
};
const insert = async (trustomer: string, changes: object) =>
  (await insertOriginalRow(service, { trustomer_code: trustomer, ...changes })).uuid;

describe('Filters of the list: receiver and receiver_e164', () => {
  const number = '+447700900321';

  test.each([
    ['as it was stored', '(07700) 900 321'],
    ['in E.164', number],
    ['with spaces', '07700 900321'],
    ['as a link', 'tel:+44-7700-900321'],
    ['with an international prefix', '00447700900321'],
  ])('receiver_e164 spelled %s finds every message to that number and no other', async (_how, receiver) => {
    const trust = `spelled ${receiver.length}`;
    const alike = [
      await insert(trust, { receiver: '(07700) 900 321', receiver_e164: number }),
      await insert(trust, { receiver: number, receiver_e164: number }),
      // Of the Python service: without receiver_e164.
      await insert(trust, { receiver: number }),
      // Emptied by retention.
      await insert(trust, { receiver: `hashed:${hash('number', [number])}` }),
    ];
    await insert(trust, { receiver: '+447700900322', receiver_e164: '+447700900322' });
    await insert(trust, { receiver: `hashed:${hash('number', ['+447700900322'])}` });
    expect(await found(trust, { receiver_e164: receiver })).toEqual(alike.sort());
  });

  test('receiver finds the text as it was sent and no other spelling, also after it was emptied', async () => {
    const spelled = await insert('exact', { receiver: '07700 900321', receiver_e164: number });
    const emptied = await insert('exact', { receiver: `hashed:${hash('number', [number])}` });
    await insert('exact', { receiver: number, receiver_e164: number });
    await insert('exact', { receiver: '07700 900321 ', receiver_e164: number });
    expect(await found('exact', { receiver: '07700 900321' })).toEqual([spelled, emptied].sort());
  });

  test('receiver_e164 that is no number is refused', async () => {
    for (const receiver_e164 of ['someone', '', "' OR true --"]) {
      expectProblem(
        await list('no number', { receiver_e164 }),
        400,
        'receiver_e164: must be a phone number, in any usual spelling.',
      );
    }
  });

  test('an emptied number is found by what stands in its place, too', async () => {
    const receiver = `hashed:${hash('number', [number])}`;
    const uuid = await insert('emptied', { receiver });
    await insert('emptied', { receiver: number, receiver_e164: number });
    expect(await found('emptied', { receiver })).toEqual([uuid]);
  });

  test('what is no number is found exactly as it is stored, or was until it was emptied', async () => {
    const whole = await insert('no number', { receiver: 'someone' });
    const emptied = await insert('no number', { receiver: `hashed:${hash('number', ['someone'])}` });
    await insert('no number', { receiver: 'Someone' });
    expect(await found('no number', { receiver: 'someone' })).toEqual([whole, emptied].sort());
    expect(await found('no number', { receiver: '' })).toEqual([]);
    expect(await found('no number', { receiver: "' OR true --" })).toEqual([]);
  });

  test('never finds a message of another tenant, nor a deleted one', async () => {
    await insert('theirs', { receiver: number });
    await insert('ours', { receiver: number, deleted: '2026-01-01 10:00' });
    expect(await found('ours', { receiver: number })).toEqual([]);
    expect(await found('ours', { receiver_e164: number })).toEqual([]);
  });
});

describe('Filters of the list: the others', () => {
  let failed: string;
  let sent: string;
  let odd: string;
  beforeAll(async () => {
    const at = (minute: string) => `2026-02-03 10:${minute}:00.5`;
    sent = await insert('filters', { status: 'sent', created: at('01'), twilio_sid: 'SMsent' });
    failed = await insert('filters', {
      status: 'failed',
      error_code: '30003',
      created: at('02'),
      twilio_sid: 'SMfailed',
    });
    odd = await insert('filters', { status: 'odd word', created: at('03'), twilio_sid: 'SModd' });
  });

  test.each([
    ['status', { status: 'sent' }, () => [sent]],
    ['a status that nobody knows today', { status: 'odd word' }, () => [odd]],
    ['error_code', { error_code: '30003' }, () => [failed]],
    ['twilio_sid', { twilio_sid: 'SMfailed' }, () => [failed]],
    ['two that fit', { status: 'failed', error_code: '30003' }, () => [failed]],
    ['two that do not fit together', { status: 'sent', error_code: '30003' }, () => []],
    ['created_after, itself included', { created_after: '2026-02-03T10:02:00.500Z', status: 'failed' }, () => [failed]],
    ['created_after, a microsecond late', { created_after: '2026-02-03T10:02:00.500001Z', status: 'failed' }, () => []],
    ['created_before, itself included', { created_before: '2026-02-03T10:01:00.5Z' }, () => [sent]],
    ['a zone', { created_before: '2026-02-03T12:01:00.5+02:00' }, () => [sent]],
    ['a range', { created_after: '2026-02-03T10:01:30Z', created_before: '2026-02-03T10:02:30Z' }, () => [failed]],
    [
      'a range whose end is before its start',
      { created_after: '2026-02-03T10:02:30Z', created_before: '2026-02-03T10:01:30Z' },
      () => [],
    ],
  ])('%s', async (_what, filters, expected) => {
    expect(await found('filters', filters)).toEqual(expected());
  });
});

describe('Filters of the list: bad ones are 400 and name the parameter, never the value', () => {
  test.each([
    ['an unknown one', { colour: 'red' }, 'Unknown: colour.'],
    ['a status that is too long', { status: 'x'.repeat(251) }, 'status: must not be longer than 250 characters.'],
    ['a NUL', { error_code: 'a\0' }, 'error_code: must not contain a NUL character.'],
    ['a SID that is too long', { twilio_sid: 'x'.repeat(251) }, 'twilio_sid: must not be longer than 250 characters.'],
    [
      'a date without a zone',
      { created_after: '2026-02-03T10:00:00' },
      /^created_after: must be a date and time with a zone/,
    ],
    ['a day', { created_before: '2026-02-03' }, /^created_before: must be a date and time with a zone/],
    ['a day that is none', { created_before: '2026-02-30T10:00:00Z' }, /^created_before: must be a date/],
    ['no date', { created_after: 'yesterday' }, /^created_after: must be a date/],
    ['an empty date', { created_after: '' }, /^created_after: must be a date/],
    [
      'a year that PostgreSQL does not know',
      { created_after: '+99999-01-01T00:00:00Z' },
      /^created_after: must be a date/,
    ],
  ])('%s', async (_what, filters: Record<string, string>, detail) => {
    expectProblem(await list('bad', filters), 400, detail);
  });

  test('one that comes twice', async () => {
    for (const name of ['status', 'twilio_sid', 'created_after', 'cursor']) {
      const answer = await service.call(`/dhos/v1/sms?${name}=1&${name}=2`, { headers: ofTenant('bad') });
      expectProblem(answer, 400, new RegExp(`^${name}: `));
    }
  });

  test('the first and the last year are taken', async () => {
    expect(
      await found('years', { created_after: '0001-01-01T00:00:00Z', created_before: '9999-12-31T23:59:59Z' }),
    ).toEqual([]);
  });
});
