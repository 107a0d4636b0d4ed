import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem, rawRequest, sendRaw } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService, tenant, text } from '../support/service.ts';

let service: TestService;
let uuid: string;

beforeAll(async () => {
  service = await startTestService();
  ({ uuid } = await insertOriginalRow(service));
});
afterAll(() => service.stop());

const json = { 'content-type': 'application/json' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };
const post = (path: string, headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer>) =>
  service.call(path, { method: 'POST', headers, body });
/** A body of bytes goes without a Content-Type unless one is given. */
const bytes = (body: string) => new TextEncoder().encode(body);

describe('Errors: one shape everywhere', () => {
  test.each([
    ['an unknown path', 404, '/nowhere', {}],
    ['an unknown path under a known one', 404, '/dhos/v1/sms/a/b', {}],
    ['a trailing slash', 404, '/dhos/v1/sms/', {}],
    ['an unknown id', 404, '/dhos/v1/sms/unknown', {}],
    ['an address that cannot be decoded', 400, '/dhos/v1/sms/%E0%A4%A', {}],
    ['an unknown query parameter', 400, '/running?colour=red', {}],
    ['missing headers', 400, '/dhos/v1/sms', {}],
    ['a method that the address does not have', 405, '/running', { method: 'PUT' }],
    ['a body of the wrong type', 415, '/dhos/v1/sms', { method: 'POST', body: 'x' }],
    ['a compressed body', 415, '/dhos/v1/sms', { method: 'POST', body: 'x', headers: { 'content-encoding': 'gzip' } }],
  ])('%s is answered %d as application/problem+json', async (_what, status, path, init) => {
    const answer = await service.call(path, init);
    expectProblem(answer, status, /^[A-Z].*\.$|: .*\.$/);
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('every unknown query parameter is refused, on every address that takes none', async () => {
    for (const path of ['/version', '/healthcheck', '/metrics', `/dhos/v1/sms/${uuid}`, '/dhos/v1/sms/bulk_update']) {
      expectProblem(await service.call(`${path}?colour=red&x`), 400, 'Unknown: colour, x.');
    }
    expectProblem(await service.call('/running?__proto__=1'), 400, 'Unknown: __proto__.');
    expectProblem(await post('/dhos/v1/sms?dry=1', { ...json, ...tenant }, JSON.stringify(text)), 400, 'Unknown: dry.');
    const removal = { method: 'DELETE', headers: tenant };
    expectProblem(await service.call(`/dhos/v1/sms/${uuid}?x=1`, removal), 400, 'Unknown: x.');
  });
});

describe('Errors: 405 with Allow', () => {
  test.each([
    ['/running', 'GET, HEAD'],
    ['/version', 'GET, HEAD'],
    ['/healthcheck', 'GET, HEAD'],
    ['/metrics', 'GET, HEAD'],
    ['/openapi.json', 'GET, HEAD'],
    ['/openapi.yaml', 'GET, HEAD'],
    ['/ui/', 'GET, HEAD'],
    ['/console', 'GET, HEAD'],
    ['/console/messages', 'GET, HEAD'],
    ['/dhos/v1/session', 'GET, HEAD, POST, DELETE'],
    ['/dhos/v1/sms', 'GET, HEAD, POST'],
    ['/dhos/v1/sms/90422bdb-077e-4c62-8dfe-315ba3cea0ce', 'GET, HEAD, DELETE'],
    ['/dhos/v1/sms_status_counts', 'GET, HEAD'],
    ['/dhos/v1/sms/callback', 'POST'],
    ['/dhos/v1/sms/bulk_update', 'GET, POST'],
  ])('%s knows %s and nothing else', async (path, allow) => {
    const others = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter(
      (method) => !allow.split(', ').includes(method),
    );
    for (const method of others) {
      const answer = await service.call(path, { method });
      expect([method, answer.status, answer.headers.get('allow')]).toEqual([method, 405, allow]);
      if (method !== 'HEAD') expectProblem(answer, 405, `This address knows ${allow}.`);
    }
  });

  test('405 comes before 415: the address decides first', async () => {
    const answer = await service.call('/dhos/v1/sms', { method: 'PUT', headers: form, body: 'x' });
    expectProblem(answer, 405, 'This address knows GET, HEAD, POST.');
  });

  test('404 and 405 come before 415 for a compressed body, too', async () => {
    const gzip = { headers: { 'content-encoding': 'gzip' } };
    expectProblem(await service.call('/running', { ...gzip, method: 'PUT' }), 405, 'This address knows GET, HEAD.');
    expectProblem(await service.call('/nowhere', gzip), 404, 'There is nothing at this address.');
    expectProblem(await service.call('/running', gzip), 415, 'Compressed bodies are not taken.');
  });
});

describe('Errors: 415 for a wrong content type, 413 over 64 KiB', () => {
  const wrongType = 'This address does not take a body of that Content-Type.';
  const tooLarge = 'The body is larger than 64 KiB.';

  test.each(['text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'multipart/form-data', 'json', '/'])(
    'POST of a message as %s answers 415',
    async (type) => {
      expectProblem(
        await post('/dhos/v1/sms', { ...tenant, 'content-type': type }, JSON.stringify(text)),
        415,
        wrongType,
      );
    },
  );

  test('POST of a message without a content type answers 415, also without a body', async () => {
    expectProblem(await post('/dhos/v1/sms', tenant, bytes(JSON.stringify(text))), 415, /Content-Type/);
    expectProblem(await service.call('/dhos/v1/sms', { method: 'POST', headers: tenant }), 415, /Content-Type/);
  });

  test('parameters of the content type are taken', async () => {
    const headers = { ...tenant, 'content-type': 'Application/JSON; charset=utf-8' };
    expect((await post('/dhos/v1/sms', headers, JSON.stringify(text))).status).toBe(200);
  });

  test('a message of 64 KiB is read, one byte more is 413', async () => {
    const exact = JSON.stringify({ ...text, status: '' });
    const padding = 'x'.repeat(64 * 1024 - exact.length);
    const fits = JSON.stringify({ ...text, status: padding });
    expect(Buffer.byteLength(fits)).toBe(64 * 1024);
    expect((await post('/dhos/v1/sms', { ...json, ...tenant }, fits)).status).toBe(200);
    expectProblem(await post('/dhos/v1/sms', { ...json, ...tenant }, `${fits} `), 413, tooLarge);
  });

  test('413 also when the length is not announced', async () => {
    const body = `{"content":"${'x'.repeat(70_000)}"}`;
    const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    const head =
      'POST /dhos/v1/sms HTTP/1.1\r\nhost: sms\r\ncontent-type: application/json\r\ntransfer-encoding: chunked';
    const answer = await sendRaw(service.baseUrl, `${head}\r\nconnection: close\r\n\r\n${chunked}`);
    expect(answer.status).toBe(413);
    expect(answer.body).toContain(tooLarge);
  });
});

describe('Errors: validation order', () => {
  const bad = '{"content":1,"sender":"s","receiver":"+447700900123"}';
  const huge = `{"content":"${'x'.repeat(70_000)}"}`;

  test.each([
    ['content type before size', '?x=1', form, huge, 415, /Content-Type/],
    ['size before everything in the body', '?x=1', json, huge, 413, /64 KiB/],
    ['JSON before query', '?x=1', json, '{', 400, /^The body is not valid JSON\.$/],
    ['fields before query', '?x=1', json, bad, 400, /^content: must be a text\.$/],
    ['unknown query before headers', '?x=1', json, JSON.stringify(text), 400, /^Unknown: x\.$/],
    ['headers last', '', json, JSON.stringify(text), 400, /^x-trustomer: is missing\. x-product: is missing\.$/],
  ])('of a POST: %s', async (_what, query, headers, body, status, detail) => {
    expectProblem(await post(`/dhos/v1/sms${query}`, headers, body), status, detail);
  });

  test.each([
    ['unknown parameters before types', '?limit=x&colour=red', /^Unknown: colour\./],
    ['types before headers', '?limit=x', /^limit: must be a whole number, 0 or more\.$/],
    ['headers last', '?limit=1', /^x-trustomer: is missing\. x-product: is missing\.$/],
  ])('of a list: %s', async (_what, query, detail) => {
    expectProblem(await service.call(`/dhos/v1/sms${query}`), 400, detail);
  });

  test('of a callback: content type, size, signature, fields', async () => {
    const url = '/dhos/v1/sms/callback';
    const large = `MessageStatus=${'x'.repeat(70_000)}`;
    expectProblem(await post(url, json, large), 415, /Content-Type/);
    expectProblem(await post(url, form, large), 413, /16 KiB/);
    expectProblem(await post(url, form, 'MessageStatus=sent'), 403, /signature/);
    expectProblem(await service.callback({ MessageStatus: 'sent' }), 400, /^MessageSid and MessageStatus/);
  });
});

describe('Errors: never a 5xx for a bad request, and never a stack', () => {
  test.each([
    ['not JSON', '{'],
    ['two values', '{}{}'],
    ['nothing', ''],
    ['white space', ' '],
    ['NaN', '{"content":NaN}'],
    ['a trailing comma', '{"content":"x",}'],
    ['__proto__', '{"__proto__":{"content":"x"}}'],
    ['an escaped __proto__', '{"\\u005f_proto__":{"content":"x"}}'],
    ['a nested __proto__', '{"status":{"a":[{"__proto__":1}]}}'],
    ['constructor.prototype', '{"constructor":{"prototype":{"content":"x"}}}'],
  ])('a body that is %s', async (_what, body) => {
    const answer = await post('/dhos/v1/sms', { ...json, ...tenant }, body);
    expectProblem(answer, 400, /^(The body is not valid JSON|The request: a JSON object is expected)\.$/);
  });

  test.each([
    ['null', 'null', /^The request: a JSON object is expected\.$/],
    ['a list', '[]', /^The request: a JSON object is expected\.$/],
    ['a text', '"text"', /^The request: a JSON object is expected\.$/],
    ['a constructor of its own', JSON.stringify({ ...text, constructor: 1 }), /^Unknown: constructor\.$/],
    ['toString', JSON.stringify({ ...text, toString: 1 }), /^Unknown: toString\.$/],
    ['an empty object', '{}', /^sender: must be a text\. receiver: must be a text\. content: must be a text\.$/],
    ['JSON 20,000 levels deep', '['.repeat(20_000) + ']'.repeat(20_000), /^The request: a JSON object is expected\.$/],
    [
      'a field 20,000 levels deep',
      `{"content":${'['.repeat(20_000)}${']'.repeat(20_000)},"sender":"s","receiver":"r"}`,
      /^content: must be a text\.$/,
    ],
  ])('a body with %s', async (_what, body, detail) => {
    expectProblem(await post('/dhos/v1/sms', { ...json, ...tenant }, body), 400, detail);
  });

  test('an ignored field may be as deep as it likes', async () => {
    const deep = `${'{"a":'.repeat(8_000)}1${'}'.repeat(8_000)}`;
    const body = JSON.stringify({ ...text, status: 0 }).replace('"status":0', `"status":${deep}`);
    expect((await post('/dhos/v1/sms', { ...json, ...tenant }, body)).status).toBe(200);
  });

  test.each([
    ['a line that is no HTTP', 'HELLO\r\n\r\n', 400],
    ['a method that nobody knows', 'BREW / HTTP/1.1\r\nhost: sms\r\n\r\n', 400],
    ['a header with a line feed in it', 'GET /running HTTP/1.1\r\nhost: sms\r\nx-product: a\nb\r\n\r\n', 400],
    ['two lengths', 'POST /dhos/v1/sms HTTP/1.1\r\nhost: sms\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 400],
    ['headers over 16 KiB', `GET /running HTTP/1.1\r\nhost: sms\r\nx-long: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ])('%s', async (_what, request, status) => {
    const answer = await sendRaw(service.baseUrl, request);
    expect(answer.status).toBe(status);
    expect(answer.head).toMatch(/^content-type: application\/problem\+json$/im);
    expect(JSON.parse(answer.body)).toMatchObject({ type: 'about:blank', status, code: status });
  });

  test('no answer of theirs told a stack, a file or a library', async () => {
    const answers = await Promise.all([
      post('/dhos/v1/sms', { ...json, ...tenant }, '{'),
      service.call('/dhos/v1/sms/%E0%A4%A'),
      service.call('/dhos/v1/sms?limit=x', { headers: tenant }),
      service.callback({ MessageSid: 'SM1' }),
    ]);
    const raw = await sendRaw(service.baseUrl, rawRequest('POST', '/dhos/v1/sms', { ...json, ...tenant }, '{"a"'));
    for (const said of [...answers.map((answer) => answer.text), raw.body]) {
      expect(said).not.toMatch(/ at |\.[jt]s\b|node_modules|FST_|zod|Error:|JSON at position|Unexpected/);
    }
    expect(service.logged()).not.toContain('a request failed');
  });
});
