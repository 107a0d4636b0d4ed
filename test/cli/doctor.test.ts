import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { insertOriginalRow } from '../support/rows.ts';
import { quiet, startTestService } from '../support/service.ts';
import { closedAddress, startTcpServer } from '../support/tcp.ts';
import { allWell, findingOf, type Patient, resultsOf, startPatient } from './doctor-support.ts';
import { cli, operatorAt, widest } from './support.ts';

let patient: Patient;
const cleanUps: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  patient = await startPatient();
});
afterAll(() => patient.stop());
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

describe('doctor', () => {
  test('finds everything well, in words and as JSON', async () => {
    const { code, found } = await patient.examine();
    expect({ code, results: resultsOf(found) }).toEqual({ code: 0, results: allWell });
    const said = await cli(['doctor'], patient.env);
    expect(said).toMatchObject({ code: 0, stderr: '' });
    expect(said.stdout.match(/^ok /gm)).toHaveLength(8);
    expect(widest(said.stdout)).toBeLessThanOrEqual(80);
  });

  test('changes nothing and prints no secret, number or text', async () => {
    await insertOriginalRow(patient.service, { content: 'canary', receiver: '+447700900123' });
    const rows = () =>
      patient.service.query(
        'SELECT (SELECT count(*) FROM callback) AS callbacks, (SELECT md5(string_agg(m::text, $1)) FROM message m) AS messages, (SELECT count(*) FROM event) AS events',
        [''],
      );
    const before = await rows();
    const { stdout, stderr } = await patient.examine();
    const inWords = await cli(['doctor'], { ...patient.env, TWILIO_AUTH_TOKEN: 'canary-other' });
    expect(await rows()).toEqual(before);
    expect(stdout + stderr + inWords.stdout + inWords.stderr).not.toMatch(/canary|7700900|postgres:/);
    expect(stdout).not.toContain(patient.simulator.accountSid);
  });

  test('a wrong token: the signature, the callback URL and Twilio FAILED, each with what to do', async () => {
    const { code, found } = await patient.examine({ TWILIO_AUTH_TOKEN: 'not the token' });
    expect(code).toBe(1);
    expect(resultsOf(found)).toEqual({ ...allWell, 'callback URL': 'FAILED', signature: 'FAILED', Twilio: 'FAILED' });
    expect(findingOf(found, 'Twilio')?.detail).toMatch(
      /^Twilio refuses the credentials \(HTTP status 401, code 20003\)/,
    );
    expect(findingOf(found, 'signature')).toMatchObject({
      detail: 'the running service refuses what TWILIO_AUTH_TOKEN signs',
      advice: expect.stringContaining('start it again'),
    });
    expect(await cli(['doctor'], { ...patient.env, TWILIO_AUTH_TOKEN: 'not the token' })).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^FAILED +signature +.*\n.*\n? +→ /m),
    });
  });

  test('a second token that the service does not know: the signature FAILED and names it', async () => {
    const { found } = await patient.examine({ TWILIO_AUTH_TOKEN_SECONDARY: 'canary-unknown' });
    expect(findingOf(found, 'signature')).toMatchObject({
      result: 'FAILED',
      detail: 'the running service refuses what TWILIO_AUTH_TOKEN_SECONDARY signs',
    });
  });

  test('a callback URL that the service was not started with: the signature FAILED', async () => {
    const { found } = await patient.examine({
      TWILIO_CALL_BACK_URL: `${patient.service.baseUrl}/other/dhos/v1/sms/callback`,
    });
    expect(resultsOf(found)).toMatchObject({ 'callback URL': 'FAILED', signature: 'FAILED', Twilio: 'ok' });
  });

  test('a wrong API key: Twilio FAILED and names it', async () => {
    const { found } = await patient.examine({ TWILIO_API_KEY_SID: 'SKcanary', TWILIO_API_KEY_SECRET: 'canary' });
    expect(resultsOf(found)).toEqual({ ...allWell, Twilio: 'FAILED' });
    expect(findingOf(found, 'Twilio')?.advice).toBe('mend TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET');
  });

  test('a bad configuration: each bad variable by name; what does not need it is checked all the same', async () => {
    const { code, found, stdout } = await patient.examine({
      DATABASE_POOL_SIZE: 'canary',
      COUNTRY_CODE: 'canary',
      SETTLE_MS: '-1',
    });
    expect(code).toBe(1);
    const bad = found.filter(({ check }) => check === 'configuration');
    expect(bad.map(({ result, detail }) => `${result} ${detail.split(' ')[0]}`).sort()).toEqual([
      'FAILED COUNTRY_CODE',
      'FAILED DATABASE_POOL_SIZE',
      'FAILED SETTLE_MS',
    ]);
    expect(resultsOf(found)).toMatchObject({
      'service health': 'ok',
      database: 'skipped',
      signature: 'skipped',
      Twilio: 'skipped',
    });
    expect(stdout).not.toContain('canary');
  });

  test('an address of the service that cannot be read is a finding, not the end', async () => {
    const { code, found } = await patient.examine({ POLARIS_SMS_URL: 'canary' });
    expect(code).toBe(1);
    expect(resultsOf(found)).toMatchObject({ 'service running': 'FAILED', database: 'ok', Twilio: 'ok' });
  });

  test('no service: it is FAILED, what is asked of it skipped, the rest checked', async () => {
    const url = await closedAddress();
    const { code, found } = await patient.examine({ POLARIS_SMS_URL: url });
    expect(code).toBe(1);
    expect(findingOf(found, 'service running')?.detail).toContain(`Nothing listens on ${url}`);
    expect(resultsOf(found)).toEqual({
      ...allWell,
      'service running': 'FAILED',
      'service health': 'skipped',
      'service version': 'skipped',
      signature: 'skipped',
    });
  });

  test('a callback URL without https is FAILED in production', async () => {
    const { found } = await patient.examine({
      ENVIRONMENT: 'PRODUCTION',
      COUNTRY_CODE: 'GB',
      TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`,
    });
    expect(findingOf(found, 'callback URL')).toMatchObject({
      result: 'FAILED',
      detail: expect.stringMatching(/^it is not https/),
    });
  });

  test.for([
    ['http://127.0.0.1:1/callback', /does not end in/],
    ['http://127.0.0.1:1/dhos/v1/sms/callback', /^Nothing listens on it/],
  ] as const)('a callback URL %s is FAILED', async ([url, detail]) => {
    const { found } = await patient.examine({ TWILIO_CALL_BACK_URL: url });
    expect(findingOf(found, 'callback URL')).toMatchObject({ result: 'FAILED', detail: expect.stringMatching(detail) });
  });

  test('--skip leaves checks out, by name', async () => {
    const { code, found } = await patient.examine(
      { TWILIO_CALL_BACK_URL: 'http://127.0.0.1:1/x' },
      '--skip',
      'callback url, signature',
    );
    expect(code).toBe(0);
    expect(resultsOf(found)).toEqual({ ...allWell, 'callback URL': 'skipped', signature: 'skipped' });
    const { code: unknown, stderr } = await cli(['doctor', '--skip', 'databse'], patient.env);
    expect([unknown, stderr]).toEqual([
      2,
      expect.stringContaining('--skip knows these checks: configuration, database,'),
    ]);
  });

  test('a service that accepts every signature is FAILED', async () => {
    const body = JSON.stringify({ detail: 'MessageSid', running: true });
    const gullible = await startTcpServer((socket, request) => {
      const status = request.startsWith('POST') ? '400 X' : '200 OK';
      socket.end(
        `HTTP/1.1 ${status}\r\ncontent-type: application/problem+json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
    });
    cleanUps.push(gullible.close);
    const { found } = await patient.examine({ POLARIS_SMS_URL: gullible.url });
    expect(findingOf(found, 'signature')).toMatchObject({
      result: 'FAILED',
      detail: 'the running service accepts a wrong signature',
    });
  });

  test('under TWILIO_DISABLED Twilio is skipped, and the signature is checked', async () => {
    const disabled = await startTestService(quiet);
    cleanUps.push(disabled.stop);
    const ended = await cli(['doctor', '--json'], {
      ENVIRONMENT: 'DEVELOPMENT',
      DATABASE_URL: disabled.databaseUrl,
      ...quiet,
      ...operatorAt(disabled.baseUrl),
    });
    expect(resultsOf(JSON.parse(ended.stdout))).toEqual({ ...allWell, 'callback URL': 'skipped', Twilio: 'skipped' });
    expect(ended.code).toBe(0);
  });

  test('without any configuration, at a developer’s: what is not configured is skipped', async () => {
    const lively = await startTestService();
    cleanUps.push(lively.stop);
    const ended = await cli(['doctor'], { ENVIRONMENT: 'DEVELOPMENT', ...operatorAt(lively.baseUrl) });
    expect(ended.code).toBe(0);
    expect(ended.stdout.match(/^skipped +(database|callback URL|signature|Twilio) /gm)).toHaveLength(4);
  });
});
