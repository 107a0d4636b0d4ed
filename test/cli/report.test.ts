import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { insertOriginalRow } from '../support/rows.ts';
import { quiet, startTestService, type TestService } from '../support/service.ts';
import { cli, operatorAt, widest } from './support.ts';

let service: TestService;

beforeAll(async () => {
  service = await startTestService(quiet);
  for (const [created, status, trustomer_code] of [
    ['2026-10-01T00:00:00', 'delivered', 'ouh'],
    ['2026-10-01T23:59:59.999999', 'delivered', 'ouh'],
    ['2026-10-02T12:00:00', 'error', 'ouh'],
    ['2026-10-02T12:00:00', 'sent', 'ouh'],
    ['2026-10-02T12:00:00', 'delivered', 'other'],
    ['2026-10-31T23:59:59.999999', 'undelivered', 'ouh'],
    ['2026-11-01T00:00:00', 'delivered', 'ouh'],
  ] as const) {
    const atTwilio = status === 'error' ? { twilio_sid: null } : { redacted: created };
    await insertOriginalRow(service, { created, status, trustomer_code, content: 'canary', ...atTwilio });
  }
});
afterAll(() => service.stop());

const run = (...args: string[]) => cli(args, operatorAt(service.baseUrl));

describe('report', () => {
  test('a table of days and statuses with sums, first and last moment of a month included', async () => {
    const { code, stdout, stderr } = await run('report', '--month', '2026-10');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: [
        'day (UTC)   sent  delivered  undelivered  error  total',
        '2026-10-01     0          2            0      0      2',
        '2026-10-02     1          0            0      1      2',
        '2026-10-31     0          0            1      0      1',
        'all            1          2            1      1      5',
        '',
      ].join('\n'),
    });
    expect(stderr).toBe('OUH / GDM, 2026-10-01T00:00:00Z to 2026-10-31T23:59:59.999999Z\n');
  });

  test('--from and --to are days, whole at both ends, or moments', async () => {
    const days = await run('report', '--from', '2026-10-01', '--to', '2026-10-01', '--json');
    expect(JSON.parse(days.stdout).data).toEqual({ '2026-10-01': { delivered: 2 } });
    const moments = await run('report', '--from', '2026-10-01T00:00:01Z', '--to', '2026-10-02T12:00:00Z', '--json');
    expect(JSON.parse(moments.stdout).data).toEqual({
      '2026-10-01': { delivered: 1 },
      '2026-10-02': { error: 1, sent: 1 },
    });
  });

  test('--all-tenants counts everybody’s', async () => {
    const { stdout, stderr } = await run('report', '--from', '2026-10-02', '--to', '2026-10-02', '--all-tenants');
    expect(stdout).toMatch(/^all +1 +1 +1 +3$/m);
    expect(stderr).toMatch(/^all trusts \/ all products/);
    const other = await run('report', '--from', '2026-10-02', '--to', '2026-10-02', '--trustomer', 'OTHER');
    expect(other.stdout).toMatch(/^all +1 +1$/m);
  });

  test('an empty period is said', async () => {
    expect((await run('report', '--month', '2025-01')).stdout).toBe('No messages.\n');
  });

  test('more statuses than a line holds go into a second table', async () => {
    const statuses = [
      'accepted',
      'scheduled',
      'queued',
      'sending',
      'sent',
      'delivered',
      'read',
      'undelivered',
      'failed',
    ];
    for (const status of statuses) {
      await insertOriginalRow(service, { created: '2024-02-29T12:00:00', status, trustomer_code: 'leap' });
    }
    const { stdout } = await run('report', '--month', '2024-02', '--trustomer', 'leap');
    expect(widest(stdout)).toBeLessThanOrEqual(80);
    expect(stdout.match(/^2024-02-29 /gm)).toHaveLength(2);
    expect(stdout).toMatch(/ total\n2024-02-29 .* 9\nall .* 9\n$/);
  });

  test('what the service refuses is exit code 1, in its words', async () => {
    const { code, stdout, stderr } = await run('report', '--from', 'yesterday', '--to', '2026-10-02');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^start_date: must be a date and time with a zone/);
  });
});

describe('redaction-report', () => {
  test('states in sentences what was emptied', async () => {
    const { code, stdout, stderr } = await run('redaction-report', '--month', '2026-10');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Statement on the texts of messages\n\nTrust: +OUH\nProduct: +GDM\n/);
    expect(stdout).toContain('Created:   2026-10-01T00:00:00.000Z to 2026-10-31T23:59:59.999Z, both included\n');
    const { json } = await service.call(
      '/dhos/v1/redaction_report?from=2026-10-01T00:00:00Z&to=2026-10-31T23:59:59.999999Z',
      {
        headers: { 'x-trustomer': 'ouh', 'x-product': 'gdm' },
      },
    );
    expect(json).toMatchObject({ finished: 3, emptied_at_twilio: 3, outstanding: 0 });
    const sentences = stdout.replaceAll('\n', ' ');
    expect(sentences).toContain(
      '3 messages that Twilio had the text of reached their end. 3 of them are recorded as emptied',
    );
    expect(sentences).toContain('None is outstanding.');
    expect(sentences).toContain('1 more message has not reached its end');
    expect(stdout).not.toMatch(/900123|canary/);
    expect(widest(stdout)).toBeLessThanOrEqual(80);
  });

  test('says how many are outstanding since when, and which were left alone', async () => {
    const history = { product_name: 'history', status: 'delivered' };
    await service.query("UPDATE installation SET history_before = '2021-01-01'");
    // A sweep queues it when it is a minute old.
    const { uuid } = await insertOriginalRow(service, history);
    await insertOriginalRow(service, { ...history, created: '2020-05-01T12:00:00' });
    const { stdout } = await run(
      'redaction-report',
      '--from',
      '2020-01-01',
      '--to',
      '2099-12-31',
      '--product',
      'history',
    );
    const { json } = await service.call(`/dhos/v1/sms/${uuid}`);
    const sentences = stdout.replaceAll('\n', ' ');
    expect(sentences).toContain('1 of them is outstanding: not emptied at Twilio yet');
    expect(sentences).toContain(`The oldest was recorded on ${json.created.slice(0, 19).replace('T', ' ')} UTC.`);
    expect(sentences).toContain('1 of them was left alone: older than 7 days');
  });

  test('--json is what the API says', async () => {
    const { stdout } = await run('redaction-report', '--month', '2026-10', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ finished: 3, emptied_at_twilio: 3, unfinished: 1 });
  });

  test('no message is said', async () => {
    const { code, stdout } = await run('redaction-report', '--month', '2025-01');
    expect(code).toBe(0);
    expect(stdout).toContain('No message that Twilio had the text of has reached its end.\n');
  });
});
