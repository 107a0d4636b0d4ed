import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sign } from '../../src/twilio/signature.ts';
import { expectProblem, sendRaw } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { type FakeTwilio, newSid, startFakeTwilio, twilioAt } from '../support/twilio.ts';

const url = 'https://sms.example/dhos/v1/sms/callback';
const token = 'token-of-the-tests';
const form = 'application/x-www-form-urlencoded';

let twilio: FakeTwilio;
let service: TestService;
let uuid: string;
let sid: string;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), TWILIO_AUTH_TOKEN_SECONDARY: 'the-next-token' });
  ({ uuid, sid } = await insertOriginalRow(service));
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

const post = (headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer>, query = '') =>
  service.call(`/dhos/v1/sms/callback${query}`, { method: 'POST', headers, body });
const fields = (more: Record<string, string> = {}) => ({ MessageSid: sid, MessageStatus: 'delivered', ...more });
const signed = (body: Record<string, string>, by = token, over = url) => ({
  'content-type': form,
  'x-twilio-signature': sign(by, over, new URLSearchParams(body)),
});

async function parametersOf(ofSid: string): Promise<Record<string, string>[]> {
  const rows = await service.query<{ parameters: Record<string, string> }>(
    'SELECT parameters FROM callback WHERE twilio_sid = $1 ORDER BY id',
    [ofSid],
  );
  return rows.map((row) => row.parameters);
}

async function everything(): Promise<unknown> {
  return [await service.query('SELECT * FROM message'), await service.query('SELECT * FROM callback ORDER BY id')];
}

describe('Edges: callback, signature wrong or missing: 403, nothing is written', () => {
  const body = () => new URLSearchParams(fields()).toString();
  const good = () => signed(fields())['x-twilio-signature'];
  const flipped = () => (good().startsWith('A') ? `B${good().slice(1)}` : `A${good().slice(1)}`);

  test.each<[string, () => Record<string, string>]>([
    ['missing', () => ({})],
    ['empty', () => ({ 'x-twilio-signature': '' })],
    ['of another token', () => signed(fields(), 'another token')],
    ['of an empty token', () => signed(fields(), '')],
    ['of another URL', () => signed(fields(), token, 'https://other.example/dhos/v1/sms/callback')],
    ['of a plain-text URL', () => signed(fields(), token, url.replace('https', 'http'))],
    ['of another query', () => signed(fields(), token, `${url}?m=1`)],
    ['of other fields', () => signed(fields({ MessageStatus: 'sent' }))],
    ['of fewer fields', () => signed({ MessageSid: sid })],
    ['with a flipped character', () => ({ 'x-twilio-signature': flipped() })],
    ['cut off', () => ({ 'x-twilio-signature': good().slice(0, -1) })],
    ['with more behind it', () => ({ 'x-twilio-signature': `${good()}A` })],
    ['there twice', () => ({ 'x-twilio-signature': `${good()}, ${good()}` })],
    ['no base64', () => ({ 'x-twilio-signature': 'é'.repeat(28) })],
  ])('%s', async (_what, headers) => {
    const before = await everything();
    const answer = await post({ 'content-type': form, ...headers() }, body());
    expectProblem(answer, 403, 'The signature of this callback is missing or wrong.');
    expect(await everything()).toEqual(before);
  });

  test('a field changed after signing', async () => {
    const before = await everything();
    const changed = new URLSearchParams(fields({ MessageStatus: 'failed' })).toString();
    expectProblem(await post(signed(fields()), changed), 403, /signature/);
    expectProblem(await post(signed(fields()), `${body()}&ErrorCode=30003`), 403, /signature/);
    expect(await everything()).toEqual(before);
  });

  test('a good signature over a query that reached us otherwise', async () => {
    expectProblem(await post(signed(fields(), token, `${url}?m=1&a=1`), body(), '?m=2&a=1'), 403, /signature/);
  });

  test('a form without a field', async () => {
    expectProblem(await post({ 'content-type': form }, ''), 403, /signature/);
  });

  test('another account, though well signed', async () => {
    const before = await everything();
    const another = 'This callback is about another Twilio account.';
    expectProblem(await service.callback(fields({ AccountSid: 'ACother' })), 403, another);
    expectProblem(await service.callback(fields({ AccountSid: '' })), 403, another);
    const bySecondary = { authToken: 'the-next-token' };
    expectProblem(await service.callback(fields({ AccountSid: 'ACother' }), bySecondary), 403, another);
    expect(await everything()).toEqual(before);
  });
});

