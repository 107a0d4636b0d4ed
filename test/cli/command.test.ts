import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { closedAddress, httpAnswer, startTcpServer } from '../support/tcp.ts';
import { cli, operatorAt, widest } from './support.ts';

const names = ['send', 'show', 'events', 'list', 'report', 'bulk-update', 'redaction-report', 'doctor'];
const send = ['send', '--to', '+447700900123', '--from', '+447700900001', '--text', 'canary'];
const calls = [
  [...send, '--timeout', '1'],
  ['show', 'an-id'],
  ['events', 'an-id'],
  ['list', '--receiver', '+447700900123'],
  ['list', '--csv'],
  ['report', '--month', '2026-11'],
  ['bulk-update'],
  ['redaction-report', '--month', '2026-11'],
];

describe('help', () => {
  test('names every command and fits a terminal', async () => {
    const { code, stdout } = await cli(['--help']);
    expect(code).toBe(0);
    for (const name of names) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    expect(widest(stdout)).toBeLessThanOrEqual(80);
    expect(await cli([])).toEqual({ code: 0, stdout, stderr: '' });
  });

  test.for(names)('of %s shows flags, an example and the exit codes, and fits a terminal', async (name) => {
    const { code, stdout } = await cli([name, '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: polaris-sms ${name} `));
    for (const part of ['--url', '--json', '--timeout', 'Examples:', '  2  wrong use']) expect(stdout).toContain(part);
    expect(widest(stdout)).toBeLessThanOrEqual(80);
  });
});

describe('wrong use is exit code 2, one sentence, and repeats nothing that was given', () => {
  test.for([
    ['no-such-command'],
    ['constructor'],
    ['list', '--recever', '+447700900123'],
    ['list', '--recever=+447700900123'],
    ['list', '+447700900123'],
    ['list', '--limit', '447700900123'],
    ['list', '--limit', '5', '--all'],
    ['list', '--json', '--csv'],
    ['list', '--receiver'],
    ['list', '--receiver', ''],
    ['list', '--json=yes'],
    ['show'],
    ['show', 'one', 'two'],
    ['send', '--to', '+447700900123', '--from', 'Clinic'],
    [...send, '--text-file', 'x'],
    ['send', '--to', '+447700900123', '--from', 'Clinic', '--text-file', '/no/447700900123'],
    ['report'],
    ['report', '--month', '2026-13'],
    ['report', '--month', '2026-11', '--from', '2026-11-01'],
    ['report', '--from', '2026-11-01'],
    ['bulk-update', '--timeout', '0'],
    ['list', '--url', 'ftp://447700900123'],
    ['list', '--url', 'http://me:447700900123@sms.example'],
  ])('%j', async (args) => {
    const { code, stdout, stderr } = await cli(args, operatorAt('http://127.0.0.1:1'));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/\S\. See polaris-sms [-\sa-z]*--help\.\n$/);
    expect(stderr).not.toMatch(/447700900123|canary/);
  });

  test.for([['list'], ['redaction-report', '--month', '2026-11'], send])(
    '%j without a tenant says how to name it',
    async (args) => {
      const { code, stderr } = await cli(args, { POLARIS_SMS_TRUSTOMER: 'OUH' });
      expect(code).toBe(2);
      expect(stderr).toMatch(/^On whose behalf\? Give --trustomer and --product/);
    },
  );

  test.for([
    { POLARIS_SMS_URL: 'sms.example' },
    { POLARIS_SMS_URL: 'http://user:secret@sms.example' },
    { PORT: 'secret' },
  ])('a bad variable is named: %j', async (env) => {
    const { code, stderr } = await cli(['show', 'an-id'], { ...env });
    expect(code).toBe(2);
    expect(stderr).toMatch(new RegExp(`^${Object.keys(env)[0]} must`));
    expect(stderr).not.toContain('secret');
  });
});

describe('a service that cannot be used is exit code 3', () => {
  test.for(calls)('%j where nothing listens', async (args) => {
    const url = await closedAddress();
    const { code, stdout, stderr } = await cli(args, operatorAt(url));
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toContain(`Nothing listens on ${url}: is the service running? Set --url or POLARIS_SMS_URL.`);
    expect(stderr).not.toMatch(/7700900|canary|%2B/);
  });

  test('without an address it is looked for on PORT of this machine', async () => {
    const url = await closedAddress();
    const { stderr } = await cli(['show', 'an-id'], { PORT: new URL(url).port });
    expect(stderr).toContain(`Nothing listens on ${url}:`);
  });

  test.for([
    [httpAnswer(404, '<p>447700900123</p>', { 'content-type': 'text/html' }), 'answered HTTP status 404'],
    [httpAnswer(302, '', { location: 'http://elsewhere' }), 'answered HTTP status 302'],
    [httpAnswer(200, '{"some":"447700900123"}'), 'not one that Polaris SMS would give'],
    ['SSH-2.0-OpenSSH_9.9\r\n', 'does not speak HTTP'],
  ] as const)('something else that answers %j', async ([answer, said]) => {
    const other = await startTcpServer((socket) => socket.end(answer));
    try {
      const { code, stdout, stderr } = await cli(['show', 'an-id'], operatorAt(other.url));
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
      expect(stderr).toContain(said);
      expect(stderr).not.toContain('447700900123');
    } finally {
      await other.close();
    }
  });

  test('one that never answers is given up after --timeout', async () => {
    const mute = await startTcpServer(() => {});
    try {
      const { code, stderr } = await cli(['show', 'an-id', '--timeout', '1'], operatorAt(mute.url));
      expect(code).toBe(3);
      expect(stderr).toContain('did not answer within 1 s.');
    } finally {
      await mute.close();
    }
  });

  test('an answer that breaks off half-way is not taken for a whole one', async () => {
    const torn = await startTcpServer((socket) => {
      socket.end('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n[{"uuid":');
    });
    try {
      const { code, stderr } = await cli(['list', '--all', '--json'], operatorAt(torn.url));
      expect(code).toBe(3);
      expect(stderr).toContain('broke off before the answer was complete');
    } finally {
      await torn.close();
    }
  });
});

describe('the launcher', () => {
  test('works from any folder and through symbolic links, passes arguments and the exit code on', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'polaris-sms-cli-'));
    try {
      const bin = path.resolve(import.meta.dirname, '../../bin/polaris-sms');
      await symlink(bin, path.join(folder, 'first'));
      await symlink('first', path.join(folder, 'second'));
      const call = (...args: string[]) => promisify(execFile)(path.join(folder, 'second'), args, { cwd: folder });
      expect((await call('show', '--help')).stdout).toMatch(/^Usage: polaris-sms show/);
      await expect(call('list', 'two words')).rejects.toMatchObject({ code: 2, stdout: '' });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
