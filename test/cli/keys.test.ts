import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { quiet, startTestService, type TestService } from '../support/service.ts';
import { sessionsOf, signIn } from '../support/sessions.ts';
import { cli, operatorAt } from './support.ts';

let service: TestService;
let environment: Record<string, string>;

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
  environment = { DATABASE_URL: service.databaseUrl, POLARIS_SMS_URL: service.baseUrl };
});
afterAll(() => service.stop());

const create = (...more: string[]) =>
  cli(['keys', 'create', '--name', 'clinic', '--scopes', 'sms:send,sms:read', ...more], environment);

describe('polaris-sms keys', () => {
  test('create shows a key once, the service lets it in, list names it without its secret, revoke ends it', async () => {
    const made = await create('--trustomer', 'OUH', '--product', ' GDM', '--days', '30');
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^polaris_[0-9a-f]{12}_[\w-]{43}\n$/) });
    const key = made.stdout.trim();
    const [, id = '', secret = ''] = /^polaris_([^_]+)_(.*)$/.exec(key) ?? [];
    const show = () => cli(['list', '--json'], { ...operatorAt(service.baseUrl), POLARIS_SMS_KEY: key });
    expect(await show()).toMatchObject({ code: 0, stdout: '[]\n' });
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'polaris-key-')), 'key');
    writeFileSync(file, `${key}\n`);
    expect(await cli(['list', '--json', '--key-file', file], operatorAt(service.baseUrl))).toMatchObject({ code: 0 });

    const listed = await cli(['keys', 'list'], environment);
    expect(listed.stdout).toMatch(new RegExp(`^${id}  live     clinic\n  ouh / gdm: sms:send, sms:read\n`));
    expect((await cli(['keys', 'list', '--json'], environment)).stdout).not.toContain(secret);
    const [row] = await service.query("SELECT expires - created = interval '30 days' AS month FROM api_key");
    expect(row).toEqual({ month: true });

    expect(await cli(['keys', 'revoke', '--id', id], environment)).toMatchObject({ code: 0 });
    await expect.poll(async () => (await show()).code, { timeout: 5_000 }).toBe(1);
    expect(await cli(['keys', 'revoke', '--id', id], environment)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('revoked before'),
    });
    expect(
      await service.query('SELECT actor, action, details FROM audit WHERE action LIKE $1 ORDER BY id', ['key %']),
    ).toEqual(
      ['key created', 'key revoked'].map((action) => ({
        actor: 'command line',
        action,
        details: { key: id, name: 'clinic', scopes: ['sms:send', 'sms:read'] },
      })),
    );
  });

  test('list says how many are signed in with a key, and lists none of them; revoke signs them out', async () => {
    const key = (await create('--all-tenants')).stdout.trim();
    const [, id = ''] = /^polaris_([^_]+)_/.exec(key) ?? [];
    for (let n = 0; n < 2; n += 1) expect((await signIn(service, key)).status).toBe(200);
    const ids = async () =>
      JSON.parse((await cli(['keys', 'list', '--json'], environment)).stdout).map((row: { id: string }) => row.id);
    const [session] = await sessionsOf(service, id);
    expect(await ids()).toContain(id);
    expect(await ids()).not.toContain(session?.id);
    const shown = async () => (await cli(['keys', 'list'], environment)).stdout.split(id)[1];
    expect(await shown()).toMatch(/^ {2}live .*\n.*\n {2}created .*, 2 signed in to the console\n/);
    expect(await cli(['keys', 'revoke', '--id', String(session?.id)], environment)).toMatchObject({ code: 1 });
    expect(await cli(['keys', 'revoke', '--id', id], environment)).toMatchObject({
      code: 0,
      stdout: 'Revoked: it opens nothing after 5 s, and who is signed in with it is signed out.\n',
    });
    expect(await shown()).not.toContain('signed in');
  });

  test.for([
    [['create', '--scopes', 'sms:send', '--all-tenants'], '--name is missing'],
    [['create', '--name', 'x', '--all-tenants'], '--scopes is missing'],
    [['create', '--name', 'unknown', '--scopes', 'sms:send', '--all-tenants'], '--name must'],
    [['create', '--name', 'x', '--scopes', 'sms:send,sms:everything', '--all-tenants'], '--scopes must'],
    [['create', '--name', 'x', '--scopes', 'sms:send'], 'or --all-tenants'],
    [['create', '--name', 'x', '--scopes', 'sms:send', '--trustomer', 'OUH'], 'or --all-tenants'],
    [['create', '--name', 'x', '--scopes', 'sms:send', '--trustomer', 'OUH', '--all-tenants'], 'Either'],
    [['create', '--name', 'x', '--scopes', 'sms:send', '--all-tenants', '--days', '0'], '--days must'],
    [['revoke'], '--id is missing'],
    [['toString'], 'Say create, list or revoke'],
  ] as const)('%j is wrong use: %s; nothing is made', async ([args, why]) => {
    const count = async () => (await service.query('SELECT count(*)::int FROM api_key'))[0];
    const before = await count();
    const { code, stderr } = await cli(['keys', ...args], environment);
    expect(code).toBe(2);
    expect(stderr).toContain(why);
    expect(await count()).toEqual(before);
  });
});
