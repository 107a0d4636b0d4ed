import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli, operatorAt } from '../cli/support.ts';
import { rawRequest, sendRaw } from '../support/http.ts';
import { type OwnPostgres, startOwnPostgres } from '../support/own-postgres.ts';
import { type Run, runService } from '../support/process.ts';
import { type Proxy as DatabaseProxy, startProxy } from '../support/proxy.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, tenant } from '../support/service.ts';
import { type FakeTwilio, newSid, type Reply, resource, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import {
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
 * The service as a process, on a PostgreSQL that logs as one does by default, led through everything that it can do and that can
 * be done to it, with words that occur nowhere else. What it says anywhere must not hold one of them.
 */
const idempotencyKey = 'c0ffee-idempotency-canary';

let postgres: OwnPostgres;
let database: DatabaseProxy;
let twilio: FakeTwilio;
let service: Run & { baseUrl: string };
/** Answers that must not hold a canary: errors, events, reports, metrics. */
const said: string[] = [];
/** What the commands say beside their results. */
const remarks: string[] = [];

beforeAll(async () => {
  postgres = await startOwnPostgres(talkative);
  database = await startProxy(postgres.url);
  twilio = await startFakeTwilio();
  twilio.answerWith(usual);
  const old = {
    uuid: 'a-row-of-others',
    created: '2026-01-01',
    content: patient,
    receiver: number,
    sender: senderNumber,
  };
  await insertOriginalRow(postgres, old);
  service = await runService({
    ...twilioAt(twilio.url),
    ...secrets,
    TWILIO_API_KEY_SID: 'SKtest',
    DATABASE_URL: database.url,
    LOG_LEVEL: 'DEBUG',
    SETTLE_MS: '0',
    TWILIO_TIMEOUT_MS: '500',
  });
}, 60_000);
afterAll(async () => {
  service.child.kill('SIGTERM');
  await service.ended;
  await twilio.stop();
  await database.close();
  await postgres.stop();
});

const { call, post, callback } = makeCaller(() => service.baseUrl, said);

async function whenTwilio(reply: Reply, work: () => Promise<unknown>): Promise<void> {
  twilio.answerWith(() => reply);
  await work();
  twilio.answerWith(usual);
}

async function sendInEveryWay(): Promise<void> {
  expect((await post(message())).status).toBe(200);
  expect((await post(message(), { prefer: 'respond-async' })).status).toBe(202);
  const once = message();
  expect((await post(once, { 'idempotency-key': idempotencyKey })).status).toBe(200);
  expect((await post(once, { 'idempotency-key': idempotencyKey })).status).toBe(200);
  expect((await post(message(), { 'idempotency-key': idempotencyKey })).status).toBe(422);
  // At once: uniqueness refuses some of them, and PostgreSQL logs that with the statement and the values of the key.
  const twin = message();
  await Promise.all(Array.from({ length: 6 }, () => post(twin)));
  const keyed = message();
  const key = { 'idempotency-key': `${idempotencyKey}-2` };
  await Promise.all(Array.from({ length: 6 }, () => post(keyed, key)));
}

async function meetTwilioInEveryMood(): Promise<void> {
  const words = `${number}: ${patient} ${secrets.TWILIO_AUTH_TOKEN}`;
  const moods: Reply[] = [
    { status: 400, body: { code: 21211, message: words } },
    { status: 400, body: { code: 29999, message: words } },
    { status: 401, body: { code: 20003, message: words } },
    { status: 429, body: { code: 20429, message: words }, headers: { 'retry-after': '0' } },
    { status: 500, body: words },
    { status: 201, body: `<p>${words}</p>` },
    { status: 201, body: resource({ status: words, error_message: words, body: patient }) },
    { truncated: `{"sid":"SM1","body":"${words}` },
    'hang up',
    'silence',
  ];
  for (const mood of moods) await whenTwilio(mood, () => post(message()));
  await settled(postgres);
}

async function beCalledBack(): Promise<void> {
  const uuid = uuidIn(await post(message()));
  const patientData = { To: number, From: senderNumber, Body: patient, ErrorMessage: `${number} ${patient}` };
  const sid = JSON.parse((await call(`/dhos/v1/sms/${uuid}`)).text).twilio_sid;
  expect((await callback({ ...patientData, MessageSid: sid, MessageStatus: 'undelivered' })).status).toBe(204);
  expect((await callback({ ...patientData, MessageSid: newSid(), MessageStatus: patient })).status).toBe(204);
  expect((await callback({ ...patientData, MessageSid: newSid(), MessageStatus: 'sent' })).status).toBe(204);
  expect((await callback({ ...patientData, MessageSid: number, MessageStatus: number })).status).toBe(204);
  expect((await callback(patientData)).status).toBe(400);
  expect((await callback({ ...patientData, MessageSid: sid }, { token: 'wrong' })).status).toBe(403);
  expect((await callback({ ...patientData, AccountSid: number }, { query: `?m=${number}` })).status).toBe(403);
}

async function readEverything(): Promise<void> {
  const receiver = encodeURIComponent(number);
  for (const accept of ['application/json', 'text/csv', 'application/x-ndjson']) {
    const list = await call(`/dhos/v1/sms?receiver=${receiver}`, { headers: { ...tenant, accept } });
    expect(list.text).toMatch(canaries);
  }
  await call(`/dhos/v1/sms?receiver_e164=${receiver}&limit=5`, { headers: tenant });
  const uuid = uuidIn(await post(message()));
  for (const path of ['/metrics', '/healthcheck', '/version', '/openapi.json', `/dhos/v1/sms/${uuid}/events`]) {
    if (path !== '/openapi.json') expect((await call(path, {}, true)).status).toBe(200);
  }
  await call(`/dhos/v1/sms/bulk_update`, { method: 'POST' }, true);
  await call('/dhos/v1/error_counts?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z', {}, true);
  await call(`/dhos/v1/sms/${uuid}/send_again`, {
    method: 'POST',
    headers: { 'idempotency-key': `${idempotencyKey}-3` },
  });
  expect((await call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: tenant })).status).toBe(200);
  const other = uuidIn(await post(message()));
  expect((await call(`/dhos/v1/sms/${other}?erase=true`, { method: 'DELETE', headers: tenant })).status).toBe(200);
  for (const { uuid: any } of await postgres.query<{ uuid: string }>('SELECT uuid FROM message')) {
    await call(`/dhos/v1/sms/${any}/events`, {}, true);
    await call(`/dhos/v1/sms/${any}/explanation`, {}, true);
    await call(`/dhos/v1/sms/${any}/poll`, { method: 'POST' });
  }
}

