import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { create, simulate } from './support.ts';

const command = new URL('../../src/simulator/index.ts', import.meta.url).pathname;

describe('npm run simulator', () => {
  test('says where it listens and who may call, shows each event, and ends with 0 on SIGTERM', async () => {
    const run = start('--port', '0', '--token', 'my-token', '--seed', '5', '--speed', '100');
    await run.prints(/…0990 …0190 +undelivered/);
    const [, baseUrl = '', accountSid = ''] = /listens on (\S+)\s+account SID +(\S+)/.exec(run.output()) ?? [];
    const simulator = { ...(await simulate()), baseUrl, accountSid, authToken: 'my-token' };
    expect(run.output()).toMatch(/auth token +my-token\n +seed +5\n/);
    expect(await create(simulator, { Body: 'canary' })).toMatchObject({ status: 201 });
    await run.prints(/to …0123 {2}delivered/);
    expect(run.output()).not.toMatch(/canary|7700900123/);
    run.child.kill('SIGTERM');
    expect(await run.ended).toEqual([0, null]);
  });

  test.for([
    ['--port', 'x'],
    ['--port', '70000'],
    ['--speed', '-1'],
    ['--seed', '1.5'],
    ['--prot', '1'],
    ['--port'],
    ['surplus'],
  ])('%j %j is one sentence and exit code 1', async (args) => {
    const run = start(...args);
    expect(await run.ended).toEqual([1, null]);
    expect(run.output()).toMatch(/^\S.*See --help\.\n$/);
  });

  test('--help shows every flag', async () => {
    const run = start('--help');
    expect(await run.ended).toEqual([0, null]);
    for (const flag of ['--port', '--account', '--token2', '--seed', '--scenario', '--speed', '--journal', '--quiet']) {
      expect(run.output()).toContain(flag);
    }
  });

  test('a port in use is one sentence and exit code 1', async () => {
    const { port } = new URL((await simulate()).baseUrl);
    const run = start('--port', port);
    expect(await run.ended).toEqual([1, null]);
    expect(run.output()).toMatch(
      /^The Twilio simulator cannot listen on \S+: the port is in use, choose another one\.\n$/,
    );
  });
});

function start(...args: string[]) {
  const child = spawn(process.execPath, [command, ...args]);
  let output = '';
  const add = (part: Buffer) => {
    output += part.toString();
  };
  child.stdout.on('data', add);
  child.stderr.on('data', add);
  const prints = (what: RegExp) => expect.poll(() => output, { timeout: 10_000 }).toMatch(what);
  return { child, output: () => output, prints, ended: once(child, 'close') };
}
