import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { quiet, startTestService, type TestService, tenant } from '../support/service.ts';
import { type FakeTwilio, startFakeTwilio, twilioAt } from '../support/twilio.ts';

/** The statement of what became of a tenant's texts. Twilio refuses to empty any, so that rows stay as they are. */
let twilio: FakeTwilio;
let service: TestService;

const FIRST = '2026-03-01 10:00:00';
const LAST = '2026-03-31 23:59:59.999';

beforeAll(async () => {
  twilio = await startFakeTwilio();
  twilio.answerWith(() => ({ status: 503, body: '' }));
  service = await startTestService(twilioAt(twilio.url));
  await service.query(`UPDATE installation SET history_before = '2026-03-10 00:00:00'`);
  const rows: Record<string, string | null>[] = [
    { created: FIRST, status: 'delivered', redacted: '2026-03-01 10:05:00' },
    { created: '2026-03-02 00:00:00', status: 'delivered' },
    { created: '2026-03-15 00:00:00', status: 'undelivered' },
    { created: '2026-03-16 00:00:00', status: 'failed', deleted: '2026-03-17 00:00:00' },
    { created: '2026-03-16 00:00:00', status: 'read', redacted: '2026-03-17 00:00:00', deleted: '2026-03-17 00:00:00' },
    { created: '2026-03-17 00:00:00', status: 'sent' },
    { created: '2026-03-17 00:00:00', status: null },
    { created: '2026-03-17 00:00:00', status: 'error', twilio_sid: null },
    { created: LAST, status: 'canceled' },
    { created: '2026-03-01 09:59:59.999', status: 'delivered' },
    { created: '2026-04-01 00:00:00', status: 'delivered' },
    { created: '2026-03-16 00:00:00', status: 'delivered', trustomer_code: 'other' },
    { created: '2026-03-16 00:00:00', status: 'delivered', product_name: 'other' },
  ];
  for (const row of rows) await insertOriginalRow(service, { modified: row.created ?? null, ...row });
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

const ask = (query: Record<string, string> | string, headers: Record<string, string> = tenant) =>
  service.call(`/dhos/v1/redaction_report?${new URLSearchParams(query)}`, { headers });
const whole = { from: '2026-03-01T10:00:00.000Z', to: '2026-03-31T23:59:59.999Z' };

describe('The redaction report', () => {
  test('counts what has ended, both ends included, deleted messages too, and no other tenant’s', async () => {
    const answer = await ask(whole);
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      ...whole,
      finished: 6,
      emptied_at_twilio: 2,
      outstanding: 3,
      oldest_outstanding: '2026-03-15T00:00:00.000Z',
      emptied_here: 0,
      numbers_emptied_here: 0,
      unfinished: 2,
      left_alone: 1,
      measurement_timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    });
  });

  test.each([
    whole,
    { from: '2026-03-01T10:00:00.001Z', to: '2026-03-31T23:59:59.998Z' },
    { from: '2026-03-15T00:00:00Z', to: '2026-03-16T00:00:00Z' },
    { from: '2000-01-01T00:00:00Z', to: '2100-01-01T00:00:00Z' },
  ])('adds up: finished = emptied + outstanding + left alone ($from to $to)', async (range) => {
    const { json } = await ask(range);
    expect(json.finished).toBe(json.emptied_at_twilio + json.outstanding + json.left_alone);
    expect(json.finished).toBeGreaterThan(0);
  });

  test('a moment before the first and after the last leave them out', async () => {
    const { json } = await ask({ from: '2026-03-01T10:00:00.001Z', to: '2026-03-31T23:59:59.998Z' });
    expect([json.finished, json.emptied_at_twilio, json.outstanding]).toEqual([4, 1, 2]);
  });

  test('takes other zones for the same moments', async () => {
    const { json } = await ask({ from: '2026-03-01T12:00:00+02:00', to: '2026-03-31T22:59:59.999-01:00' });
    expect(json).toMatchObject({ ...whole, finished: 6 });
  });

  test('of another tenant counts theirs alone, whatever the letters’ case', async () => {
    const { json } = await ask(whole, { 'x-trustomer': 'OTHER', 'x-product': 'gdm' });
    expect(json).toMatchObject({ finished: 1, outstanding: 1 });
  });

  test('of all tenants counts everybody’s, whatever the headers say; of none of them it is the same as without', async () => {
    const all = { ...whole, all_tenants: 'true' };
    for (const headers of [{}, tenant]) {
      const { json } = await ask(all, headers);
      expect(json).toMatchObject({ ...whole, finished: 8, emptied_at_twilio: 2, outstanding: 5, unfinished: 2 });
    }
    expect((await ask({ ...whole, all_tenants: 'false' })).json).toMatchObject({ finished: 6 });
  });

  test('of reversed ends, or of a time without messages, is all zeros', async () => {
    for (const range of [
      { from: whole.to, to: whole.from },
      { from: '1999-01-01T00:00:00Z', to: '1999-02-01T00:00:00Z' },
    ]) {
      const { status, json } = await ask(range);
      expect(status).toBe(200);
      expect(json).toMatchObject({ finished: 0, emptied_at_twilio: 0, outstanding: 0, unfinished: 0, left_alone: 0 });
      expect(json).not.toHaveProperty('oldest_outstanding');
    }
  });

  test('counts what was emptied here', async () => {
    const moment = '2026-02-01T00:00:00Z';
    const { uuid } = await insertOriginalRow(service, {
      created: '2026-02-01 00:00:00',
      modified: '2026-02-01 00:00:00',
      status: 'delivered',
    });
    await service.query('UPDATE message SET content_emptied = now(), number_emptied = now() WHERE uuid = $1', [uuid]);
    const { json } = await ask({ from: moment, to: moment });
    expect(json).toMatchObject({ finished: 1, emptied_here: 1, numbers_emptied_here: 1 });
  });
});

