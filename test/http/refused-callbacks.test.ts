import type { FastifyBaseLogger } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { countRecentlyRefused, type RefusedFor, watchRefusedCallbacks } from '../../src/http/refused-callbacks.ts';
import { openLog } from '../../src/log.ts';
import { sign } from '../../src/twilio/signature.ts';
import type { Diagnosis } from '../../src/twilio/signature-doctor.ts';
import { expectProblem } from '../support/http.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { type FakeTwilio, newSid, startFakeTwilio, twilioAt } from '../support/twilio.ts';

describe('The watch over refused callbacks', () => {
  const diagnosis: Diagnosis = { fault: 'slash', inWords: 'it would match with a slash' };
  let now: number;
  let examined: number;
  let counted: RefusedFor[];
  let lines: { message: string; reason: string; times: number; level: string }[];
  let log: FastifyBaseLogger;
  let watch: ReturnType<typeof watchRefusedCallbacks>;
  const examine = () => {
    examined += 1;
    return diagnosis;
  };

  beforeEach(() => {
    [now, examined, counted, lines] = [5, 0, [], []];
    log = openLog({ level: 'debug', format: 'json' }, { write: (line: string) => lines.push(JSON.parse(line)) });
    watch = watchRefusedCallbacks({ count: (reason) => counted.push(reason), nowMs: () => now });
  });

  test('examines the first wrong signature and tells what it found', () => {
    watch.wronglySigned(log, examine);
    expect(counted).toEqual(['slash']);
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'WARN',
        reason: 'slash',
        times: 1,
        message: 'a callback with a wrong signature was refused',
        finding: 'it would match with a slash',
      }),
    ]);
  });

  test('examines one a second, counts the others, and says how many they were', () => {
    for (let n = 0; n < 5_000; n += 1) {
      watch.wronglySigned(log, examine);
      now += 1;
    }
    expect(examined).toBe(5);
    expect(lines.map(({ times }) => times)).toEqual([1, 1_000, 1_000, 1_000, 1_000]);
    expect(counted).toHaveLength(5_000);
    expect(counted.filter((reason) => reason === 'slash')).toHaveLength(5);
    expect(counted.filter((reason) => reason === 'not examined')).toHaveLength(4_995);
  });

  test('writes one line a second about unsigned ones, and counts each', () => {
    for (let n = 0; n < 3_000; n += 1) {
      watch.unsigned(log, 'missing');
      watch.unsigned(log, 'malformed');
      watch.ofAnotherAccount(log);
      now += 1;
    }
    for (const reason of ['missing', 'malformed', 'another account']) {
      expect(lines.filter((line) => line.reason === reason).map(({ times }) => times)).toEqual([1, 1_000, 1_000]);
      expect(counted.filter((one) => one === reason)).toHaveLength(3_000);
    }
  });

  test('a flood of unsigned ones leaves a wrong signature to be examined at once', () => {
    for (let n = 0; n < 100; n += 1) watch.unsigned(log, 'missing');
    watch.wronglySigned(log, examine);
    expect(examined).toBe(1);
  });
});

describe('The count of lately refused callbacks', () => {
  const start = Date.parse('2026-11-24T10:00:00.000Z');

  test('holds a quarter of an hour, to ten seconds, however many come', () => {
    let now = start;
    const refused = countRecentlyRefused(() => now);
    for (let second = 0; second < 3_600; second += 1) {
      refused.add(second % 2 === 0 ? 'slash' : 'missing');
      now += 1_000;
    }
    const { unsigned, wrong, first } = refused.read();
    expect([unsigned, wrong]).toEqual([445, 445]);
    expect(first?.toISOString()).toBe('2026-11-24T10:45:10.000Z');
  });

  test('is nothing when all is long ago', () => {
    let now = start;
    const refused = countRecentlyRefused(() => now);
    for (const reason of ['token', 'another account', 'not examined', 'malformed'] as const) refused.add(reason);
    expect(refused.read()).toEqual({ unsigned: 1, wrong: 3, first: new Date(start) });
    now += 15 * 60_000;
    expect(refused.read()).toEqual({ unsigned: 0, wrong: 0, first: null });
  });
});

