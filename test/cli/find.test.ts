import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, freshText, startTestService, type TestService } from '../support/service.ts';
import { cli, operatorAt, widest } from './support.ts';

let service: TestService;
let delivered: string;

beforeAll(async () => {
  service = await startTestService();
  const { json } = await service.post({
    ...freshText(),
    content: 'canary\u001b[2J\nsecond line',
    receiver: '07700 900123',
  });
  delivered = json.uuid;
  await eventually(async () => (await service.call(`/dhos/v1/sms/${delivered}`)).json.redacted);
});
afterAll(() => service.stop());

const run = (...args: string[]) => cli(args, operatorAt(service.baseUrl));

describe('show', () => {
  test('says how the message stands, without number and text', async () => {
    const { code, stdout, stderr } = await run('show', delivered);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^status +delivered$/m);
    expect(stdout).toMatch(/^to +…0123$/m);
    expect(stdout).toMatch(/^from +…0001$/m);
    expect(stdout).toMatch(/^text +22 characters; --reveal shows them$/m);
    expect(stdout).toMatch(/^emptied +at Twilio 2\d{3}-/m);
    expect(stdout).not.toMatch(/900123|7700900001|canary/);
    expect(widest(stdout)).toBeLessThanOrEqual(80);
  });

  test('--reveal shows both, without what a terminal would obey', async () => {
    const { stdout } = await run('show', delivered, '--reveal');
    expect(stdout).toMatch(/^to +07700 900123$/m);
    expect(stdout).toMatch(/^text +canary\u{FFFD}\[2J\n +second line$/mu);
    expect(stdout).not.toContain('\u001b');
  });

  test('--json is what the API says, byte for byte', async () => {
    const { text } = await service.call(`/dhos/v1/sms/${delivered}`);
    expect(await run('show', delivered, '--json')).toEqual({ code: 0, stdout: `${text}\n`, stderr: '' });
  });

  test('a number in an error message is masked', async () => {
    const { uuid } = await insertOriginalRow(service, {
      trustomer_code: 'other',
      status: 'failed',
      error_code: '21211',
      error_message: "The 'To' number +447700900123 is not valid.",
    });
    const { stdout } = await run('show', uuid);
    expect(stdout).toMatch(/^error +21211: The 'To' number …0123 is not valid\.$/m);
  });

  test.for([['show'], ['events']])(
    '%s of none is exit code 1; --json is the API’s own error',
    async ([command = '']) => {
      const none = '00000000-0000-4000-8000-000000000000';
      expect(await run(command, none)).toEqual({ code: 1, stdout: '', stderr: 'There is no such message.\n' });
      const { code, stdout } = await run(command, none, '--json');
      expect([code, JSON.parse(stdout).status]).toEqual([1, 404]);
      // Whatever stands there is one part of a path, and is not repeated.
      const odd = await run(command, '../../running?x=+447700900123');
      expect(odd.code).toBe(1);
      expect(odd.stdout + odd.stderr).not.toMatch(/running|900123/);
    },
  );
});

describe('events', () => {
  test('tells the life of a message with the time between', async () => {
    const { code, stdout } = await run('events', delivered);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^2\d{3}-\d\d-\d\d\n +\d\d:\d\d:\d\d\.\d{3} +caller +The message was recorded\. \[accepted\]\n/,
    );
    expect(stdout).toMatch(
      /^ +[\d:.]{12} +\+[\d.]+ m?s +twilio +Twilio called back: delivered\. \[\w+ →\s+delivered\]$/m,
    );
    expect(stdout).not.toMatch(/900123|canary/);
    expect(stdout.match(/SM[0-9a-f]{32}/g), 'each SID once, where it is first heard of').toHaveLength(1);
    expect(widest(stdout)).toBeLessThanOrEqual(80);
  });

  test('--json is what the API says', async () => {
    const { text } = await service.call(`/dhos/v1/sms/${delivered}/events`);
    expect((await run('events', delivered, '--json')).stdout).toBe(`${text}\n`);
  });
});

describe('list', () => {
  const other = { POLARIS_SMS_PRODUCT: 'MANY' };
  const list = (...args: string[]) => cli(['list', ...args], { ...operatorAt(service.baseUrl), ...other });
  const uuids: string[] = [];

  beforeAll(async () => {
    for (let n = 0; n < 60; n += 1) {
      const created = `2026-10-${n < 30 ? '01' : '02'}T10:00:00.${String(n).padStart(3, '0')}`;
      const { uuid } = await insertOriginalRow(service, {
        product_name: 'many',
        created,
        receiver: n === 7 ? '+447700900777' : '+447700900123',
        content: 'canary',
        status: n % 10 === 0 ? 'undelivered' : 'delivered',
        error_code: n % 10 === 0 ? '30003' : null,
        redacted: created,
      });
      uuids.unshift(uuid);
    }
  });

  const idsIn = (stdout: string) => [...stdout.matchAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g)].map(([uuid]) => uuid);

  test('shows the newest 50, masked, without texts, and that there are more', async () => {
    const { code, stdout } = await list();
    expect(code).toBe(0);
    expect(idsIn(stdout)).toEqual(uuids.slice(0, 50));
    expect(stdout).toMatch(/^created \(UTC\) +status +to +error +message\n2026-10-02 10:00 delivered +…0123 +[0-9a-f]/);
    expect(stdout).not.toMatch(/900123|canary/);
    expect(widest(stdout)).toBeLessThanOrEqual(80);
  });

  test('--reveal adds number and text below each', async () => {
    const { stdout } = await list('--limit', '2', '--reveal');
    expect(stdout.match(/^ {4}\+447700900123 {2}canary$/gm)).toHaveLength(2);
  });

  test('--json is what the API says', async () => {
    const { text } = await service.call('/dhos/v1/sms?limit=3', {
      headers: { 'x-trustomer': 'ouh', 'x-product': 'many' },
    });
    expect((await list('--limit', '3', '--json')).stdout).toBe(`${text}\n`);
    expect(JSON.parse((await list('--all', '--json')).stdout)).toHaveLength(60);
  });

  test('none is said, and is no failure', async () => {
    const empty = await cli(['list', '--product', 'none'], operatorAt(service.baseUrl));
    expect(empty).toEqual({ code: 0, stdout: '', stderr: 'There are none.\n' });
  });

  test('filters by receiver', async () => {
    const { stdout, code } = await list('--receiver', '+447700900777');
    expect([code, idsIn(stdout)]).toEqual([0, [uuids[52]]]);
  });
});
