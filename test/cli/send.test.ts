import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startProxy } from '../support/proxy.ts';
import { eventually, startTestService, type TestService } from '../support/service.ts';
import { httpAnswer, startTcpServer } from '../support/tcp.ts';
import { cli, operatorAt, startCli } from './support.ts';

let service: TestService;
const cleanUps: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

let texts = 0;
/** A text of its own each time: identical ones wait for each other. */
const freshText = () => `canary ${++texts}`;
const to = (receiver: string) => ['send', '--to', receiver, '--from', '+447700900001'];
const sentTo = (receiver: string) => [...to(receiver), '--text', freshText()];
const rowsOf = (text: string) => service.query('SELECT * FROM message WHERE content = $1', [text]);

describe('send', () => {
  test('says that Twilio has it, names the message and the key, and shows no number and no text', async () => {
    const { code, stdout, stderr } = await cli(sentTo('07700 900123'), operatorAt(service.baseUrl));
    expect(code).toBe(0);
    const [, uuid = ''] = /^Twilio has it \(200\), as \w+\.\n([0-9a-f-]{36})\n$/.exec(stdout) ?? [];
    const { json } = await service.call(`/dhos/v1/sms/${uuid}`);
    expect(json).toMatchObject({ receiver: '07700 900123', trustomer_code: 'ouh', product_name: 'gdm' });
    expect(stderr).toMatch(/^Idempotency key: [0-9a-f-]{36}\n$/);
    expect(stdout + stderr).not.toMatch(/900123|canary/);
  });

  test('--json is the message as the API gives it', async () => {
    const { code, stdout } = await cli([...sentTo('+447700900123'), '--json'], operatorAt(service.baseUrl));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ receiver: '+447700900123', twilio_sid: expect.stringMatching(/^SM/) });
  });

  test('--async says that it is recorded and owned', async () => {
    const { code, stdout } = await cli([...sentTo('+447700900123'), '--async'], operatorAt(service.baseUrl));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Recorded \(202\): .*Do not send it again\.\n[0-9a-f-]{36}\n$/);
  });

  test('the same key again is the same message', async () => {
    const args = [...sentTo('+447700900123'), '--key', 'visit-4711'];
    const first = await cli(args, operatorAt(service.baseUrl));
    const second = await cli(args, operatorAt(service.baseUrl));
    expect([first.code, second.code]).toEqual([0, 0]);
    expect(first.stderr).toBe('Idempotency key: visit-4711\n');
    expect(second.stdout).toMatch(/^This key has been used before/);
    expect(second.stdout.split('\n').at(-2)).toBe(first.stdout.split('\n').at(-2));
  });

  test.for(['file', 'standard input'])('the text comes from %s, without the line end at its end', async (source) => {
    const text = `${freshText()}\nsecond line äöü 😀`;
    const folder = await mkdtemp(path.join(tmpdir(), 'polaris-sms-cli-'));
    cleanUps.push(() => rm(folder, { recursive: true }));
    const file = path.join(folder, 'text');
    await writeFile(file, `${text}\n`);
    const args = [...to('+447700900123'), '--text-file', source === 'file' ? file : '-'];
    const { code } = await cli(args, operatorAt(service.baseUrl), source === 'file' ? '' : `${text}\n`);
    expect(code).toBe(0);
    expect(await rowsOf(text)).toHaveLength(1);
  });

  test('a text that is not UTF-8 is not sent', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'polaris-sms-cli-'));
    cleanUps.push(() => rm(folder, { recursive: true }));
    await writeFile(path.join(folder, 'text'), Buffer.from([0x48, 0xe4, 0x48]));
    const args = [...to('+447700900123'), '--text-file', path.join(folder, 'text')];
    const { code, stderr } = await cli(args, operatorAt(service.baseUrl));
    expect(code).toBe(2);
    expect(stderr).toMatch(/^The text is not valid UTF-8\./);
  });

  test('--valid-until goes to the service', async () => {
    const args = [...sentTo('+447700900123'), '--async', '--json', '--valid-until'];
    const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
    const good = await cli([...args, inAnHour], operatorAt(service.baseUrl));
    expect(JSON.parse(good.stdout).valid_until).toBe(inAnHour);
    const bad = await cli([...args, 'tomorrow'], operatorAt(service.baseUrl));
    expect(bad.code).toBe(1);
    expect(bad.stderr).toContain('valid_until: must be a date and time with a zone');
  });

  test('what Twilio refuses is exit code 1 with its reason and code; --json is the API’s own error', async () => {
    const { code, stdout, stderr } = await cli(sentTo('+447700900996'), operatorAt(service.baseUrl));
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain("Not sent: The receiver has opted out of texts from this sender. (Twilio's code 21610)\n");
    const json = await cli([...sentTo('+447700900996'), '--json'], operatorAt(service.baseUrl));
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ status: 422, error_code: '21610' });
  });

  test('a number that cannot be one is exit code 1, asked for once', async () => {
    const { code, stderr } = await cli(sentTo('not-a-number'), operatorAt(service.baseUrl));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Idempotency key: \S+\nNot sent: receiver: must be a phone number that is possible\.\n$/);
  });
});