async function askBadly(): Promise<void> {
  const bad = encodeURIComponent(`${number} ${patient}`);
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const body = JSON.stringify(message());
  const bodies = [
    body.slice(1),
    [patient],
    { ...message(), sender: [patient] },
    { ...message(), [patient]: number },
    { ...message(), receiver: `${number}${digits}` },
    { ...message(), content: patient.repeat(100) },
    { ...message(), valid_until: patient },
    { ...message(), status: patient.repeat(2_000) },
    { ...message(), content: `${patient} \ud800` },
    { ...message(), content: `${patient} \0` },
  ];
  for (const wrong of bodies) expect((await post(wrong)).status).toBeGreaterThanOrEqual(400);
  expect((await post(message(), { 'idempotency-key': `${idempotencyKey} ü` })).status).toBe(400);
  for (const prefer of [patient, `respond-async, wait=${digits}`]) await post(message(), { prefer });
  for (const path of [
    `/${bad}`,
    `/dhos/v1/sms/${bad}`,
    `/dhos/v1/sms/${bad}/events`,
    `/dhos/v1/sms/${digits}%E0%A4%A`,
    `/dhos/v1/sms?limit=${digits}${digits}`,
    `/dhos/v1/sms?cursor=${bad}`,
    `/dhos/v1/sms?status=${bad}&created_after=${bad}`,
    `/dhos/v1/sms?receiver_e164=${bad}`,
    `/dhos/v1/sms_status_counts?start_date=${bad}&end_date=${bad}`,
    `/dhos/v1/sms?${bad}=${bad}`,
  ]) {
    await call(path, { headers: tenant }, path.includes('status_counts'));
  }
  await call('/dhos/v1/sms', { method: 'PUT', headers: json, body });
  await call('/dhos/v1/sms', { method: 'POST', headers: { ...form, ...tenant }, body });
  await call('/dhos/v1/sms', { headers: { 'x-trustomer': patient } });
  const broken = Buffer.concat([Buffer.from(body.slice(0, -2)), Buffer.from([0xff])]);
  said.push((await sendRaw(service.baseUrl, rawRequest('POST', '/dhos/v1/sms', { ...json, ...tenant }, broken))).body);
  said.push((await sendRaw(service.baseUrl, `${number} ${patient}\r\n\r\n`)).body);
}