describe('Callbacks that are genuine', () => {
  test('of our account, by the secondary token, too', async () => {
    expect((await service.callback(fields({ MessageStatus: 'sent', AccountSid: 'ACtest' }))).status).toBe(204);
    const bySecondary = { authToken: 'the-next-token' };
    expect((await service.callback(fields({ MessageStatus: 'sent' }), bySecondary)).status).toBe(204);
  });

  test('over the raw bytes of the query', async () => {
    const query = '?m=a%2fb+c%20d&a=1&m=';
    expect((await service.callback(fields({ MessageStatus: 'sent' }), { query })).status).toBe(204);
  });

  test('with the explicit port of https, as some of Twilio’s products sign', async () => {
    const withPort = 'https://sms.example:443/dhos/v1/sms/callback';
    expect((await service.callback(fields({ MessageStatus: 'sent' }), { url: withPort })).status).toBe(204);
    const other = { url: 'https://sms.example:8443/dhos/v1/sms/callback' };
    expectProblem(await service.callback(fields({ MessageStatus: 'sent' }), other), 403, /signature/);
  });

  test('with a content type that names a character set', async () => {
    const headers = { ...signed(fields({ MessageStatus: 'sent' })), 'content-type': `${form}; charset=UTF-8` };
    expect((await post(headers, new URLSearchParams(fields({ MessageStatus: 'sent' })).toString())).status).toBe(204);
  });

  test('with fields of every character, and one that comes twice', async () => {
    const body = new URLSearchParams([
      ...Object.entries(fields({ MessageSid: newSid() })),
      ['X', 'é+ &=🙂'],
      ['X', 'b'],
    ]);
    const headers = { 'content-type': form, 'x-twilio-signature': sign(token, url, body) };
    expect((await post(headers, body.toString())).status).toBe(204);
  });
});

describe('Edges: callback, MessageSid or MessageStatus missing, signed: 400', () => {
  const detail = 'MessageSid and MessageStatus must be there, with up to 250 characters each.';

  test.each<[string, Record<string, string>]>([
    ['no MessageSid', { MessageStatus: 'sent' }],
    ['an empty MessageSid', { MessageSid: '', MessageStatus: 'sent' }],
    ['no MessageStatus', { MessageSid: 'SM1' }],
    ['an empty MessageStatus', { MessageSid: 'SM1', MessageStatus: '' }],
    ['only their older names', { SmsSid: 'SM1', SmsStatus: 'sent' }],
    ['a MessageSid of 251 characters', { MessageSid: 'S'.repeat(251), MessageStatus: 'sent' }],
    ['NUL in MessageSid', { MessageSid: 'SM\0', MessageStatus: 'sent' }],
    ['NUL in MessageStatus', { MessageSid: 'SM1', MessageStatus: 'sent\0' }],
  ])('%s', async (_what, body) => {
    const before = await everything();
    expectProblem(await service.callback(body), 400, detail);
    expect(await everything()).toEqual(before);
  });
});

describe('Edges: callback with parameters nobody knew', () => {
  test('204, kept', async () => {
    const unknown = newSid();
    const body = {
      MessageSid: unknown,
      MessageStatus: 'sent',
      RawDlrDoneDate: '2611231520',
      ChannelPrefix: 'x',
      '': 'y',
    };
    expect((await service.callback(body)).status).toBe(204);
    expect(await parametersOf(unknown)).toEqual([body]);
  });

  test('names and values that JSON or PostgreSQL find special are kept as well as can be', async () => {
    const unknown = newSid();
    const body = new URLSearchParams({ MessageSid: unknown, MessageStatus: 'sent' });
    for (const [name, value] of [
      ['__proto__', 'p'],
      ['constructor', 'c'],
      ['nul', 'a\0b'],
      ['a\0b', 'nul'],
    ] as const)
      body.append(name, value);
    const headers = { 'content-type': form, 'x-twilio-signature': sign(token, url, body) };
    expect((await post(headers, body.toString())).status).toBe(204);
    const [row] = await service.query<{ parameters: string }>(
      'SELECT parameters::text FROM callback WHERE twilio_sid = $1',
      [unknown],
    );
    expect(row?.parameters).toContain('"__proto__": "p"');
    expect(row?.parameters).toContain('"constructor": "c"');
    expect(row?.parameters).toContain('"nul": "a\u{FFFD}b"');
    expect(row?.parameters).toContain('"a\u{FFFD}b": "nul"');
  });

  test('words nobody knew: 204, kept, the status stays', async () => {
    const row = await insertOriginalRow(service, { status: 'queued' });
    const before = (await service.call(`/dhos/v1/sms/${row.uuid}`)).json;
    for (const word of [
      'partially_delivered',
      'SENT',
      'error',
      'unconfirmed',
      ' sent',
      'constructor',
      'x'.repeat(250),
    ]) {
      expect((await service.callback({ MessageSid: row.sid, MessageStatus: word })).status).toBe(204);
    }
    expect((await service.call(`/dhos/v1/sms/${row.uuid}`)).json).toEqual(before);
    expect(await parametersOf(row.sid)).toHaveLength(7);
  });

  test('text and numbers are never kept', async () => {
    const unknown = newSid();
    const number = '+447700900123';
    const patient = { Body: 'words for a patient', To: number, From: number, ChannelToAddress: number };
    const body = { MessageSid: unknown, MessageStatus: 'sent', ...patient };
    expect((await service.callback(body)).status).toBe(204);
    expect(await parametersOf(unknown)).toEqual([{ MessageSid: unknown, MessageStatus: 'sent' }]);
    const [found] = await service.query(
      `SELECT count(*)::int AS n FROM callback WHERE callback::text LIKE '%patient%' OR callback::text LIKE '%900123%'`,
    );
    expect(found).toEqual({ n: 0 });
  });
});

