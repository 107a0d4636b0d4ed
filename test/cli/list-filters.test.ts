import { afterAll, beforeAll, expect, test } from 'vitest';
import { freshText, startTestService, type TestService } from '../support/service.ts';
import { cli, operatorAt } from './support.ts';

/** Filters, pages and CSV against the service itself. */

let service: TestService;

beforeAll(async () => {
  service = await startTestService();
  // Several of one moment: pages must not skip or repeat any.
  await service.query(`
    INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, twilio_sid,
                         error_code, trustomer_code, product_name)
    SELECT '00000000-0000-4000-8000-' || lpad(n::text, 12, '0'),
           timestamp '2026-10-01 10:00' + (n / 600) * interval '1 day' + (n % 600 / 3) * interval '1 ms', 'test', now(), 'test',
           '+447700900001', '+447700900123', CASE n WHEN 7 THEN '=1+1' ELSE 'canary' END,
           CASE n WHEN 7 THEN 'undelivered' ELSE 'delivered' END, 'SM' || n, CASE n WHEN 7 THEN '30003' END, 'ouh', 'gdm'
    FROM generate_series(0, 1099) n`);
});
afterAll(() => service.stop());

const seven = '00000000-0000-4000-8000-000000000007';
const list = (...args: string[]) => cli(['list', ...args], operatorAt(service.baseUrl));
const idsIn = (text: string) => [...text.matchAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g)].map(([uuid]) => uuid);

test.for([
  ['--status', 'undelivered'],
  ['--error-code', '30003'],
  ['--twilio-sid', 'SM7'],
])('list %s finds the one', async (filter) => {
  const { code, stdout, stderr } = await list(...filter);
  expect({ code, stderr, ids: idsIn(stdout) }).toEqual({ code: 0, stderr: '', ids: [seven] });
});

test('list --receiver finds any spelling of the number', async () => {
  const sent = await service.post(
    { ...freshText(), receiver: '07700 900778' },
    { 'x-trustomer': 'ouh', 'x-product': 'other' },
  );
  const { stdout } = await list('--receiver', '+44 7700 900-778', '--product', 'other');
  expect(idsIn(stdout)).toEqual([sent.json.uuid]);
});

test('a day is all of it, at both ends', async () => {
  const { stdout } = await list('--all', '--created-after', '2026-10-01', '--created-before', '2026-10-01');
  expect(idsIn(stdout)).toHaveLength(600);
});

test('--all shows every message once, in one order, over three pages', async () => {
  const { code, stdout, stderr } = await list('--all');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(idsIn(stdout)).toHaveLength(1_100);
  expect(new Set(idsIn(stdout)).size).toBe(1_100);
});

test('without --all it is said that there are more, and not where there are none', async () => {
  expect((await list()).stderr).toBe('There may be more: --all shows all of them.\n');
  expect((await list('--status', 'undelivered', '--limit', '1')).stderr).toBe('');
});

test('--csv is what the service writes, byte for byte', async () => {
  const answer = await service.call('/dhos/v1/sms', {
    headers: { 'x-trustomer': 'ouh', 'x-product': 'gdm', accept: 'text/csv' },
  });
  const { code, stdout } = await list('--all', '--csv');
  expect(code).toBe(0);
  expect(stdout).toBe(answer.text);
  expect(idsIn(stdout)).toHaveLength(1_100);
  expect(stdout).not.toMatch(/(^|,)"?=1\+1/m);
});

test('what the service refuses of a filter is exit code 1, in its words', async () => {
  const { code, stderr } = await list('--created-after', 'yesterday');
  expect([code, stderr]).toEqual([1, expect.stringMatching(/^created_after: must be a date and time with a zone/)]);
});