describe('when no good answer comes', () => {
  test('a 503 that says when is asked again with the same key, until it is taken: one message', async () => {
    const database = await createDatabase();
    const network = await startProxy(database.url);
    const cutOff = await startTestService({}, { databaseUrl: network.url });
    cleanUps.push(database.drop, network.close, cutOff.stop);
    network.cut();
    const text = freshText();
    const run = startCli([...to('+447700900123'), '--text', text], operatorAt(cutOff.baseUrl));
    await eventually(async () => /HTTP status 503\. Asking again\./.test(run.remarks()), 20_000);
    network.open();
    const { code, stdout } = await run.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Twilio has it/);
    expect(await cutOff.query('SELECT uuid FROM message WHERE content = $1', [text])).toHaveLength(1);
  });

  test('a connection that broke before the answer is made again with the same key: one message', async () => {
    const text = freshText();
    const keys: (string | undefined)[] = [];
    // Lets the first request through to the service and swallows its answer.
    const flaky = await startTcpServer(async (socket, request) => {
      keys.push(/^idempotency-key: (.*)$/im.exec(request)?.[1]?.trim());
      const [head = '', body = ''] = request.split('\r\n\r\n', 2);
      const headers = Object.fromEntries(
        head
          .split('\r\n')
          .slice(1)
          .map((line) => line.split(': ') as [string, string])
          .filter(([name]) => !/^(host|connection|content-length)$/i.test(name)),
      );
      const answer = await service.call('/dhos/v1/sms', { method: 'POST', headers, body });
      if (keys.length === 1) socket.destroy();
      else
        socket.end(
          httpAnswer(answer.status, answer.text, {
            'idempotency-replayed': answer.headers.get('idempotency-replayed') ?? '',
          }),
        );
    });
    cleanUps.push(flaky.close);
    const { code, stdout, stderr } = await cli([...to('+447700900123'), '--text', text], operatorAt(flaky.url));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^This key has been used before/);
    expect(stderr).toContain('broke off before the answer was complete. Asking again.');
    expect(keys).toHaveLength(2);
    expect(new Set(keys).size).toBe(1);
    expect(await rowsOf(text)).toHaveLength(1);
  });

  test('and none has come when time is over: it is said that nobody knows, exit code 3', async () => {
    const mute = await startTcpServer((socket) => socket.destroy());
    cleanUps.push(mute.close);
    const { code, stdout, stderr } = await cli([...sentTo('+447700900123'), '--timeout', '3'], operatorAt(mute.url));
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toContain('NOT KNOWN whether the text was taken: ask again with the same --key');
    expect(mute.requests.length).toBeGreaterThan(1);
  });

  test('nothing listens: nothing was sent, exit code 3', async () => {
    const { code, stderr } = await cli(
      [...sentTo('+447700900123'), '--timeout', '1'],
      operatorAt('http://127.0.0.1:1'),
    );
    expect(code).toBe(3);
    expect(stderr).toMatch(/Nothing listens on http:\/\/127\.0\.0\.1:1: .* Nothing was sent\.\n$/);
  });

  test('a 503 that goes on is exit code 3 and says that nothing was sent', async () => {
    const busy = await startTestService();
    cleanUps.push(busy.stop);
    const { code, stderr } = await cli([...sentTo('+447700900999'), '--timeout', '4'], operatorAt(busy.baseUrl));
    // …0999: Twilio breaks, so the service does not know and owns it: 202.
    expect({ code, isKnown: /Not sent|NOT KNOWN/.test(stderr) }).toEqual({ code: 0, isKnown: false });
    const refused = await cli([...sentTo('+447700900998'), '--timeout', '6'], operatorAt(busy.baseUrl));
    expect(refused.code).toBe(3);
    expect(refused.stderr).toMatch(/Not sent: .*ask again\.\n$/);
  });
});
