import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { openTwilioClient, type TwilioClient } from '../../src/twilio/client.ts';
import type { CreateOutcome } from '../../src/twilio/outcome.ts';
import { closedAddress, httpAnswer, startTcpServer } from '../support/tcp.ts';

const text = {
  from: '+447700900001',
  to: '+447700900123',
  body: 'Hello',
  statusCallback: 'https://example.com/cb?m=1&a=1#rc=5',
  validForS: null,
  timeoutMs: 2_000,
};
const resource = {
  sid: 'SM1',
  status: 'queued',
  body: 'Hello',
  error_code: null,
  error_message: null,
  date_sent: null,
};
const taken = httpAnswer(201, JSON.stringify(resource));
const refusal = (status: number, code: number | null, headers = {}) =>
  httpAnswer(status, JSON.stringify({ code, message: 'words of Twilio', status }), headers);

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

function clientOf(baseUrl: string): TwilioClient {
  const client = openTwilioClient({
    accountSid: 'AC1',
    authTokens: ['token'],
    apiKey: null,
    baseUrl,
    timeoutMs: 2_000,
    maxConcurrency: 5,
  });
  opened.unshift(client);
  return client;
}

async function createAt(answer: (socket: Socket) => void, timeoutMs = 2_000): Promise<CreateOutcome> {
  const server = await startTcpServer(answer);
  opened.push(server);
  return clientOf(server.url).create({ ...text, timeoutMs });
}

describe('a create', () => {
  test('asks as Twilio wants to be asked', async () => {
    const server = await startTcpServer((socket) => socket.write(taken));
    opened.push(server);
    await clientOf(server.url).create(text);
    const [head = '', body = ''] = server.requests[0]?.split('\r\n\r\n') ?? [];
    expect(head).toMatch(/^POST \/2010-04-01\/Accounts\/AC1\/Messages\.json HTTP\/1\.1/);
    expect(head.toLowerCase()).toContain('content-type: application/x-www-form-urlencoded');
    expect(head).toContain(`Basic ${Buffer.from('AC1:token').toString('base64')}`);
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      From: text.from,
      To: text.to,
      Body: text.body,
      StatusCallback: text.statusCallback,
    });
  });

  test('names a messaging service as such', async () => {
    const server = await startTcpServer((socket) => socket.write(taken));
    opened.push(server);
    const service = `MG${'0'.repeat(32)}`;
    await clientOf(server.url).create({ ...text, from: service });
    const form = new URLSearchParams(server.requests[0]?.split('\r\n\r\n')[1]);
    expect([form.get('MessagingServiceSid'), form.get('From')]).toEqual([service, null]);
  });

  test('that is answered 201 is accepted', async () => {
    const outcome = await createAt((socket) => socket.write(taken));
    expect(outcome).toMatchObject({ kind: 'accepted', message: { sid: 'SM1', status: 'queued', errorCode: null } });
  });

  test('that meets nobody was not processed: refused connection, name that does not exist', async () => {
    const refused = await clientOf(await closedAddress()).create(text);
    expect(refused).toEqual({ kind: 'not processed', reason: 'ECONNREFUSED' });
    const unnamed = await clientOf('http://nobody.invalid').create(text);
    expect(unnamed.kind).toBe('not processed');
  });

  test('whose TLS handshake fails, or never ends, was not processed', async () => {
    const silent = createServer();
    const rude = createServer((socket) => socket.end('this is not TLS'));
    const createOver = async (server: Server) => {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      opened.push({ close: async () => void server.close() });
      const { port } = server.address() as AddressInfo;
      return clientOf(`https://127.0.0.1:${port}`).create({ ...text, timeoutMs: 300 });
    };
    const reason = 'no connection before the deadline';
    expect(await createOver(silent)).toEqual({ kind: 'not processed', reason });
    expect((await createOver(rude)).kind).toBe('not processed');
  });

  test.each<[string, (socket: Socket) => void]>([
    ['a connection cut after the request', (socket) => socket.destroy()],
    ['a connection reset after the request', (socket) => socket.resetAndDestroy()],
    ['a 201 cut in the middle', (socket) => socket.end(taken.slice(0, -20))],
    ['a 201 that is HTML', (socket) => socket.write(httpAnswer(201, '<html>'))],
    ['a 201 with wrong types', (socket) => socket.write(httpAnswer(201, '{"sid":7,"status":"queued"}'))],
    ['a 201 without a SID', (socket) => socket.write(httpAnswer(201, '{"status":"queued"}'))],
    ['a 500', (socket) => socket.write(refusal(500, 20500))],
    ['a 502 of a proxy', (socket) => socket.write(httpAnswer(502, '<html>Bad Gateway</html>'))],
    ['a 503', (socket) => socket.write(refusal(503, null))],
    ["a 400 that is not in Twilio's shape", (socket) => socket.write(httpAnswer(400, '<html>'))],
    ['a redirect', (socket) => socket.write(httpAnswer(302, '', { location: '/elsewhere' }))],
    ['no HTTP at all', (socket) => socket.write('hello\r\n\r\n')],
  ])('that ends with %s is unknown', async (_name, answer) => {
    expect((await createAt(answer)).kind).toBe('unknown');
  });

  test('that nobody answers is unknown at its deadline, and the socket is closed', async () => {
    let closed = () => {};
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const outcome = await createAt((socket) => socket.on('close', closed), 200);
    expect(outcome).toEqual({ kind: 'unknown', httpStatus: null, reason: 'the deadline has passed' });
    await isClosed;
  });

  test('that is answered one byte at a time is unknown at its deadline', async () => {
    const outcome = await createAt((socket) => {
      const bytes = [...taken];
      const timer = setInterval(() => socket.write(bytes.shift() ?? ''), 20);
      socket.on('close', () => clearInterval(timer));
    }, 300);
    expect(outcome.kind).toBe('unknown');
  });

  test('whose answer never ends is cut at 256 KiB and unknown', async () => {
    let sent = 0;
    const outcome = await createAt((socket) => {
      socket.write('HTTP/1.1 201 X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n');
      const chunk = 'x'.repeat(16 * 1024);
      const pump = () => {
        while (!socket.destroyed && sent < 50_000_000 && socket.write(`4000\r\n${chunk}\r\n`)) sent += chunk.length;
      };
      socket.on('drain', pump);
      pump();
    }, 10_000);
    expect(outcome.kind).toBe('unknown');
    expect(sent).toBeLessThan(10_000_000);
  });

  test('never offers HTTP/2: over that undici repeats requests by itself', async () => {
    let hello = '';
    const server = createServer((socket) =>
      socket.once('data', (chunk) => {
        hello = chunk.toString('latin1');
        socket.destroy();
      }),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    opened.push({ close: async () => void server.close() });
    const { port } = server.address() as AddressInfo;
    await clientOf(`https://127.0.0.1:${port}`).create({ ...text, timeoutMs: 1_000 });
    // The protocols that a TLS client offers stand in its first message, each behind its length (RFC 7301).
    expect(hello).toContain('\x08http/1.1');
    expect(hello).not.toContain('\x02h2');
  });

  test('is never repeated by the client itself, also not on a connection that was kept alive', async () => {
    let answered = 0;
    const server = await startTcpServer((socket) => {
      answered += 1;
      if (answered === 1) socket.write(taken);
      else socket.resetAndDestroy();
    });
    opened.push(server);
    const client = clientOf(server.url);
    expect((await client.create(text)).kind).toBe('accepted');
    expect((await client.create(text)).kind).toBe('unknown');
    expect(server.requests).toHaveLength(2);
  });

  test.each([
    [400, 21211, 'for good'],
    [400, 21610, 'for good'],
    [400, 21408, 'configuration'],
    [400, 21606, 'configuration'],
    [400, 99999, 'for good'],
    [401, 20003, 'account'],
    [403, 20005, 'account'],
    [404, 20404, 'account'],
    [429, 20429, 'later'],
    [400, 21611, 'later'],
  ])('that is refused with %i and code %i is refused: %s', async (status, code, errorClass) => {
    const outcome = await createAt((socket) => socket.write(refusal(status, code)));
    expect(outcome).toMatchObject({ kind: 'refused', errorClass, httpStatus: status, code: String(code) });
  });

  test('that is refused with Retry-After says for how long', async () => {
    const outcome = await createAt((socket) => socket.write(refusal(429, 20429, { 'retry-after': '7' })));
    expect(outcome).toMatchObject({ kind: 'refused', retryAfterS: 7 });
  });
});

