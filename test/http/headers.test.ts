import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem, rawRequest, readRaw, sendRaw } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService, tenant, text } from '../support/service.ts';

let service: TestService;

beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());

const freshId = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('Edges: ETag / If-None-Match on GET', () => {
  const get = (path: string, headers: Record<string, string> = {}) => service.call(path, { headers });

  test('a message has a strong ETag, and 304 without a body answers who holds it', async () => {
    const { uuid } = await insertOriginalRow(service);
    const path = `/dhos/v1/sms/${uuid}`;
    const first = await get(path);
    const etag = first.headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[^"]{20,}"$/);
    const again = await get(path, { 'if-none-match': etag });
    expect([again.status, again.text, again.headers.get('etag')]).toEqual([304, '', etag]);
  });

  test('a list of tags, a weak one and * are understood; another tag is answered 200', async () => {
    const { uuid } = await insertOriginalRow(service);
    const path = `/dhos/v1/sms/${uuid}`;
    const etag = (await get(path)).headers.get('etag');
    for (const known of [`"x", ${etag}`, `W/${etag}`, '*']) {
      expect((await get(path, { 'if-none-match': known })).status).toBe(304);
    }
    for (const other of ['"x"', `${etag}x`, '']) {
      expect((await get(path, { 'if-none-match': other })).status).toBe(200);
    }
  });

  test('a changed message has another ETag', async () => {
    const { uuid, sid } = await insertOriginalRow(service);
    const etag = (await get(`/dhos/v1/sms/${uuid}`)).headers.get('etag') ?? '';
    await service.callback({ MessageSid: sid, MessageStatus: 'delivered' });
    const changed = await get(`/dhos/v1/sms/${uuid}`, { 'if-none-match': etag });
    expect([changed.status, changed.json.status]).toEqual([200, 'delivered']);
    expect(changed.headers.get('etag')).not.toBe(etag);
  });

  test('the list, HEAD and /version have one too', async () => {
    const headers = { 'x-trustomer': 'etag', 'x-product': 'gdm' };
    for (const [path, init] of [
      ['/dhos/v1/sms', { headers }],
      ['/version', {}],
      ['/version', { method: 'HEAD' }],
    ] as const) {
      const etag = (await service.call(path, init)).headers.get('etag') ?? '';
      expect(etag).toMatch(/^"/);
      const again = await service.call(path, { ...init, headers: { ...headers, 'if-none-match': etag } });
      expect(again.status).toBe(304);
    }
  });

  test('a 304 says no length but the one that the whole answer has', async () => {
    const { uuid } = await insertOriginalRow(service);
    for (const path of [`/dhos/v1/sms/${uuid}`, '/version']) {
      const whole = await get(path);
      const headers = { 'if-none-match': whole.headers.get('etag') ?? '' };
      const length = String(Buffer.byteLength(whole.text));
      for (const [method, lengths] of [
        ['GET', []],
        ['HEAD', [length]],
      ] as const) {
        const { status, head, body } = await sendRaw(service.baseUrl, rawRequest(method, path, headers));
        expect([status, body]).toEqual([304, '']);
        expect(
          [...head.matchAll(/^(content-length|transfer-encoding): (.*?)\r?$/gim)].map(([, , said]) => said),
        ).toEqual(lengths);
      }
    }
  });

  test('a connection goes on after a 304', async () => {
    const again = rawRequest('GET', '/version', { 'if-none-match': '*', connection: 'keep-alive' });
    const both = await readRaw(service.baseUrl, Buffer.concat([again, rawRequest('GET', '/running', {})]));
    expect(both.match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 304', 'HTTP/1.1 200']);
  });

  test('a list so long that it is streamed has no tag, and comes whole to whoever holds anything', async () => {
    await service.query(
      `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, trustomer_code, product_name)
       SELECT 'long-' || n, now(), 'x', now(), 'x', 's', '+447700900100', 'x', 'sent', 'long', 'gdm' FROM generate_series(1, 1001) AS n`,
    );
    const answer = await get('/dhos/v1/sms', { 'x-trustomer': 'long', 'x-product': 'gdm', 'if-none-match': '*' });
    expect([answer.status, answer.headers.get('etag'), answer.json.length]).toEqual([200, null, 1001]);
  });

  test('an error is never 304, and neither is what a POST or DELETE answers', async () => {
    expectProblem(await get('/dhos/v1/sms/unknown', { 'if-none-match': '*' }), 404, 'There is no such message.');
    expectProblem(await get('/nowhere', { 'if-none-match': '*' }), 404, 'There is nothing at this address.');
    const sent = await service.post(text, { ...tenant, 'if-none-match': '*' });
    expect(sent.status).toBe(200);
    const headers = { ...tenant, 'if-none-match': '*' };
    expect((await service.call(`/dhos/v1/sms/${sent.json.uuid}`, { method: 'DELETE', headers })).status).toBe(200);
  });
});

describe('Edges: X-Request-ID', () => {
  const idAnswered = async (given?: string, path = '/running') =>
    (await service.call(path, given === undefined ? {} : { headers: { 'x-request-id': given } })).headers.get(
      'x-request-id',
    );

  test('a short printable id is echoed', async () => {
    expect(await idAnswered('abc-123_/:=')).toBe('abc-123_/:=');
    expect(await idAnswered('x'.repeat(128))).toBe('x'.repeat(128));
  });

  test('without one there is a new uuid, another one each time', async () => {
    const [one, two] = [await idAnswered(), await idAnswered()];
    expect(one).toMatch(freshId);
    expect(two).toMatch(freshId);
    expect(one).not.toBe(two);
  });

  test.each([
    ['too long', 'x'.repeat(129)],
    ['empty', ''],
    ['with a space', 'a b'],
    ['with a tab', 'a\tb'],
    ['not ASCII', 'é'],
    ['with a control character', 'a\u0085b'],
  ])('one that is %s is replaced', async (_what, given) => {
    expect(await idAnswered(given)).toMatch(freshId);
  });

  test('one that comes twice is replaced, or joined by Node into one that is', async () => {
    const request =
      'GET /running HTTP/1.1\r\nhost: sms\r\nconnection: close\r\nx-request-id: a\r\nx-request-id: b\r\n\r\n';
    const { head } = await sendRaw(service.baseUrl, request);
    expect(/^x-request-id: (.*)$/im.exec(head)?.[1]).toMatch(freshId);
  });

  test('errors carry it, whoever found them', async () => {
    for (const path of ['/nowhere', '/dhos/v1/sms/%E0%A4%A', `/dhos/v1/sms/${'x'.repeat(600)}`, '/running?x=1']) {
      expect(await idAnswered('from-the-caller', path)).toBe('from-the-caller');
    }
    const put = { method: 'PUT', headers: { 'x-request-id': 'from-the-caller' } };
    expect((await service.call('/running', put)).headers.get('x-request-id')).toBe('from-the-caller');
  });

  test('the log lines of a request carry it', async () => {
    await idAnswered('find-me-in-the-log', '/version');
    const lines = service
      .logged()
      .split('\n')
      .filter((line) => line.includes('find-me-in-the-log'));
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ requestID: 'find-me-in-the-log', method: 'GET', route: '/version', status: 200 }),
    ]);
  });
});

test('an X-Request-ID that could be a phone number is echoed, and is not in the log', async () => {
  for (const given of ['+447700900123', '07700.900.123', '(0770)-0900123']) {
    const answer = await service.call('/version', { headers: { 'x-request-id': given } });
    expect(answer.headers.get('x-request-id')).toBe(given);
    expect(service.logged()).not.toContain(given);
  }
});

describe('Edges: names of headers', () => {
  test('are read in any case', async () => {
    const headers = { 'CONTENT-TYPE': 'application/json', 'x-TRUSTOMER': 'Ouh', 'X-Product': 'gdm' };
    const request = rawRequest('POST', '/dhos/v1/sms', headers, JSON.stringify(text));
    const answer = await sendRaw(service.baseUrl, request);
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ trustomer_code: 'ouh', product_name: 'gdm' });
  });
});
