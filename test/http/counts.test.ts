import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseCsv, plainCell } from '../support/csv.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { expectProblem } from '../support/http.ts';
import { execute } from '../support/postgres.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService, tenant, text } from '../support/service.ts';

let database: TestDatabase;
let service: TestService;
let deletedUuid: string;

// A session whose zone is 14 hours ahead of UTC: days that were cut there would be other days.
beforeAll(async () => {
  database = await createDatabase();
  await execute(database.url, `ALTER DATABASE ${new URL(database.url).pathname.slice(1)} SET timezone = 'Etc/GMT-14'`);
  service = await startTestService({}, { databaseUrl: database.url });
  const rows: [created: string, status: string | null, more?: Record<string, string>][] = [
    ['2019-11-14 00:00:00', 'delivered'],
    ['2019-11-14 12:00:00', 'sent'],
    ['2019-11-14 23:59:59.999', 'delivered'],
    ['2019-11-15 00:00:00', 'queued'],
    ['2019-11-15 08:00:00', 'delivered', { trustomer_code: 'other' }],
    ['2019-11-15 08:00:00', 'failed', { product_name: 'other' }],
    ['2019-11-16 10:00:00.5', 'error'],
    ['2018-01-01 00:00:00', null],
  ];
  for (const [created, status, more] of rows) await insertOriginalRow(service, { created, status, ...more });
  ({ uuid: deletedUuid } = await insertOriginalRow(service, { created: '2019-11-14 13:00:00', status: 'sent' }));
  await service.call(`/dhos/v1/sms/${deletedUuid}`, { method: 'DELETE', headers: tenant });
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

const counts = (query: Record<string, string> | string) =>
  service.call(`/dhos/v1/sms_status_counts?${new URLSearchParams(query)}`);
const between = async (start_date: string, end_date: string, more = {}) =>
  (await counts({ start_date, end_date, ...more })).json.data;

describe('The counts', () => {
  test('the answer has data, data_type, description and the moment of measurement', async () => {
    const before = new Date().toISOString();
    const answer = await counts({ start_date: '2019-11-14T00:00:00.000Z', end_date: '2019-11-14T23:59:59.999Z' });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      data: { '2019-11-14': { delivered: 2, sent: 1 } },
      data_type: 'sms_status_counts',
      description: 'This is a count of the sms statuses',
      measurement_timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/),
    });
    const measured = answer.json.measurement_timestamp.replace('+00:00', 'Z');
    expect(measured >= before && measured <= new Date().toISOString()).toBe(true);
  });

  test('no tenant headers are asked for', async () => {
    expect((await counts({ start_date: '2019-11-14T00:00:00Z', end_date: '2019-11-15T00:00:00Z' })).status).toBe(200);
  });

  test('days without messages are left out', async () => {
    expect(await between('2019-11-10T00:00:00Z', '2019-11-20T00:00:00Z')).toEqual({
      '2019-11-14': { delivered: 2, sent: 1 },
      '2019-11-15': { delivered: 1, failed: 1, queued: 1 },
      '2019-11-16': { error: 1 },
    });
  });

  test('both ends are included, to the millisecond', async () => {
    expect(await between('2019-11-14T23:59:59.999Z', '2019-11-15T00:00:00.000Z')).toEqual({
      '2019-11-14': { delivered: 1 },
      '2019-11-15': { queued: 1 },
    });
    expect(await between('2019-11-16T10:00:00.500Z', '2019-11-16T10:00:00.500Z')).toEqual({
      '2019-11-16': { error: 1 },
    });
    expect(await between('2019-11-16T10:00:00.501Z', '2019-11-16T10:00:01Z')).toEqual({});
    expect(await between('2019-11-16T00:00:00Z', '2019-11-16T10:00:00.499Z')).toEqual({});
  });

  test('deleted messages are not counted', async () => {
    expect(await between('2019-11-14T12:30:00Z', '2019-11-14T13:30:00Z')).toEqual({});
  });

  test('trustomer_code and product_name, in any case, count that trust’s or product’s only', async () => {
    const day = ['2019-11-15T00:00:00Z', '2019-11-15T23:00:00Z'] as const;
    expect(await between(...day, { trustomer_code: 'OTHER' })).toEqual({ '2019-11-15': { delivered: 1 } });
    expect(await between(...day, { product_name: 'Other' })).toEqual({ '2019-11-15': { failed: 1 } });
    expect(await between(...day, { trustomer_code: 'ouh', product_name: 'gdm' })).toEqual({
      '2019-11-15': { queued: 1 },
    });
    expect(await between(...day, { trustomer_code: 'other', product_name: 'other' })).toEqual({});
  });

  test('an unknown tenant has no counts', async () => {
    expect(await between('2019-01-01T00:00:00Z', '2020-01-01T00:00:00Z', { trustomer_code: 'nobody' })).toEqual({});
  });

  test('an old row without a status is counted, under null', async () => {
    expect(await between('2018-01-01T00:00:00Z', '2018-01-01T00:00:00Z')).toEqual({ '2018-01-01': { null: 1 } });
  });

  test('a message that is sent now counts on today’s UTC day', async () => {
    const from = new Date().toISOString();
    const { json } = await service.post(text, { 'x-trustomer': 'today', 'x-product': 'gdm' });
    const found = await between(from, new Date().toISOString(), { trustomer_code: 'today' });
    expect(Object.keys(found)).toEqual([json.created.slice(0, 10)]);
    expect(json.created >= from).toBe(true);
  });
});

