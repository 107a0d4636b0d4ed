import { once } from 'node:events';
import { connect } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sign } from '../../src/twilio/signature.ts';
import { expectProblem, rawRequest, sendRaw } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { type Answer, eventually, freshText, startTestService, type TestService } from '../support/service.ts';
import { type FakeTwilio, newSid, startFakeTwilio, twilioAt } from '../support/twilio.ts';

const path = '/dhos/v1/sms/callback';
const form = { 'content-type': 'application/x-www-form-urlencoded' };
/** It could be one, so the body is read. */
const signature = { 'x-twilio-signature': `${'A'.repeat(27)}=` };
const limits = { MAX_REQUESTS: '2', MAX_CONNECTIONS: '50', RATE_LIMIT_PER_S: '1', RATE_LIMIT_BURST: '3' };

let twilio: FakeTwilio;
let service: TestService;
/** Of the second listener. */
let baseUrl: string;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), ...limits, CALLBACK_PORT: '0' });
  baseUrl = service.callbackBaseUrl ?? '';
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

async function call(address: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(baseUrl + address, init);
  const [{ status, headers }, text] = [response, await response.text()];
  return { status, headers, text, json: text === '' ? null : JSON.parse(text) };
}

function callback(fields: Record<string, string>): Promise<Answer> {
  const body = new URLSearchParams(fields);
  const headers = { ...form, 'x-twilio-signature': sign('token-of-the-tests', `https://sms.example${path}`, body) };
  return call(path, { method: 'POST', headers, body: body.toString() });
}

/** A callback of exactly so many bytes. */
function ofBytes(bytes: number): Record<string, string> {
  const fields = { MessageSid: newSid(), MessageStatus: 'sent', Padding: '' };
  const length = new URLSearchParams(fields).toString().length;
  return { ...fields, Padding: 'x'.repeat(bytes - length) };
}

const keptOf = (sid: string) => service.query('SELECT FROM callback WHERE twilio_sid = $1', [sid]);

describe('On CALLBACK_PORT: sizes', () => {
  test('a callback of 16 KiB is taken, one byte more is 413, announced or not, and nothing is kept', async () => {
    const fits = ofBytes(16 * 1024);
    expect((await callback(fits)).status).toBe(204);
    expect(await keptOf(fits.MessageSid ?? '')).toHaveLength(1);
    const large = ofBytes(16 * 1024 + 1);
    expectProblem(await callback(large), 413, 'The body is larger than 16 KiB.');
    const body = new URLSearchParams(large).toString();
    const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    const head = `POST ${path} HTTP/1.1\r\nhost: sms\r\ncontent-type: ${form['content-type']}`;
    const unannounced = `x-twilio-signature: ${signature['x-twilio-signature']}\r\ntransfer-encoding: chunked`;
    const answer = await sendRaw(baseUrl, `${head}\r\n${unannounced}\r\nconnection: close\r\n\r\n${chunked}`);
    expect([answer.status, JSON.parse(answer.body).detail]).toEqual([413, 'The body is larger than 16 KiB.']);
    expect(await keptOf(large.MessageSid ?? '')).toEqual([]);
  });

  test('more than 200 fields are 413', async () => {
    const many = Object.fromEntries(Array.from({ length: 201 }, (_, n) => [`a${n}`, '1']));
    expectProblem(await callback(many), 413, 'A callback has at most 200 fields.');
  });

  test('an address longer than 12 KiB is 414, more than 100 headers are 431', async () => {
    expectProblem(await call(`/running?${'x'.repeat(12 * 1024)}`), 414, 'The address is longer than 12 KiB.');
    const headers = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`a${n}`, '1']));
    const { status, body } = await sendRaw(baseUrl, rawRequest('POST', path, { ...form, ...headers }));
    expect([status, JSON.parse(body).detail]).toEqual([431, 'There are more than 100 headers.']);
  });
});

/** Sends the first bytes at once, and of the rest one a second; answers what came back and after how long. */
async function sendSlowly(bytes: Buffer, atOnce: number): Promise<{ received: string; afterMs: number }> {
  const { hostname, port } = new URL(baseUrl);
  const socket = connect(Number(port), hostname);
  const began = performance.now();
  let [received, at] = ['', atOnce];
  socket.on('data', (chunk) => {
    received += chunk;
  });
  socket.on('error', () => {});
  socket.write(bytes.subarray(0, atOnce));
  const dripping = setInterval(() => socket.write(bytes.subarray(at, ++at)), 1_000);
  await once(socket, 'close');
  clearInterval(dripping);
  return { received, afterMs: performance.now() - began };
}

