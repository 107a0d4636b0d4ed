import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import { cli, operatorAt } from '../cli/support.ts';
import { type OwnPostgres, startOwnPostgres } from '../support/own-postgres.ts';
import { type Run, runService } from '../support/process.ts';
import { type FakeTwilio, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import { makeCaller, number, patient, secrets, talkative, usual } from './support.ts';

/** What is secret and was made on the way; of API keys the first letters, which a key that is cut off shows, too. */
export const madeSecrets: string[] = [];
const contentKey = (id: string) => {
  const key = Buffer.from(`c0ffee-content-key-canary-${id}`.padEnd(32, '.').slice(0, 32));
  madeSecrets.push(key.toString('base64').slice(0, 40), key.toString('hex'));
  return `${id}:${key.toString('base64')}`;
};
export const [older, newer, stranger] = ['older', 'newer', 'foreign'].map(contentKey) as [string, string, string];
export const folder = mkdtempSync(path.join(tmpdir(), 'polaris-sms-keys-'));

export let postgres: OwnPostgres;
export let twilio: FakeTwilio;
export let service: Run & { baseUrl: string };
export let callbackUrl: string;
/** Answers and results of commands that must not hold a canary: errors, events, reports, masked messages, metrics. */
export const said: string[] = [];
/** What the commands say beside their results. */
export const remarks: string[] = [];
/** What every process of the service has printed. */
export const outputs: (() => string)[] = [];
export const { call, post, callback } = makeCaller(() => service.baseUrl, said);

export const environment = (contentKeys: string) => ({
  ...twilioAt(twilio.url),
  ...secrets,
  TWILIO_API_KEY_SID: 'SKtest',
  DATABASE_URL: postgres.url,
  LOG_LEVEL: 'DEBUG',
  SETTLE_MS: '0',
  TWILIO_TIMEOUT_MS: '500',
  AMBIGUOUS_SEND: 'never-resend',
  AUTH_MODE: 'apikey',
  CALLBACK_PORT: '0',
  CONTENT_KEYS: contentKeys,
  CONTENT_RETENTION_DAYS: '1',
  NUMBER_RETENTION_DAYS: '1',
});

export async function start(contentKeys: string): Promise<void> {
  service = await runService(environment(contentKeys));
  outputs.push(service.output);
  callbackUrl = (await service.printed(/"callbackBaseUrl":"([^"]+)"/))[1] ?? '';
}

export async function stop(): Promise<void> {
  service.child.kill('SIGTERM');
  expect(await service.ended).toBe(0);
}

export async function open(): Promise<void> {
  postgres = await startOwnPostgres(talkative);
  twilio = await startFakeTwilio();
  twilio.answerWith(usual);
  await start(older);
}

export async function close(): Promise<void> {
  await stop();
  await twilio.stop();
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** A command beside the service; its result is searched as well, unless it is shown to who may see it. */
export async function command(args: readonly string[], env: Record<string, string> = {}, isShown = false) {
  const ended = await cli(args, { DATABASE_URL: postgres.url, ...operatorAt(service.baseUrl), ...env }, patient);
  remarks.push(ended.stderr);
  if (!isShown) said.push(ended.stdout);
  return ended;
}

type Key = { readonly id: string; readonly text: string; readonly bearer: { readonly authorization: string } };

async function makeKey(...flags: string[]): Promise<Key> {
  const { code, stdout } = await command(['keys', 'create', '--name', 'clinic', ...flags], {}, true);
  expect([code, stdout]).toEqual([0, expect.stringMatching(/polaris_[0-9a-f]{12}_[\w-]{43}\b/)]);
  const [text = '', id = '', secret = ''] = /polaris_([0-9a-f]{12})_([\w-]{43})/.exec(stdout) ?? [];
  madeSecrets.push(secret.slice(0, 30));
  return { id, text, bearer: { authorization: `Bearer ${text}` } };
}

const clear = 'sms:send,sms:read,sms:read:content,sms:delete,sms:report,sms:admin';
const ofClinic = ['--trustomer', 'OUH', '--product', 'GDM'];
export let clinic: Key;
export let watcher: Key;
export let everywhere: Key;
export let revoked: Key;

export async function makeAndRevokeKeys(): Promise<void> {
  clinic = await makeKey('--scopes', clear, ...ofClinic);
  watcher = await makeKey('--scopes', 'sms:read,sms:report', '--days', '30', ...ofClinic, '--json');
  everywhere = await makeKey('--scopes', clear, '--all-tenants');
  revoked = await makeKey('--scopes', clear, '--all-tenants');
  expect((await command(['keys', 'revoke', '--id', revoked.id])).code).toBe(0);
  for (const id of [revoked.id, revoked.text, 'c0ffee-canary', number]) {
    expect((await command(['keys', 'revoke', '--id', id])).code).toBe(1);
  }
  for (const more of [[], ['--json']]) expect((await command(['keys', 'list', ...more])).stdout).toContain(clinic.id);
}