describe('The counts as CSV', () => {
  const asked = (accept: string, trustomer_code: string) =>
    service.call(
      `/dhos/v1/sms_status_counts?${new URLSearchParams({ start_date: '2017-01-01T00:00:00Z', end_date: '2017-12-31T00:00:00Z', trustomer_code })}`,
      { headers: { accept } },
    );
  const statuses = [
    '=1+1',
    "=cmd|' /C calc'!A0",
    '+1',
    '-1',
    '@x',
    "'quoted",
    'a,b',
    'say "hi"',
    '2\r\nlines',
    '',
    null,
  ];

  beforeAll(async () => {
    for (const status of statuses) {
      await insertOriginalRow(service, { created: '2017-03-04 05:06:07', status, trustomer_code: 'csv' });
    }
    await insertOriginalRow(service, { created: '2017-03-05 00:00:00', status: 'sent', trustomer_code: 'csv' });
  });

  test('have a header row, then a line for each day and status, each with its CRLF', async () => {
    const answer = await asked('text/csv', 'csv');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present');
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="sms_status_counts.csv"');
    expect(answer.headers.get('vary')).toBe('accept');
    expect(answer.text.startsWith('day,status,count\r\n2017-03-04,')).toBe(true);
    expect(answer.text.endsWith('2017-03-05,sent,1\r\n')).toBe(true);
  });

  test('say what the JSON says, and no cell begins as a formula does', async () => {
    const [, ...lines] = parseCsv((await asked('text/csv', 'csv')).text);
    const { data } = (await asked('application/json', 'csv')).json;
    expect(lines.map((line) => line.map(plainCell))).toEqual(
      Object.entries<Record<string, number>>(data).flatMap(([day, counted]) =>
        Object.entries(counted).map(([status, count]) => [day, status, String(count)]),
      ),
    );
    expect(lines).toHaveLength(statuses.length + 1);
    expect(lines.flat().filter((cell) => /^[=+\-@\t\r\n]/.test(cell))).toEqual([]);
  });

  test('are the header row alone where there is nothing', async () => {
    expect((await asked('text/csv', 'nobody')).text).toBe('day,status,count\r\n');
  });

  test('are not asked for by a browser or by nobody: JSON; another form is not acceptable: 406', async () => {
    const answer = await asked('*/*', 'csv');
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.headers.has('content-disposition')).toBe(false);
    expectProblem(await asked('text/html', 'csv'), 406, 'Accept: this address has application/json, text/csv.');
  });
});

describe('Edges: day boundary of the counts', () => {
  test('UTC, whatever the session’s zone', async () => {
    const [zone] = await service.query<{ TimeZone: string }>('SHOW timezone');
    expect(zone?.TimeZone).toBe('Etc/GMT-14');
    expect(Object.keys(await between('2019-11-14T00:00:00Z', '2019-11-14T23:59:59.999Z'))).toEqual(['2019-11-14']);
    expect(Object.keys(await between('2019-11-15T00:00:00Z', '2019-11-15T00:00:00Z'))).toEqual(['2019-11-15']);
  });
});