describe('Edges: callback as JSON / no content type: 415', () => {
  test.each(['application/json', 'text/plain', 'multipart/form-data; boundary=x'])('%s', async (type) => {
    const body = JSON.stringify(fields());
    expectProblem(await post({ ...signed(fields()), 'content-type': type }, body), 415, /Content-Type/);
  });

  test('no content type, with and without a body', async () => {
    const { 'x-twilio-signature': signature } = signed(fields());
    const body = new TextEncoder().encode(new URLSearchParams(fields()).toString());
    expectProblem(await post({ 'x-twilio-signature': signature }, body), 415, /Content-Type/);
    const bare = await service.call('/dhos/v1/sms/callback', { method: 'POST' });
    expectProblem(bare, 415, /form|Content-Type/);
    expect((await service.call(`/dhos/v1/sms/${uuid}`)).json.status).toBe('sent');
  });
});

describe('Callbacks that are too large: 413', () => {
  const tooLarge = 'The body is larger than 16 KiB.';
  const padded = (bytes: number) => {
    const body = new URLSearchParams(fields({ MessageSid: newSid(), MessageStatus: 'sent', Padding: '' }));
    body.set('Padding', 'x'.repeat(bytes - body.toString().length));
    return body;
  };
  const send = (body: URLSearchParams) =>
    post({ 'content-type': form, 'x-twilio-signature': sign(token, url, body) }, body.toString());

  test('16 KiB are read, one byte more is refused, signed or not', async () => {
    expect((await send(padded(16 * 1024))).status).toBe(204);
    const before = await everything();
    expectProblem(await send(padded(16 * 1024 + 1)), 413, tooLarge);
    expectProblem(await post({ 'content-type': form }, padded(16 * 1024 + 1).toString()), 413, tooLarge);
    expect(await everything()).toEqual(before);
  });

  test('also when the length is not announced', async () => {
    const body = 'x'.repeat(17_000);
    const head = ['POST /dhos/v1/sms/callback HTTP/1.1', 'host: sms', 'connection: close', `content-type: ${form}`];
    const chunked = `transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    const answer = await sendRaw(service.baseUrl, `${head.join('\r\n')}\r\n${chunked}`);
    expect([answer.status, JSON.parse(answer.body).detail]).toEqual([413, tooLarge]);
  });

  test('200 fields are read, one more is refused', async () => {
    const body = new URLSearchParams({ MessageSid: newSid(), MessageStatus: 'sent' });
    for (let n = 3; n <= 200; n += 1) body.append(`f${n}`, 'x');
    expect((await send(body)).status).toBe(204);
    body.append('f201', 'x');
    const before = await everything();
    expectProblem(await send(body), 413, 'A callback has at most 200 fields.');
    expect(await everything()).toEqual(before);
  });
});

test('an unsigned callback is refused before its body has come', async () => {
  const head = ['POST /dhos/v1/sms/callback HTTP/1.1', 'host: sms', `content-type: ${form}`, 'content-length: 100'];
  const socket = connect(Number(new URL(service.baseUrl).port), '127.0.0.1');
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  const [answer] = await once(socket, 'data');
  expect(String(answer)).toMatch(/^HTTP\/1.1 403 /);
  socket.destroy();
});

describe('Callbacks behind a URL with a port, user and password', () => {
  let behind: TestService;
  beforeAll(async () => {
    const configured = 'https://user:secret@sms.example:8443/twilio?key=1#rc=3';
    behind = await startTestService({ ...twilioAt(twilio.url), TWILIO_CALL_BACK_URL: configured });
  });
  afterAll(() => behind.stop());

  test.each([
    ['as Twilio signs it', 'https://sms.example:8443/twilio', 204],
    ['without the port', 'https://sms.example/twilio', 204],
    ['with user and password', 'https://user:secret@sms.example:8443/twilio', 403],
    ['with a slash that is not there', 'https://sms.example:8443/twilio/', 403],
    ['with another port', 'https://sms.example:443/twilio', 403],
  ])('%s', async (_what, over, status) => {
    const body = { MessageSid: newSid(), MessageStatus: 'sent' };
    expect((await behind.callback(body, { url: over, query: '?key=1&m=x&a=1' })).status).toBe(status);
  });
});
