import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../support/service.ts';
import { call, clinic, command, folder, older, post, revoked, service, watcher } from './keyed-service.ts';
import { digits, message, number, patient, secrets } from './support.ts';

/** An operator who mixes up where a key, a number or a text goes. */
export async function mixUpCommands(): Promise<void> {
  const file = path.join(folder, 'two lines');
  writeFileSync(file, `${clinic.text}\n${older}\n`);
  const wrong = [
    ['keys', clinic.text],
    ['keys', 'create', clinic.text],
    ['keys', 'create', '--name', `${clinic.text}\n`, '--scopes', 'sms:send', '--all-tenants'],
    ['keys', 'create', '--name', 'x', '--scopes', clinic.text, '--all-tenants'],
    ['keys', 'create', '--name', 'x', '--scopes', 'sms:send', '--trustomer', `${clinic.text},`, '--product', patient],
    ['keys', 'create', '--name', 'x', '--scopes', 'sms:send', '--all-tenants', '--days', digits],
    ['list', clinic.text],
    ['list', `--key=${clinic.text}`],
    ['list', '--key-file', file],
    ['list', '--key-file', `/${clinic.text}`],
    ['rotate-keys', older],
    ['rotate-keys', `--open=${older}`],
    [clinic.text],
  ];
  for (const { code } of await Promise.all(wrong.map((args) => command(args)))) expect(code).toBe(2);
  expect((await command(['list'], { POLARIS_SMS_KEY: `${clinic.text} ü` })).code).toBe(2);
  expect((await command(['show', clinic.text], { POLARIS_SMS_KEY: clinic.text })).code).toBe(1);
  expect((await command(['list'], { POLARIS_SMS_KEY: revoked.text })).code).toBe(1);
}

export async function knockWithEveryKey(): Promise<void> {
  const { text } = clinic;
  const knocks = [
    undefined,
    `Bearer ${text.slice(0, -1)}${text.endsWith('A') ? 'B' : 'A'}`,
    `Bearer ${revoked.text}`,
    `Bearer ${text.slice(0, -1)}`,
    `Bearer ${text} ${text}`,
    `Basic ${text}`,
    text,
    `Bearer ${secrets.TWILIO_AUTH_TOKEN}`,
    `Bearer ${number}`,
  ];
  for (const authorization of knocks) {
    const headers = authorization === undefined ? {} : { authorization };
    await eventually(async () => (await call('/dhos/v1/sms', { headers })).status === 401);
    expect((await post(message(), headers)).status).toBe(401);
  }
  expect((await post(message(), watcher.bearer)).status).toBe(403);
  expect((await post(message(), { ...clinic.bearer, 'x-product': 'other' })).status).toBe(403);
}

export async function misplaceTheKey(): Promise<void> {
  const { text, bearer } = clinic;
  for (const query of [`key=${text}`, `${text}=1`, `limit=${text}`, `cursor=${text}`, `receiver_e164=${text}`]) {
    expect((await call(`/dhos/v1/sms?${query}`, { headers: bearer })).status).toBe(400);
  }
  expect((await post({ ...message(), key: text }, bearer)).status).toBe(400);
  expect((await post({ ...message(), [text]: 1 }, bearer)).status).toBe(400);
  expect((await call(`/dhos/v1/sms/${text}`, { headers: bearer })).status).toBe(404);
  expect((await call(`/${text}`, { headers: bearer })).status).toBe(404);
  // It is echoed to who sent it, and may be found nowhere else.
  const answer = await fetch(`${service.baseUrl}/running`, { headers: { 'x-request-id': text } });
  expect(answer.headers.get('x-request-id')).toBe(text);
}
