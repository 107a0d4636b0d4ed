import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rawRequest, sendRaw } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService, tenant, text } from '../support/service.ts';

let service: TestService;
let uuid: string;

beforeAll(async () => {
  service = await startTestService();
  ({ uuid } = await insertOriginalRow(service));
});
afterAll(() => service.stop());

const nothingMayRun = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const always = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};

/** What a browser or an attacker reads in the head of an answer. */
function read(headers: Headers) {
  const of = (names: string[]) => Object.fromEntries(names.map((name) => [name, headers.get(name)]));
  expect(of(Object.keys(always))).toEqual(always);
  expect(of(['server', 'x-powered-by', 'strict-transport-security'])).toEqual({
    server: null,
    'x-powered-by': null,
    'strict-transport-security': null,
  });
  return { policy: headers.get('content-security-policy'), cache: headers.get('cache-control') };
}

function headersOf(head: string): Headers {
  const lines = head.split('\r\n').slice(1);
  return new Headers(lines.map((line) => line.split(/: (.*)/, 2) as [string, string]));
}

describe('Security headers', () => {
  test('a message, a list and reports are kept by nobody but their reader, who asks each time', async () => {
    const counts = '/dhos/v1/sms_status_counts?start_date=2026-01-01T00:00:00Z&end_date=2026-12-31T00:00:00Z';
    for (const path of [`/dhos/v1/sms/${uuid}`, `/dhos/v1/sms/${uuid}/events`, '/dhos/v1/sms', counts, '/version']) {
      const answer = await service.call(path, { headers: tenant });
      expect([answer.status, read(answer.headers)]).toEqual([
        200,
        { policy: nothingMayRun, cache: 'private, no-cache' },
      ]);
      const etag = answer.headers.get('etag') ?? '';
      const again = await service.call(path, { headers: { ...tenant, 'if-none-match': etag } });
      if (path !== counts) expect([again.status, read(again.headers).cache]).toEqual([304, 'private, no-cache']);
    }
  });

  test.each([
    ['a text that was sent', 200, '/dhos/v1/sms', { method: 'POST', body: JSON.stringify(text), headers: tenant }],
    ['a deletion', 404, '/dhos/v1/sms/unknown', { method: 'DELETE', headers: tenant }],
    ['an unknown address', 404, '/nowhere', {}],
    ['an unknown address under /ui', 404, '/ui/nowhere', {}],
    ['an address that cannot be decoded', 400, '/dhos/v1/sms/%E0%A4%A', {}],
    ['an address that is too long', 404, `/dhos/v1/sms/${'x'.repeat(600)}`, {}],
    ['an unknown parameter', 400, '/running?x=1', {}],
    ['a wrong method', 405, '/running', { method: 'PUT' }],
    ['a compressed body', 415, '/dhos/v1/sms', { method: 'POST', headers: { 'content-encoding': 'br' }, body: '' }],
    ['a body that is too large', 413, '/dhos/v1/sms', { method: 'POST', body: 'x'.repeat(70_000), headers: tenant }],
    ['a forged callback', 403, '/dhos/v1/sms/callback', { method: 'POST', body: new URLSearchParams({ a: '1' }) }],
    ['a health check', 200, '/healthcheck', {}],
    ['a bulk update', 204, '/dhos/v1/sms/bulk_update', { method: 'POST' }],
  ])('%s is kept by nobody at all', async (_what, status, path, init: RequestInit) => {
    const json = typeof init.body === 'string' ? { 'content-type': 'application/json' } : {};
    const answer = await service.call(path, { ...init, headers: { ...json, ...init.headers } });
    expect(answer.status).toBe(status);
    expect(read(answer.headers)).toEqual({ policy: nothingMayRun, cache: 'no-store' });
  });

  test('a list that is streamed has no ETag, and is kept by nobody', async () => {
    const headers = { 'x-trustomer': 'streamed', 'x-product': 'gdm' };
    await service.query(
      `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status,
                            twilio_sid, trustomer_code, product_name)
       SELECT gen_random_uuid(), now(), 'x', now(), 'x', '+447700900001', '+447700900123', 'x', 'delivered',
              'SM' || md5(n::text), 'streamed', 'gdm' FROM generate_series(1, 1100) n`,
    );
    const answer = await service.call('/dhos/v1/sms', { headers });
    expect([answer.json.length, answer.headers.get('etag')]).toEqual([1100, null]);
    expect(read(answer.headers)).toEqual({ policy: nothingMayRun, cache: 'no-store' });
  });

  test('bytes that are no HTTP are answered with them, too', async () => {
    for (const bytes of ['HELLO\r\n\r\n', `GET / HTTP/1.1\r\nhost: a\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`]) {
      const { head } = await sendRaw(service.baseUrl, bytes);
      expect(read(headersOf(head))).toEqual({ policy: nothingMayRun, cache: 'no-store' });
    }
  });

  test('a HEAD and an answer over HTTP/1.0 carry them', async () => {
    const head = await service.call(`/dhos/v1/sms/${uuid}`, { method: 'HEAD' });
    expect(read(head.headers)).toEqual({ policy: nothingMayRun, cache: 'private, no-cache' });
    const old = rawRequest('GET', '/running', {}).toString().replace('HTTP/1.1', 'HTTP/1.0');
    expect(read(headersOf((await sendRaw(service.baseUrl, old)).head)).policy).toBe(nothingMayRun);
  });
});

describe('/ui/ under its own policy', () => {
  test('everything its page loads comes from here, nothing stands inline, and nothing may be evaluated', async () => {
    const page = await service.call('/ui/');
    const { policy } = read(page.headers);
    expect(policy).toContain("script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'");
    expect(policy).not.toContain('unsafe');
    expect(page.text).not.toMatch(/<script(?![^>]* src=)[^>]*>|<style|\son\w+=|\sstyle=/i);
    const loaded = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address = '']) => address);
    expect(loaded.length).toBeGreaterThan(5);
    for (const address of [...loaded, 'json']) {
      const asset = await service.call(new URL(address, `${service.baseUrl}/ui/`).pathname);
      expect([address, asset.status]).toEqual([address, 200]);
      expect(read(asset.headers).policy).toBe(policy);
    }
  });

  test('the script that starts it evaluates no text', async () => {
    const start = await service.call('/ui/static/swagger-initializer.js');
    expect(start.text).not.toMatch(/\beval\(|new Function\(/);
  });
});
