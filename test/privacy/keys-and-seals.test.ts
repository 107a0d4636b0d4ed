import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli, operatorAt } from '../cli/support.ts';
import { type OwnPostgres, startOwnPostgres } from '../support/own-postgres.ts';
import { type Run, run, runService } from '../support/process.ts';
import { eventually } from '../support/service.ts';
import { type FakeTwilio, isCreate, newSid, type Reply, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import {
  type Answer,
  canaries,
  digits,
  hits,
  json,
  makeCaller,
  message,
  number,
  patient,
  secrets,
  senderNumber,
  settled,
  talkative,
  usual,
  uuidIn,
} from './support.ts';

/**
 * The service with keys for its callers, keys for its texts, a port for callbacks and days after which texts and numbers are
 * emptied. Beside texts and numbers, nothing that it or its commands say may hold a key; `keys create` shows its own, once.
 */
const contentKey = (id: string) => {
  const key = Buffer.from(`c0ffee-content-key-canary-${id}`.padEnd(32, '.').slice(0, 32));
  madeSecrets.push(key.toString('base64').slice(0, 40), key.toString('hex'));
  return `${id}:${key.toString('base64')}`;
};
/** What is secret and was made on the way; of API keys the first letters, which a key that is cut off shows, too. */
const madeSecrets: string[] = [];
const [older, newer, stranger] = ['older', 'newer', 'foreign'].map(contentKey) as [string, string, string];
const folder = mkdtempSync(path.join(tmpdir(), 'polaris-sms-keys-'));

let postgres: OwnPostgres;
let twilio: FakeTwilio;
let service: Run & { baseUrl: string };
let callbackUrl: string;
/** Answers and results of commands that must not hold a canary: errors, events, reports, masked messages, metrics. */
const said: string[] = [];
/** What the commands say beside their results. */
const remarks: string[] = [];
/** What every process of the service has printed. */
const outputs: (() => string)[] = [];
const { call, post, callback } = makeCaller(() => service.baseUrl, said);

const environment = (contentKeys: string) => ({
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

async function start(contentKeys: string): Promise<void> {
  service = await runService(environment(contentKeys));
  outputs.push(service.output);
  callbackUrl = (await service.printed(/"callbackBaseUrl":"([^"]+)"/))[1] ?? '';
}

async function stop(): Promise<void> {
  service.child.kill('SIGTERM');
  expect(await service.ended).toBe(0);
}

beforeAll(async () => {
  postgres = await startOwnPostgres(talkative);
  twilio = await startFakeTwilio();
  twilio.answerWith(usual);
  await start(older);
}, 60_000);
afterAll(async () => {
  await stop();
  await twilio.stop();
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A command beside the service; its result is searched as well, unless it is shown to who may see it. */
async function command(args: readonly string[], env: Record<string, string> = {}, isShown = false) {
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
let clinic: Key;
let watcher: Key;
let everywhere: Key;
let revoked: Key;

async function makeAndRevokeKeys(): Promise<void> {
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

/** An operator who mixes up where a key, a number or a text goes. */
async function mixUpCommands(): Promise<void> {
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

async function knockWithEveryKey(): Promise<void> {
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

async function misplaceTheKey(): Promise<void> {
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

async function sendSealed(): Promise<Answer> {
  const sent = await post(message(), clinic.bearer);
  expect(sent).toMatchObject({ status: 200, text: expect.stringMatching(canaries) });
  expect((await post(message(), { ...clinic.bearer, prefer: 'respond-async' })).status).toBe(202);
  return sent;
}

async function settleTheUnconfirmed(): Promise<void> {
  twilio.answerWith((asked) => (isCreate(asked) ? 'hang up' : usual(asked)));
  const lost = uuidIn(await post(message(), clinic.bearer));
  const read = async () => JSON.parse((await call(`/dhos/v1/sms/${lost}`, { headers: clinic.bearer })).text);
  await eventually(async () => (await read()).status === 'unconfirmed', 20_000);
  twilio.answerWith(usual);
  const settle = (body: object) =>
    call(`/dhos/v1/sms/${lost}/settle`, {
      method: 'POST',
      headers: { ...json, ...clinic.bearer },
      body: JSON.stringify(body),
    });
  expect((await settle({ outcome: `${patient} ${number}` })).status).toBe(400);
  expect((await settle({ outcome: 'sent' })).status).toBe(200);
  expect((await settle({ outcome: 'sent' })).status).toBe(409);
  await call(`/dhos/v1/sms/${lost}/events`, { headers: clinic.bearer }, true);
}

async function beRefusedByTwilio(): Promise<string> {
  const words: Reply = { status: 400, body: { code: 29_999, message: `${number}: ${patient} ${clinic.text}` } };
  twilio.answerWith((asked) => (isCreate(asked) ? words : usual(asked)));
  const { status, text } = await post(message(), clinic.bearer);
  twilio.answerWith(usual);
  expect(status).toBe(422);
  return JSON.parse(text).message_id;
}

async function beCalledBack(sent: Answer): Promise<void> {
  const words = { To: number, From: senderNumber, Body: patient, ErrorMessage: `${number} ${patient}` };
  const fields = { ...words, MessageSid: JSON.parse(sent.text).twilio_sid, MessageStatus: 'undelivered' };
  const at = callbackUrl;
  expect((await callback(fields, { at })).status).toBe(204);
  expect((await callback({ ...fields, MessageSid: newSid() }, { at })).status).toBe(204);
  expect((await callback(words, { at })).status).toBe(400);
  for (const token of ['of a stranger', clinic.text, secrets.TWILIO_API_KEY_SECRET]) {
    expect((await callback(fields, { at, token, query: `?m=${number}&key=${clinic.text}` })).status).toBe(403);
  }
  expect((await callback({ ...fields, AccountSid: `AC${number}` }, { at })).status).toBe(403);
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const unsigned = { method: 'POST', headers: form, body: new URLSearchParams(fields).toString() };
  expect((await call('/dhos/v1/sms/callback', unsigned, false, at)).status).toBe(403);
  expect((await call(`/${number}?${clinic.text}`, { headers: clinic.bearer }, false, at)).status).toBe(404);
}

/** The sender is the clinic's own number, and is shown to everybody who may follow a message. */
const withoutSender = (text: string) => text.replaceAll(senderNumber, '');
const types = ['application/json', 'text/csv', 'application/x-ndjson'];

async function readMasked(uuids: readonly string[]): Promise<void> {
  const paths = uuids.map((uuid) => `/dhos/v1/sms/${uuid}`);
  for (const address of [...paths, '/dhos/v1/sms', '/dhos/v1/sms?limit=2']) {
    for (const accept of types) {
      const masked = await call(address, { headers: { ...watcher.bearer, accept } });
      expect(masked).toMatchObject({ status: 200, text: expect.stringContaining('[masked]') });
      said.push(withoutSender(masked.text));
      const whole = await call(address, { headers: { ...clinic.bearer, accept } });
      expect(withoutSender(whole.text)).toMatch(canaries);
    }
  }
  const ofNumber = `/dhos/v1/sms?receiver=${encodeURIComponent(number)}`;
  expect((await call(ofNumber, { headers: watcher.bearer })).status).toBe(403);
  for (const address of paths) await call(`${address}/events`, { headers: watcher.bearer }, true);
  const shown = { POLARIS_SMS_KEY: watcher.text };
  for (const more of [[], ['--reveal'], ['--json'], ['--csv']]) {
    said.push(withoutSender((await command(['list', ...more], shown, true)).stdout));
  }
}

async function exportTheAudit(uuid: string): Promise<void> {
  for (const { bearer } of [clinic, everywhere]) {
    for (const accept of types) {
      const whole = await call('/dhos/v1/audit?limit=10000', { headers: { ...bearer, accept } }, true);
      expect(whole).toMatchObject({ status: 200, text: expect.stringContaining('listed') });
    }
  }
  for (const query of [`message_id=${uuid}`, `message_id=${encodeURIComponent(number)}`, `message_id=${clinic.text}`]) {
    await call(`/dhos/v1/audit?${query}`, { headers: clinic.bearer }, true);
  }
}

async function readReports(): Promise<void> {
  const period = 'from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z';
  const report = await call(`/dhos/v1/redaction_report?${period}`, { headers: watcher.bearer }, true);
  expect(report).toMatchObject({ status: 200, text: expect.stringContaining('emptied_here') });
  const shown = { POLARIS_SMS_KEY: clinic.text };
  const dates = ['--from', '2026-01-01', '--to', '2026-12-31'];
  for (const name of ['redaction-report', 'report']) {
    expect((await command([name, ...dates], shown)).code).toBe(0);
    expect((await command([name, ...dates, '--json'], { POLARIS_SMS_KEY: watcher.text })).code).toBe(0);
  }
  expect((await command(['redaction-report', '--from', patient, '--to', number], shown)).code).toBe(1);
  await command(['doctor'], { ...environment(older), ...shown });
  await call('/metrics', {}, true);
}

async function erase(): Promise<void> {
  const headers = clinic.bearer;
  const uuid = uuidIn(await post(message(), headers));
  for (const status of [200, 404]) {
    expect((await call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers })).status).toBe(status);
  }
  const erased = await call(`/dhos/v1/sms/${uuid}?erase=true`, { method: 'DELETE', headers });
  expect(erased.status).toBe(200);
  said.push(withoutSender(erased.text));
}

/** PostgreSQL refuses the statements that name what is away, and logs each of them. */
async function between(away: string, back: string, work: () => Promise<unknown>): Promise<void> {
  await postgres.query(away);
  try {
    await work();
  } finally {
    await postgres.query(back);
  }
}

async function meetFaultsOfTheDatabase(uuid: string): Promise<void> {
  const { bearer } = clinic;
  const flags = ['--name', 'x', '--scopes', 'sms:send', '--all-tenants'];
  const audit = ['ALTER TABLE audit RENAME TO away', 'ALTER TABLE away RENAME TO audit'] as const;
  await between(...audit, async () => {
    expect((await call(`/dhos/v1/sms/${uuid}`, { headers: bearer })).status).toBe(500);
    expect((await call(`/dhos/v1/sms?receiver=${encodeURIComponent(number)}`, { headers: bearer })).status).toBe(500);
    expect((await call('/dhos/v1/audit', { headers: bearer })).status).toBe(500);
    await post(message(), bearer);
    expect((await command(['keys', 'create', ...flags])).code).not.toBe(0);
    expect((await command(['keys', 'revoke', '--id', clinic.id])).code).not.toBe(0);
  });
  const rename = 'ALTER TABLE message RENAME COLUMN';
  await between(`${rename} content TO away`, `${rename} away TO content`, async () => {
    expect((await command(['rotate-keys'], { CONTENT_KEYS: older })).code).not.toBe(0);
    expect((await call(`/dhos/v1/sms/${uuid}`, { headers: bearer })).status).toBe(500);
    await post(message(), bearer);
  });
}

async function rotate(uuid: string): Promise<void> {
  await stop();
  await start(`${newer},${older}`);
  const file = path.join(folder, 'content keys');
  writeFileSync(file, `# ${patient}\n${newer}\n${older}\n`);
  const rotated = await command(['rotate-keys', '--json'], { CONTENT_KEYS_FILE: file });
  expect(rotated).toMatchObject({ code: 0, stdout: expect.stringMatching(/"done":[1-9]/) });
  expect((await command(['rotate-keys'], { CONTENT_KEYS: newer })).code).toBe(0);
  expect((await call(`/dhos/v1/sms/${uuid}`, { headers: clinic.bearer })).text).toMatch(canaries);
}

async function haveTheWrongContentKey(uuid: string): Promise<void> {
  await stop();
  await start(stranger.replace('foreign', 'newer'));
  const { bearer } = clinic;
  expect((await call(`/dhos/v1/sms/${uuid}`, { headers: bearer })).status).toBe(503);
  for (const accept of types) {
    const list = await call('/dhos/v1/sms', { headers: { ...bearer, accept } }).catch(() => ({ status: 503 }));
    expect(list.status).toBe(503);
  }
  const lost = await command(['rotate-keys'], { CONTENT_KEYS: stranger });
  expect(lost).toMatchObject({ code: 1, stdout: expect.stringMatching(/cannot be\s+opened/) });
  expect((await command(['rotate-keys'], {})).code).toBe(2);
}

async function startWithBadContentKeys(): Promise<void> {
  for (const keys of [`${older}x`, older.replace(':', '='), `${older},${older}`, `${older} ${newer}`]) {
    const refused = run('src/index.ts', [], environment(keys));
    outputs.push(refused.output);
    expect([keys, await refused.ended]).toEqual([keys, 1]);
    expect((await command(['rotate-keys'], { CONTENT_KEYS: keys })).code).toBe(2);
  }
  expect((await command(['rotate-keys'], { CONTENT_KEYS_FILE: `/${older}` })).code).toBe(2);
}

/** Another replica, whose retention runs at once instead of every ten minutes. */
async function retain(): Promise<void> {
  await postgres.query("UPDATE message SET created = created - interval '3 days'");
  await postgres.query("UPDATE callback SET received = received - interval '3 days'");
  const replica = run('test/bench/retaining-service.ts', [], {
    ENVIRONMENT: 'DEVELOPMENT',
    PORT: '0',
    ...environment(newer),
  });
  outputs.push(replica.output);
  await replica.printed(/^listens on /m);
  replica.child.kill('SIGUSR1');
  const [, emptied = ''] = await replica.printed(/^retention (\{.*\})$/m);
  replica.child.kill('SIGTERM');
  await replica.ended;
  expect(JSON.parse(emptied).text).toBeGreaterThan(3);
  expect(JSON.parse(emptied).number).toBeGreaterThan(3);
  for (const { uuid } of await postgres.query<{ uuid: string }>('SELECT uuid FROM message')) {
    const { text } = await call(`/dhos/v1/sms/${uuid}`, { headers: clinic.bearer });
    said.push(withoutSender(text));
    await call(`/dhos/v1/sms/${uuid}/events`, { headers: clinic.bearer }, true);
  }
}

test('nothing that is said holds a text, a number, an API key or a content key', async () => {
  await makeAndRevokeKeys();
  await mixUpCommands();
  await knockWithEveryKey();
  await misplaceTheKey();
  const sent = await sendSealed();
  const refused = await beRefusedByTwilio();
  await settleTheUnconfirmed();
  await beCalledBack(sent);
  await readMasked([uuidIn(sent), refused]);
  await exportTheAudit(uuidIn(sent));
  await readReports();
  await erase();
  await meetFaultsOfTheDatabase(uuidIn(sent));
  await rotate(uuidIn(sent));
  await haveTheWrongContentKey(uuidIn(sent));
  await startWithBadContentKeys();
  await settled(postgres);
  await retain();
  await call('/metrics', {}, true);

  const [output, log] = [outputs.map((of) => of()).join('\n'), await postgres.log()];
  expectAllOfItWasThere(output, log);
  expect(hits([output], madeSecrets)).toEqual([]);
  expect(hits([log], madeSecrets)).toEqual([]);
  expect(hits(said, madeSecrets)).toEqual([]);
  expect(hits(remarks, madeSecrets)).toEqual([]);
}, 180_000);

/** Else the search would find nothing because there was nothing. */
function expectAllOfItWasThere(output: string, log: string): void {
  const planted = [patient, number, older, newer, stranger, clinic.text.slice(0, 55), `x ${revoked.text}`];
  expect(hits(planted, madeSecrets)).toEqual(planted);
  expect(JSON.stringify(twilio.asked)).toMatch(canaries);
  for (const line of [
    /"message":"request"/,
    /"job":"retention"|texts and numbers whose days are over/,
    /a callback with a wrong signature was refused/,
    /a request failed/,
    /a text cannot be opened/,
    /CONTENT_KEYS must/,
  ]) {
    expect(output).toMatch(line);
  }
  expect(log).toMatch(/relation "audit" does not exist/);
  expect(log).toMatch(/STATEMENT: {2}[\s\S]*INSERT INTO api_key/);
  expect(log).toMatch(/STATEMENT: {2}[\s\S]*content_key_id/);
  for (const metric of [
    /^sms_callers_refused_total\{reason="unknown"\} /m,
    /^sms_emptied_total|sms_signature_failures/m,
  ]) {
    expect(said.join('\n')).toMatch(metric);
  }
  expect(remarks.join('')).toMatch(/This is the only time that the key is shown/);
  expect(said.length).toBeGreaterThan(100);
}