describe('A refused callback', () => {
  const url = 'https://sms.example/dhos/v1/sms/callback';
  const form = 'application/x-www-form-urlencoded';
  const canaries = /900877|tweety|canary|sms\.example|hidden-in-the-query/i;
  const fields = () => ({
    MessageSid: newSid(),
    MessageStatus: 'delivered',
    To: '+447700900877',
    Body: 'Mrs Tweety, your test is on Monday.',
  });
  const query = '?m=hidden-in-the-query&a=1';

  let twilio: FakeTwilio;
  let service: TestService;

  beforeAll(async () => {
    twilio = await startFakeTwilio();
  });
  afterAll(() => twilio.stop());
  // The watch allows for one examination a second: each test has a service of its own.
  beforeEach(async () => {
    service = await startTestService({
      ...twilioAt(twilio.url),
      TWILIO_AUTH_TOKEN: 'canary-token',
      TWILIO_API_KEY_SID: 'SKtest',
      TWILIO_API_KEY_SECRET: 'canary-secret',
    });
    return () => service.stop();
  });

  const lines = () =>
    service
      .logged()
      .split('\n')
      .filter((line) => line.includes('callback'))
      .map((line) => JSON.parse(line));
  const told = () => lines().filter(({ level }) => level === 'WARN');
  const failures = async (reason: string) =>
    Number(
      new RegExp(`^sms_signature_failures_total\\{reason="${reason}"\\} (\\d+)$`, 'm').exec(
        (await service.call('/metrics')).text,
      )?.[1] ?? 0,
    );
  const nothingWritten = async () => expect(await service.query('SELECT * FROM callback')).toEqual([]);

  test.each([
    [
      'http instead of https',
      { url: url.replace('https', 'http') },
      'scheme',
      /would match with http instead of https$/,
    ],
    ['a slash too many', { url: `${url}/` }, 'slash', /would match with a slash at the end of the path$/],
    ['the API key’s secret', { authToken: 'canary-secret' }, 'token', /TWILIO_API_KEY_SECRET/],
    ['a stranger’s token', { authToken: 'of a stranger' }, 'nothing matches', /another token, altered on the way/],
  ])('signed with %s is told of in words, and shows nothing of it', async (_what, how, reason, words) => {
    expectProblem(await service.callback(fields(), { query, ...how }), 403, /^The signature of this callback/);
    expect(told()).toEqual([expect.objectContaining({ reason, times: 1, finding: expect.stringMatching(words) })]);
    expect(await failures(reason)).toBe(1);
    expect(service.logged()).not.toMatch(canaries);
    expect((await service.call('/metrics')).text).not.toMatch(canaries);
    await nothingWritten();
  });

  test('signed over the port on which we listen is told of with that port', async () => {
    const { port } = new URL(service.baseUrl);
    await service.callback(fields(), { url: `https://sms.example:${port}/dhos/v1/sms/callback` });
    expect(told()[0]?.finding).toMatch(new RegExp(`would match with port ${port}$`));
  });

  test('that a host header, or a forwarded one, would explain is not explained: nobody but the configuration is believed', async () => {
    const body = new URLSearchParams(fields());
    const headers = {
      'content-type': form,
      'x-twilio-signature': sign('canary-token', url.replace('sms.example', 'evil.example'), body),
      'x-forwarded-host': 'evil.example',
    };
    const answer = await service.call('/dhos/v1/sms/callback', { method: 'POST', headers, body: body.toString() });
    expectProblem(answer, 403, /^The signature/);
    expect(told()[0]?.reason).toBe('nothing matches');
  });

  test('well signed, but about another account, is 403 and told of', async () => {
    const answer = await service.callback({ ...fields(), AccountSid: 'ACother' });
    expectProblem(answer, 403, 'This callback is about another Twilio account.');
    expect(told()).toEqual([expect.objectContaining({ reason: 'another account', times: 1 })]);
    expect(await failures('another account')).toBe(1);
    expect(service.logged()).not.toMatch(canaries);
    await nothingWritten();
  });

  test('a hundred of each kind write a few lines, none of them at the level of requests, and no row', async () => {
    const post = (headers: Record<string, string>) =>
      service.call('/dhos/v1/sms/callback', {
        method: 'POST',
        headers: { 'content-type': form, ...headers },
        body: new URLSearchParams(fields()).toString(),
      });
    const began = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => [
        post({}),
        post({ 'x-twilio-signature': 'none' }),
        post({ 'x-twilio-signature': `${'A'.repeat(27)}=` }),
      ]).flat(),
    );
    const seconds = Math.ceil((performance.now() - began) / 1000);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([403]));
    expect(told().length).toBeLessThanOrEqual(3 * (seconds + 1));
    expect(lines().filter(({ level }) => level === 'INFO')).toEqual([]);
    expect([await failures('missing'), await failures('malformed')]).toEqual([100, 100]);
    expect((await failures('nothing matches')) + (await failures('not examined'))).toBe(100);
    expect((await service.call('/metrics')).text).toMatch(/^sms_callbacks_total\{result="refused"\} 300$/m);
    await nothingWritten();
  });
});
