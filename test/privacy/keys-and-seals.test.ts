import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../support/process.ts';
import { eventually } from '../support/service.ts';
import { isCreate, newSid, type Reply } from '../support/twilio.ts';
import {
  call,
  callback,
  callbackUrl,
  clinic,
  close,
  command,
  environment,
  everywhere,
  folder,
  madeSecrets,
  makeAndRevokeKeys,
  newer,
  older,
  open,
  outputs,
  post,
  postgres,
  remarks,
  revoked,
  said,
  start,
  stop,
  stranger,
  twilio,
  watcher,
} from './keyed-service.ts';
import { knockWithEveryKey, misplaceTheKey, mixUpCommands } from './misplaced-keys.ts';
import {
  type Answer,
  canaries,
  hits,
  json,
  message,
  number,
  patient,
  secrets,
  senderNumber,
  settled,
  usual,
  uuidIn,
} from './support.ts';

/**
 * The service with keys for its callers, keys for its texts, a port for callbacks and days after which texts and numbers are
 * emptied. Beside texts and numbers, nothing that it or its commands say may hold a key; `keys create` shows its own, once.
 */
beforeAll(open, 60_000);
afterAll(close);

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
  expect(log).toMatch(/duration: [\s\S]*UPDATE message m SET/);
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