describe('Edges: dates', () => {
  const end_date = '2019-11-16T00:00:00Z';

  test.each([
    '2019-11-14T00:00:00Z',
    '2019-11-14T00:00:00.0Z',
    '2019-11-14T00:00:00.000000Z',
    '2019-11-14T00:00:00.000000000Z',
    '2019-11-14T00:00:00+00:00',
    '2019-11-14T00:00:00+0000',
    '2019-11-14T01:00:00+01:00',
    '2019-11-13T19:00:00.000-05:00',
    '2019-11-14T14:00:00+14:00',
  ])('%s, with a zone, is accepted and means that moment', async (start_date) => {
    expect(await between(start_date, '2019-11-14T00:00:00Z')).toEqual({ '2019-11-14': { delivered: 1 } });
  });

  test('a plus sign that was not encoded is understood', async () => {
    const answer = await service.call(
      '/dhos/v1/sms_status_counts?start_date=2019-11-14T01:00:00+01:00&end_date=2019-11-14T00:00:00.000+00:00',
    );
    expect(answer.json.data).toEqual({ '2019-11-14': { delivered: 1 } });
  });

  test.each([
    ['date only', '2019-11-14'],
    ['without a zone', '2019-11-14T00:00:00'],
    ['without a zone, with a fraction', '2019-11-14T00:00:00.000'],
    ['without seconds', '2019-11-14T00:00Z'],
    ['a day that does not exist', '2019-02-30T00:00:00Z'],
    ['a month that does not exist', '2019-13-01T00:00:00Z'],
    ['an hour that does not exist', '2019-11-14T24:00:00Z'],
    ['a minute that does not exist', '2019-11-14T00:60:00Z'],
    ['a zone that does not exist', '2019-11-14T00:00:00+25:00'],
    ['a zone too far from UTC', '2019-11-14T00:00:00+23:59'],
    ['the year 0', '0000-01-01T00:00:00Z'],
    ['a year of five digits', '12019-11-14T00:00:00Z'],
    ['seconds since 1970', '1573689600'],
    ['words', 'yesterday'],
    ['infinity', 'infinity'],
    ['nothing', ''],
    ['something after it', '2019-11-14T00:00:00Z; SELECT 1'],
    ['a line feed after it', '2019-11-14T00:00:00Z\n'],
  ])('%s: 400', async (_what, date) => {
    const detail = /must be a date and time with a zone, for example 2026-11-23T00:00:00\.000Z\.$/;
    expectProblem(await counts({ start_date: date, end_date }), 400, detail);
    expectProblem(await counts({ start_date: end_date, end_date: date }), 400, detail);
  });

  test('the first and the last year there are', async () => {
    expect(Object.keys(await between('0001-01-01T00:00:00+14:00', '9999-12-31T23:59:59.999-12:00'))).toContain(
      '2019-11-14',
    );
  });

  test('missing or twice: 400', async () => {
    expectProblem(await counts({ end_date }), 400, 'start_date: is missing or came twice.');
    expectProblem(await counts({ start_date: end_date }), 400, 'end_date: is missing or came twice.');
    const twice = `start_date=${end_date}&start_date=${end_date}&end_date=${end_date}`;
    expectProblem(await counts(twice), 400, 'start_date: is missing or came twice.');
  });

  test('an unknown parameter: 400, before the dates are looked at', async () => {
    expectProblem(await counts({ start_date: 'x', end_date, colour: 'red' }), 400, /^Unknown: colour\./);
  });

  test('an empty trustomer_code or product_name: 400', async () => {
    const dates = { start_date: end_date, end_date };
    expectProblem(await counts({ ...dates, trustomer_code: '' }), 400, 'trustomer_code: must not be empty.');
    expectProblem(await counts({ ...dates, product_name: ' ' }), 400, 'product_name: must not be empty.');
    expectProblem(
      await counts({ ...dates, product_name: 'a\0' }),
      400,
      'product_name: must not contain a NUL character.',
    );
  });

  test('end before start: 200, data: {}', async () => {
    const answer = await counts({ start_date: '2019-11-16T00:00:00Z', end_date: '2019-11-14T00:00:00Z' });
    expect([answer.status, answer.json.data]).toEqual([200, {}]);
  });
});
