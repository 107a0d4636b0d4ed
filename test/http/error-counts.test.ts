import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { createKey } from '../support/keys.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { quiet, startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let all: Record<string, string>;
let theirs: Record<string, string>;

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
  all = (await createKey(service.databaseUrl, { tenant: null })).bearer;
  theirs = (await createKey(service.databaseUrl, { tenant: { trustomerCode: 'other', productName: 'gdm' } })).bearer;
  const rows: [string, string, string | null, object?][] = [
    ['2026-03-01 23:59:59.999', 'ouh', '30003'],
    ['2026-03-02 00:00:00', 'ouh', '30003'],
    ['2026-03-02 10:00:00', 'other', '30003'],
    ['2026-03-02 11:00:00', 'ouh', '21610'],
    ['2026-03-02 12:00:00', 'ouh', 'ask +447700900123'],
    ['2026-03-02 12:30:00', 'ouh', 'another word'],
    ['2026-03-02 13:00:00', 'ouh', '30003', { deleted: '2026-03-03 00:00:00' }],
    ['2026-03-02 14:00:00', 'ouh', null],
    ['2026-03-04 00:00:00', 'ouh', '30007'],
  ];
  for (const [created, trust, error_code, more] of rows) {
    await insertOriginalRow(service, { created, modified: created, trustomer_code: trust, error_code, ...more });
  }
});
afterAll(() => service.stop());

const span = 'from=2026-03-01T00:00:00Z&to=2026-03-03T23:59:59.999Z';
const count = (query = span, headers = all) => service.call(`/dhos/v1/error_counts?${query}`, { headers });

describe('The counts of errors', () => {
  test('are by UTC day and code, without deleted messages, with whom they hit', async () => {
    const { status, json, text } = await count();
    expect(status).toBe(200);
    expect(json).toEqual({
      data: { '2026-03-01': { '30003': 1 }, '2026-03-02': { '21610': 1, '30003': 2, other: 2 } },
      tenants: [
        { trustomer_code: 'ouh', product_name: 'gdm', count: 5 },
        { trustomer_code: 'other', product_name: 'gdm', count: 1 },
      ],
    });
    expect(text).not.toMatch(/77009|word/);
  });

  test('can be narrowed to a tenant and a code', async () => {
    expect((await count(`${span}&error_code=30003`)).json.tenants.map(({ count: n }: { count: number }) => n)).toEqual([
      2, 1,
    ]);
    expect((await count(`${span}&trustomer_code=OTHER&product_name=gdm`)).json.data).toEqual({
      '2026-03-02': { '30003': 1 },
    });
    expect((await count(`${span}&error_code=99999`)).json).toEqual({ data: {}, tenants: [] });
  });

  test('of a key of one tenant are that tenant’s; another’s it cannot ask for', async () => {
    expect((await count(span, theirs)).json.tenants).toEqual([
      { trustomer_code: 'other', product_name: 'gdm', count: 1 },
    ]);
    expectProblem(await count(`${span}&trustomer_code=ouh`, theirs), 403, /are not those of this key/);
  });

  test.each(['', 'from=2026-03-01T00:00:00Z', `${span}&error_code=x`, `${span}&x=1`, 'from=1&to=2'])(
    'refuse “%s”',
    async (query) => expectProblem(await count(query), 400, /./),
  );
});

test('The table of error codes is there for who may see reports', async () => {
  const { status, json } = await service.call('/dhos/v1/error_codes', { headers: theirs });
  expect(status).toBe(200);
  expect(json.length).toBeGreaterThan(35);
  expect(json).toContainEqual({
    code: '21614',
    class: 'for good',
    means: 'The receiver is not a mobile number.',
    what_to_do: expect.stringMatching(/^Ask the patient/),
    can_we_fix: 'no',
    who: expect.any(String),
  });
});