describe('a look-up', () => {
  const fetchAt = async (answer: string) => {
    const server = await startTcpServer((socket) => socket.write(answer));
    opened.push(server);
    return clientOf(server.url).fetch('SM1');
  };

  test('reads what Twilio says, dates in ISO 8601', async () => {
    const found = {
      ...resource,
      status: 'undelivered',
      error_code: 30003,
      date_sent: 'Mon, 23 Nov 2026 15:20:45 +0000',
    };
    expect(await fetchAt(httpAnswer(200, JSON.stringify(found)))).toMatchObject({
      kind: 'found',
      message: { status: 'undelivered', errorCode: '30003', dateSent: '2026-11-23T15:20:45.000Z' },
    });
  });

  test("tells Twilio's 404 from anybody else's", async () => {
    expect(await fetchAt(refusal(404, 20404))).toEqual({ kind: 'gone' });
    expect(await fetchAt(httpAnswer(404, '<html>'))).toMatchObject({ kind: 'failed' });
  });
});

describe('a redaction', () => {
  const redactAt = async (answer: string) => {
    const server = await startTcpServer((socket) => socket.write(answer));
    opened.push(server);
    const outcome = await clientOf(server.url).redact('SM1');
    return { outcome, body: server.requests[0]?.split('\r\n\r\n')[1] };
  };

  test('sends an empty body and is done when the answer shows it empty', async () => {
    const { outcome, body } = await redactAt(httpAnswer(200, JSON.stringify({ ...resource, body: '' })));
    expect([outcome, body]).toEqual([{ kind: 'redacted' }, 'Body=']);
  });

  test('is not done while the answer still shows the text', async () => {
    expect((await redactAt(httpAnswer(200, JSON.stringify(resource)))).outcome.kind).toBe('failed');
  });

  test('of a message that Twilio no longer has is done', async () => {
    expect((await redactAt(refusal(404, 20404))).outcome).toEqual({ kind: 'redacted' });
  });

  test('of a message under way is to be repeated later', async () => {
    expect((await redactAt(refusal(400, 20009))).outcome).toEqual({ kind: 'not finished' });
  });
});