describe.concurrent('On CALLBACK_PORT: a slow client', () => {
  const body = 'MessageSid=SM-slow&MessageStatus=sent';
  const whole = rawRequest('POST', path, { ...form, ...signature }, body);

  test('that sends its headers a byte a second is cut off with 408 after 10 s', async () => {
    const { received, afterMs } = await sendSlowly(whole, 30);
    expect(received).toMatch(/^HTTP\/1\.1 408 /);
    expect(afterMs).toBeLessThan(13_000);
  });

  test('that sends its body a byte a second is cut off with 408 after 15 s, and nothing is kept', async () => {
    const { received, afterMs } = await sendSlowly(whole, whole.length - 25);
    expect(received).toMatch(/^HTTP\/1\.1 408 /);
    expect(afterMs).toBeLessThan(18_000);
    expect(await keptOf('SM-slow')).toEqual([]);
  });

  test('ten of them hold no place: a callback is taken meanwhile', async () => {
    const { hostname, port } = new URL(baseUrl);
    const sockets = Array.from({ length: 10 }, () => connect(Number(port), hostname));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    for (const socket of sockets) socket.write(whole.subarray(0, -9));
    expect((await callback({ MessageSid: newSid(), MessageStatus: 'sent' })).status).toBe(204);
    for (const socket of sockets) socket.destroy();
  });

  test('without anything like a signature is told 403 before its body comes', async () => {
    const unsigned = rawRequest('POST', path, form, body);
    const { hostname, port } = new URL(baseUrl);
    const socket = connect(Number(port), hostname);
    socket.write(unsigned.subarray(0, unsigned.length - body.length));
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1\.1 403 /);
    socket.destroy();
  });
});

describe('On CALLBACK_PORT: how much at once', () => {
  test('above MAX_REQUESTS 503 with Retry-After at once; watching and the API go on, and what was in flight is taken', async () => {
    const rows = await Promise.all([1, 2, 3].map(() => insertOriginalRow(service, { status: 'queued' })));
    const holder = new pg.Client({ connectionString: service.databaseUrl });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT FROM message WHERE uuid = ANY ($1) FOR UPDATE', [rows.map(({ uuid }) => uuid)]);
    const sent = rows.map(async ({ sid }) => ({
      sid,
      answer: await callback({ MessageSid: sid, MessageStatus: 'sent' }),
    }));
    // Two wait for their rows, so the first answer is the third one's.
    const { sid, answer } = await Promise.race(sent);
    expectProblem(answer, 503, 'Too many requests are at work. Nothing was done: ask again.');
    expect(answer.headers.get('retry-after')).toBe('5');
    expect((await call('/running')).status).toBe(200);
    expect((await service.post(freshText())).status).toBe(200);
    await holder.query('COMMIT');
    await holder.end();
    const statuses = (await Promise.all(sent)).map((one) => one.answer.status);
    expect(statuses.toSorted()).toEqual([204, 204, 503]);
    expect((await service.call('/metrics')).text).toMatch(/^sms_refused_total\{rule="busy"\} 1$/m);
    expect(await keptOf(sid)).toEqual([]);
    expect((await callback({ MessageSid: sid, MessageStatus: 'sent' })).status).toBe(204);
  });

  test('RATE_LIMIT_PER_S is for strangers’ guesses, 404 and then 429, and never for callbacks', async () => {
    const guesses = [];
    for (let n = 0; n < 8; n += 1) guesses.push(await call(`/guess-${n}`));
    expectProblem(guesses[0] as Answer, 404, 'There is nothing at this address.');
    expect(new Set(guesses.slice(1).map(({ status }) => status))).toEqual(new Set([404, 429]));
    for (let n = 0; n < 10; n += 1) {
      expect((await callback({ MessageSid: newSid(), MessageStatus: 'sent' })).status).toBe(204);
    }
    for (let n = 0; n < 10; n += 1) expect((await call('/running')).status).toBe(200);
  });

  test('more connections than MAX_CONNECTIONS are closed at once, and the first listener has its own', async () => {
    const { hostname, port } = new URL(baseUrl);
    let closed = 0;
    const sockets = Array.from({ length: 60 }, () => connect(Number(port), hostname));
    for (const socket of sockets) {
      socket
        .on('error', () => {})
        .on('close', () => {
          closed += 1;
        });
    }
    await eventually(async () => closed >= 10);
    expect(closed).toBeLessThan(60);
    expect((await service.call('/running')).status).toBe(200);
    for (const socket of sockets) socket.destroy();
    await eventually(async () => (await call('/running').catch(() => null))?.status === 200);
  });
});