describe('A redaction report is refused', () => {
  const bad: readonly [string, Record<string, string> | string, RegExp][] = [
    ['without from', { to: whole.to }, /from/],
    ['without to', { from: whole.from }, /to/],
    ['with a date alone', { ...whole, from: '2026-03-01' }, /from/],
    ['without a zone', { ...whole, to: '2026-03-31T23:59:59.999' }, /to/],
    ['with a day that does not exist', { ...whole, to: '2026-02-30T00:00:00Z' }, /to/],
    ['with a time that cannot be', { ...whole, from: '2026-03-01T24:00:00Z' }, /from/],
    ['with a word', { ...whole, from: 'yesterday' }, /from/],
    ['with an empty end', { ...whole, to: '' }, /to/],
    ['with NUL', { ...whole, to: '2026-03-31T23:59:59Z\0' }, /to/],
    ['with an end twice', 'from=2026-03-01T00:00:00Z&from=2026-03-02T00:00:00Z&to=2026-03-03T00:00:00Z', /from/],
    ['with a word for all tenants', { ...whole, all_tenants: 'yes' }, /all_tenants: must be true or false/],
    ['with a query that nobody knows', { ...whole, days: '7' }, /^Unknown: days\.$/],
  ];
  test.each(bad)('%s: 400, naming it and repeating no value', async (_what, query, detail) => {
    const answer = await ask(query);
    expectProblem(answer, 400, detail);
    expect(answer.text).not.toMatch(/2026-0|yesterday/);
  });

  test.each([{}, { 'x-trustomer': 'ouh' }, { 'x-product': 'gdm' }, { 'x-trustomer': ' ', 'x-product': 'gdm' }])(
    'without both tenant headers (%j): 400',
    async (headers) => {
      expectProblem(await ask(whole, headers as Record<string, string>), 400, /X-Trustomer|X-Product/i);
    },
  );

  test('by POST: 405', async () => {
    expect((await service.call('/dhos/v1/redaction_report', { method: 'POST', headers: tenant })).status).toBe(405);
  });
});

describe('A redaction report of all tenants', () => {
  test('needs a key for all tenants', async () => {
    const guarded = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
    try {
      const answerFor = async (of: typeof ouh | null) =>
        guarded.call(`/dhos/v1/redaction_report?${new URLSearchParams({ ...whole, all_tenants: 'true' })}`, {
          headers: (await createKey(guarded.databaseUrl, { tenant: of })).bearer,
        });
      expectProblem(await answerFor(ouh), 403, 'all_tenants: needs a key for all tenants.');
      expect((await answerFor(null)).status).toBe(200);
    } finally {
      await guarded.stop();
    }
  });
});
