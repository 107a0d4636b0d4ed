import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts';
import { createDatabase } from '../support/database.ts';
import { startProxy } from '../support/proxy.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { quiet, startTestService, type TestService } from '../support/service.ts';
import { closedAddress, startTcpServer } from '../support/tcp.ts';
import { cli, type Ended, operatorAt, widest } from './support.ts';

type Finding = { check: string; result: string; detail: string; advice?: string };

let simulator: Simulator;
let service: TestService;
/** What the service was started with, and so what doctor reads. */
let env: Record<string, string>;
const token = 'canary-token-of-the-tests';
const cleanUps: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  simulator = await startSimulator({ authToken: token, authTokenSecondary: 'canary-second-token' });
  ({ service, env } = await startConfigured());
});
afterAll(async () => {
  await service.stop();
  await simulator.stop();
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A service as it stands in production, but for https: its Twilio is the simulator, its callback URL its own address. */
async function startConfigured(changes: Record<string, string> = {}, databaseUrl?: string) {
  const address = await closedAddress();
  const twilio = {
    TWILIO_BASE_URL: simulator.baseUrl,
    TWILIO_ACCOUNT_SID: simulator.accountSid,
    TWILIO_AUTH_TOKEN: token,
    TWILIO_CALL_BACK_URL: `${address}/dhos/v1/sms/callback`,
    PORT: new URL(address).port,
    ...changes,
  };
  const started = await startTestService(twilio, databaseUrl === undefined ? {} : { databaseUrl });
  return {
    service: started,
    env: {
      ENVIRONMENT: 'DEVELOPMENT',
      DATABASE_URL: started.databaseUrl,
      ...twilio,
      ...operatorAt(started.baseUrl),
    },
  };
}

async function examine(changes: Record<string, string> = {}, ...args: string[]): Promise<Ended & { found: Finding[] }> {
  const ended = await cli(['doctor', '--json', ...args], { ...env, ...changes });
  return { ...ended, found: JSON.parse(ended.stdout) };
}

const resultsOf = (found: Finding[]) => Object.fromEntries(found.map(({ check, result }) => [check, result]));
const findingOf = (found: Finding[], check: string) => found.find((finding) => finding.check === check);

const allWell = {
  configuration: 'ok',
  database: 'ok',
  'service running': 'ok',
  'service health': 'ok',
  'service version': 'ok',
  'callback URL': 'ok',
  signature: 'ok',
  Twilio: 'ok',
};

describe('doctor', () => {
  test('finds everything well, in words and as JSON', async () => {
    const { code, found } = await examine();
    expect({ code, results: resultsOf(found) }).toEqual({ code: 0, results: allWell });
    const said = await cli(['doctor'], env);
    expect(said).toMatchObject({ code: 0, stderr: '' });
    expect(said.stdout.match(/^ok /gm)).toHaveLength(8);
    expect(widest(said.stdout)).toBeLessThanOrEqual(80);
  });

  test('changes nothing and prints no secret, number or text', async () => {
    await insertOriginalRow(service, { content: 'canary', receiver: '+447700900123' });
    const rows = () =>
      service.query(
        'SELECT (SELECT count(*) FROM callback) AS callbacks, (SELECT md5(string_agg(m::text, $1)) FROM message m) AS messages, (SELECT count(*) FROM event) AS events',
        [''],
      );
    const before = await rows();
    const { stdout, stderr } = await examine();
    const inWords = await cli(['doctor'], { ...env, TWILIO_AUTH_TOKEN: 'canary-other' });
    expect(await rows()).toEqual(before);
    expect(stdout + stderr + inWords.stdout + inWords.stderr).not.toMatch(/canary|7700900|postgres:/);
    expect(stdout).not.toContain(simulator.accountSid);
  });

  test('a wrong token: the signature, the callback URL and Twilio FAILED, each with what to do', async () => {
    const { code, found } = await examine({ TWILIO_AUTH_TOKEN: 'not the token' });
    expect(code).toBe(1);
    expect(resultsOf(found)).toEqual({ ...allWell, 'callback URL': 'FAILED', signature: 'FAILED', Twilio: 'FAILED' });
    expect(findingOf(found, 'Twilio')?.detail).toMatch(
      /^Twilio refuses the credentials \(HTTP status 401, code 20003\)/,
    );
    expect(findingOf(found, 'signature')).toMatchObject({
      detail: 'the running service refuses what TWILIO_AUTH_TOKEN signs',
      advice: expect.stringContaining('start it again'),
    });
    expect(await cli(['doctor'], { ...env, TWILIO_AUTH_TOKEN: 'not the token' })).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^FAILED +signature +.*\n.*\n? +→ /m),
    });
  });

  test('a second token that the service does not know: the signature FAILED and names it', async () => {
    const { found } = await examine({ TWILIO_AUTH_TOKEN_SECONDARY: 'canary-unknown' });
    expect(findingOf(found, 'signature')).toMatchObject({
      result: 'FAILED',
      detail: 'the running service refuses what TWILIO_AUTH_TOKEN_SECONDARY signs',
    });
  });

  test('a callback URL that the service was not started with: the signature FAILED', async () => {
    const { found } = await examine({ TWILIO_CALL_BACK_URL: `${service.baseUrl}/other/dhos/v1/sms/callback` });
    expect(resultsOf(found)).toMatchObject({ 'callback URL': 'FAILED', signature: 'FAILED', Twilio: 'ok' });
  });

  test('a wrong API key: Twilio FAILED and names it', async () => {
    const { found } = await examine({ TWILIO_API_KEY_SID: 'SKcanary', TWILIO_API_KEY_SECRET: 'canary' });
    expect(resultsOf(found)).toEqual({ ...allWell, Twilio: 'FAILED' });
    expect(findingOf(found, 'Twilio')?.advice).toBe('mend TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET');
  });

  test('a bad configuration: each bad variable by name; what does not need it is checked all the same', async () => {
    const { code, found, stdout } = await examine({
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
    const { code, found } = await examine({ POLARIS_SMS_URL: 'canary' });
    expect(code).toBe(1);
    expect(resultsOf(found)).toMatchObject({ 'service running': 'FAILED', database: 'ok', Twilio: 'ok' });
  });

  test('no service: it is FAILED, what is asked of it skipped, the rest checked', async () => {
    const url = await closedAddress();
    const { code, found } = await examine({ POLARIS_SMS_URL: url });
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

  test('the database is down: it and the health of the service FAILED', async () => {
    const database = await createDatabase();
    const network = await startProxy(database.url);
    const cutOff = await startConfigured({}, network.url);
    cleanUps.push(database.drop, network.close, cutOff.service.stop);
    network.cut();
    const ended = await cli(['doctor', '--json'], cutOff.env);
    expect(ended.code).toBe(1);
    const found: Finding[] = JSON.parse(ended.stdout);
    expect(resultsOf(found)).toEqual({ ...allWell, database: 'FAILED', 'service health': 'FAILED' });
    expect(findingOf(found, 'service health')?.detail).toMatch(/^database: /);
  });

  test.for([
    ['nothing listens there', async () => (await closedAddress()).replace('http', 'postgres')],
    ['there is no such database', async () => env.DATABASE_URL?.replace(/\/\w+$/, '/no_such_database') ?? ''],
    ['it refuses user or password', async () => env.DATABASE_URL?.replace(/\/\/.*@/, '//canary:canary@') ?? ''],
  ] as const)('a database that cannot be used: %s', async ([reason, url]) => {
    const { found, stdout } = await examine({ DATABASE_URL: await url() });
    expect(findingOf(found, 'database')).toMatchObject({ result: 'FAILED', detail: expect.stringContaining(reason) });
    expect(stdout).not.toContain('canary');
  });

  test('a database without tables: says how to make them', async () => {
    const empty = await createDatabase('empty');
    cleanUps.push(empty.drop);
    const { found } = await examine({ DATABASE_URL: empty.url });
    expect(findingOf(found, 'database')).toMatchObject({
      result: 'FAILED',
      advice: expect.stringContaining('make migrate'),
    });
  });

  test('a database that takes the connection and is silent is given up in time', async () => {
    const mute = await startTcpServer(() => {});
    cleanUps.push(mute.close);
    const { found } = await examine({ DATABASE_URL: mute.url.replace('http', 'postgres') }, '--timeout', '2');
    expect(findingOf(found, 'database')?.result).toBe('FAILED');
  });

  test('a callback URL without https is FAILED in production', async () => {
    const { found } = await examine({
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
    const { found } = await examine({ TWILIO_CALL_BACK_URL: url });
    expect(findingOf(found, 'callback URL')).toMatchObject({ result: 'FAILED', detail: expect.stringMatching(detail) });
  });

  test('--skip leaves checks out, by name', async () => {
    const { code, found } = await examine(
      { TWILIO_CALL_BACK_URL: 'http://127.0.0.1:1/x' },
      '--skip',
      'callback url, signature',
    );
    expect(code).toBe(0);
    expect(resultsOf(found)).toEqual({ ...allWell, 'callback URL': 'skipped', signature: 'skipped' });
    const { code: unknown, stderr } = await cli(['doctor', '--skip', 'databse'], env);
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
    const { found } = await examine({ POLARIS_SMS_URL: gullible.url });
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