async function loseTheDatabase(): Promise<void> {
  database.cut();
  // Some of these are left without an answer: nobody could say whether the message was recorded.
  const asked = [post(message()), post(message(), { prefer: 'respond-async' }), call('/dhos/v1/sms/some-id')];
  await Promise.allSettled(asked);
  await Promise.allSettled([callback({ MessageSid: newSid(), MessageStatus: 'sent', To: number, Body: patient })]);
  expect((await call('/dhos/v1/sms/some-id')).status).toBe(503);
  database.open();
  await eventually(async () => (await fetch(`${service.baseUrl}/healthcheck`)).status === 200);
}

async function useTheCommands(): Promise<void> {
  const env = operatorAt(service.baseUrl);
  const runs = [
    await cli(['send', '--from', senderNumber, '--to', number, '--text-file', '-'], env, `${patient} by command`),
    await cli(['send', '--from', senderNumber, '--to', `${number}${digits}`, '--text-file', '-'], env, patient),
    await cli(['list', '--to', number], env),
    await cli(['show', 'a-row-of-others'], env),
    await cli(['report', '--from', patient], env),
    await cli(['report'], env),
    await cli(
      ['send', '--from', senderNumber, '--to', number],
      { ...env, POLARIS_SMS_URL: 'http://127.0.0.1:1' },
      patient,
    ),
  ];
  for (const { stderr } of runs) remarks.push(stderr);
}

test('nothing that the service and its commands say holds a text, a number, a key or a token', async () => {
  await sendInEveryWay();
  await meetTwilioInEveryMood();
  await beCalledBack();
  await readEverything();
  await askBadly();
  await loseTheDatabase();
  await useTheCommands();
  await call('/metrics', {}, true);
  await settled(postgres);

  // It was all there: in the table, at Twilio, and PostgreSQL had errors to log with whole statements.
  const [held] = await postgres.query<{ n: number }>('SELECT count(*)::int AS n FROM message WHERE content ~ $1', [
    'smear',
  ]);
  expect(held?.n).toBeGreaterThan(10);
  expect(JSON.stringify(twilio.asked)).toMatch(canaries);
  const log = await postgres.log();
  expect(log).toMatch(/duplicate key value violates unique constraint/);
  expect(log).toMatch(/STATEMENT: {2}/);
  expect(service.output()).toMatch(/"requestID"/);
  expect(said.length).toBeGreaterThan(50);

  expect(hits([service.output()])).toEqual([]);
  expect(hits([log])).toEqual([]);
  expect(hits(said)).toEqual([]);
  expect(hits(remarks)).toEqual([]);
  expect(service.output()).not.toContain(decodeURIComponent(new URL(postgres.url).password));
}, 120_000);
