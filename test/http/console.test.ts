import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HttpApp } from '../../src/http/app-type.ts';
import { type ConsoleDeps, consoleRoutes } from '../../src/http/console.ts';
import { readConsole } from '../../src/http/console-files.ts';
import { chooseEncoding } from '../../src/http/encoding.ts';
import { identifyCallers } from '../../src/http/identity.ts';
import { expectProblem, rawRequest, readRaw, sendRaw } from '../support/http.ts';
import { quiet, startTestService, type TestService } from '../support/service.ts';

const page = `<!doctype html><title>Console</title>${'<p>page</p>'.repeat(100)}`;
const script = `console.log(${'"script", '.repeat(200)}1);`;
const folder = mkdtempSync(path.join(tmpdir(), 'polaris-console-'));
mkdirSync(path.join(folder, 'assets'));
writeFileSync(path.join(folder, 'index.html'), page);
writeFileSync(path.join(folder, 'icon.svg'), '<svg/>');
writeFileSync(path.join(folder, 'assets/index-B2x.js'), script);
writeFileSync(path.join(folder, 'assets/index-C3y.css'), 'p{}');
writeFileSync(path.join(folder, 'assets/index-D4z.woff2'), 'font');

let service: TestService;

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' }, { consoleFolder: folder });
});
afterAll(async () => {
  await service.stop();
  rmSync(folder, { recursive: true });
});

const plainly = { 'accept-encoding': 'identity' };
const get = (at: string, headers: Record<string, string> = plainly, method = 'GET') =>
  service.call(at, { headers, method, redirect: 'manual' });
const asset = '/console/assets/index-B2x.js';

describe('The console', () => {
  test('is at /console/, and /console leads there', async () => {
    const answer = await get('/console/');
    expect([answer.status, answer.text]).toEqual([200, page]);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const redirect = await get('/console');
    expect([redirect.status, redirect.headers.get('location')]).toEqual([302, '/console/']);
  });

  test.for([
    '/console/messages',
    '/console/messages?q=1&status=failed',
    '/console/messages/90422bdb-077e-4c62-8dfe-315ba3cea0ce',
    '/console/errors/30003/',
    '/console/index.html',
    '/console/a.b..c',
    '/console/%E2%80%AE',
  ])('%s, an address of its own, is the page, which is asked for each time', async (at) => {
    const answer = await get(at);
    expect([answer.status, answer.text, answer.headers.get('cache-control')]).toEqual([200, page, 'no-cache']);
  });

  test.for([
    ['assets/index-B2x.js', 'text/javascript; charset=utf-8', 'public, max-age=31536000, immutable'],
    ['assets/index-C3y.css', 'text/css; charset=utf-8', 'public, max-age=31536000, immutable'],
    ['assets/index-D4z.woff2', 'font/woff2', 'public, max-age=31536000, immutable'],
    ['icon.svg', 'image/svg+xml', 'no-cache'],
  ] as const)('its file %s is %s, and %s', async ([name, type, cache]) => {
    const { status, headers } = await get(`/console/${name}`);
    expect([status, headers.get('content-type'), headers.get('cache-control')]).toEqual([200, type, cache]);
    expect(headers.get('vary')).toBe('accept-encoding');
  });

  test('an unknown file among them is not there', async () => {
    for (const at of ['/console/assets/', '/console/assets/index-old.js', '/console/assets/toString']) {
      expectProblem(await get(at), 404, 'There is nothing at this address.');
    }
  });

  test('may load and ask nothing but this service, and no form of it is sent', async () => {
    for (const at of ['/console/', '/console', asset, '/console/assets/none', '/console/x/y']) {
      expect((await get(at)).headers.get('content-security-policy')).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      );
    }
    expect((await get('/consoles')).headers.get('content-security-policy')).toBe(
      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
  });

  test('is no part of the described API', async () => {
    expect((await get('/openapi.json')).text).not.toContain('/console');
  });

  test.for([
    '/console/../package.json',
    '/console/..',
    '/console/../../etc/passwd',
    '/console/%2e%2e/package.json',
    '/console/%2E%2E%2Fpackage.json',
    '/console/assets/../../package.json',
    '/console/assets/%2e%2e/%2e%2e/package.json',
    '/console/..%5c..%5cpackage.json',
    '/console/..\\..\\package.json',
    '/console/index.html%00',
    '/console/assets/index-B2x.js%00.html',
    '/console/./index.html',
    '/console//../x',
  ])('%s: no address of it leads out of its folder', async (at) => {
    const answer = await sendRaw(service.baseUrl, rawRequest('GET', at, {}));
    expect(answer.status).toBe(404);
    expect(answer.body).toContain('There is nothing at this address.');
  });

  test.for(['/console/%252e%252e/package.json', '/console//etc/passwd', '/console/package.json', '/console/C:/x'])(
    '%s is the page and nothing else',
    async (at) => {
      expect((await sendRaw(service.baseUrl, rawRequest('GET', at, {}))).body).toBe(page);
    },
  );

  test('a HEAD is answered as the GET, without the bytes', async () => {
    for (const at of ['/console/', asset]) {
      const names = ['content-length', 'content-type', 'etag', 'cache-control', 'vary'];
      const [head, whole] = [await get(at, plainly, 'HEAD'), await get(at)];
      expect([head.status, head.text]).toEqual([200, '']);
      for (const name of names) expect([name, head.headers.get(name)]).toEqual([name, whole.headers.get(name)]);
    }
    expect(await readRaw(service.baseUrl, rawRequest('HEAD', asset, {}))).toMatch(/\r\n\r\n$/);
  });

  test('what a browser holds already is not sent again, in each encoding by its own tag', async () => {
    const tags = new Set<string>();
    for (const encoding of ['identity', 'gzip', 'br']) {
      const headers = { 'accept-encoding': encoding };
      const etag = (await get(asset, headers)).headers.get('etag') ?? '';
      expect(etag).toMatch(/^"[\w-]{43}"$/);
      tags.add(etag);
      const again = await get(asset, { ...headers, 'if-none-match': etag });
      expect([again.status, again.text, again.headers.get('etag')]).toEqual([304, '', etag]);
      expect(again.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
      expect((await get(asset, { ...headers, 'if-none-match': '"other"' })).status).toBe(200);
    }
    expect(tags.size).toBe(3);
  });

  test('its files go as small as the browser can read them', async () => {
    const bytesOf = async (encoding: string) => {
      const { head, body } = await readBytes(rawRequest('GET', asset, { 'accept-encoding': encoding }));
      return { said: /^content-encoding: (.*)$/im.exec(head)?.[1] ?? 'identity', body };
    };
    const [br, gzip, identity] = [await bytesOf('gzip, deflate, br, zstd'), await bytesOf('gzip'), await bytesOf('')];
    expect([br.said, gzip.said, identity.said]).toEqual(['br', 'gzip', 'identity']);
    expect(brotliDecompressSync(br.body).toString()).toBe(script);
    expect(gunzipSync(gzip.body).toString()).toBe(script);
    expect(identity.body.toString()).toBe(script);
    expect(br.body.length).toBeLessThan(identity.body.length / 4);
    // Of three bytes nothing becomes smaller.
    const tiny = await get('/console/assets/index-C3y.css', { 'accept-encoding': 'br, gzip' });
    expect([tiny.headers.get('content-encoding'), tiny.text]).toEqual([null, 'p{}']);
  });
});

describe('An encoding', () => {
  test.for([
    [undefined, null],
    ['', null],
    ['br', 'br'],
    ['gzip, br', 'br'],
    ['GZIP', 'gzip'],
    ['br;q=0.5, gzip;q=0.8', 'gzip'],
    ['br;q=0, gzip;q=0.0', null],
    ['*', 'br'],
    ['*;q=0.1, br;q=0', 'gzip'],
    ['identity;q=0', null],
    ['deflate, zstd', null],
    ['br;q=x', null],
    [';;,,', null],
  ] as const)('of %j is %j', ([accepted, chosen]) => {
    expect(chooseEncoding(accepted, ['br', 'gzip'])).toBe(chosen);
  });
});

describe('Without keys', () => {
  const closed = /^The console is closed while nobody signs in: set AUTH_MODE=apikey/;

  test('it is closed everywhere but in development, to programs and to people in their own form', async () => {
    const other = await startTestService({ ...quiet, ENVIRONMENT: 'STAGING' }, { consoleFolder: folder });
    for (const at of ['/console', '/console/', asset, '/console/messages']) {
      expectProblem(await other.call(at), 403, closed);
    }
    const browser = await other.call('/console/', { headers: { accept: 'text/html,*/*;q=0.8' } });
    expect([browser.status, browser.headers.get('content-type')]).toEqual([403, 'text/plain; charset=utf-8']);
    expect(browser.text).toMatch(closed);
    await other.stop();
  });

  test('in development it is open to the machine it runs on', async () => {
    const development = await startTestService(quiet, { consoleFolder: folder });
    expect((await development.call('/console/')).status).toBe(200);
    await development.stop();
  });

  test.for([
    ['127.0.0.1', 200],
    ['127.8.9.10', 200],
    ['::1', 200],
    ['::ffff:127.0.0.1', 200],
    ['10.0.0.7', 403],
    ['192.168.127.1', 403],
    ['::ffff:10.0.0.7', 403],
    ['fe80::1', 403],
    ['2001:db8::127.0.0.1', 403],
  ] as const)('in development a peer at %s is answered %d', async ([remoteAddress, status]) => {
    const app = await serve({ files: await readConsole(folder), door: 'this machine' });
    const headers = { 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1', host: 'localhost' };
    expect((await app.inject({ url: '/console/', remoteAddress, headers })).statusCode).toBe(status);
  });
});

describe('Without keys, in development', () => {
  const at = (host: string, path = '/console/') =>
    serve({ files: null, door: 'this machine' }).then((app) =>
      app.inject({ url: path, remoteAddress: '127.0.0.1', headers: { host, origin: 'http://localhost' } }),
    );

  test.for([
    'localhost',
    'localhost:5000',
    'LOCALHOST:5000',
    '127.0.0.1',
    '127.0.0.1:5000',
    '127.8.9.10:80',
    '[::1]',
    '[::1]:5000',
  ])('it is there at %s', async (host) => {
    expect((await at(host)).json()).toMatchObject({ detail: expect.stringMatching(/^The console is not built/) });
  });

  test.for([
    'evil.example',
    'evil.example:5000',
    'localhost.evil.example',
    'localhost:5000.evil.example',
    '127.0.0.1.evil.example',
    '127.0.0.1.nip.io:5000',
    'evil.example#localhost',
    'localhost@evil.example',
    '10.0.0.7:5000',
    '0.0.0.0:5000',
    '[::ffff:127.0.0.1]',
    '[2001:db8::1]',
    'localhost.',
  ])('at %j: no other site gets it by pointing a name of its own here', async (host) => {
    for (const path of ['/console', '/console/', '/console/messages', asset]) {
      const answer = await at(host, path);
      expect([answer.statusCode, answer.json().detail]).toEqual([403, expect.stringMatching(/at no other name/)]);
    }
  });

  test('and the API answers at any name, as ever', async () => {
    const development = await startTestService(quiet, { consoleFolder: folder });
    const ask = (path: string) =>
      sendRaw(development.baseUrl, rawRequest('GET', path, { host: 'evil.example' })).then(({ status }) => status);
    expect([await ask('/version'), await ask('/dhos/v1/tenants'), await ask('/console/')]).toEqual([200, 200, 403]);
    await development.stop();
  });

  test('with keys the console is at any name', async () => {
    const request = rawRequest('GET', '/console/', { host: 'sms.hospital.example' });
    expect((await sendRaw(service.baseUrl, request)).status).toBe(200);
  });
});

describe('Before it is built', () => {
  test('it says how to build it', async () => {
    const bare = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
    for (const at of ['/console/', asset]) {
      expectProblem(await bare.call(at), 404, /^The console is not built: npm run console:build, then start again\.$/);
    }
    await bare.stop();
  });

  test('nor is it there when its page is missing', async () => {
    expect(await readConsole(path.join(folder, 'assets'))).toBeNull();
    expect(await readConsole(path.join(folder, 'none'))).toBeNull();
  });
});

async function serve(deps: ConsoleDeps): Promise<HttpApp> {
  const app: HttpApp = Fastify();
  identifyCallers(app, { authenticate: null, countRefused: () => {}, onRoute: () => {} });
  await app.register((scope: HttpApp) => consoleRoutes(scope, deps));
  return app;
}

async function readBytes(request: Buffer): Promise<{ head: string; body: Buffer }> {
  const { hostname, port } = new URL(service.baseUrl);
  const chunks: Buffer[] = [];
  const socket = connect(Number(port), hostname, () => socket.write(request));
  for await (const chunk of socket) chunks.push(chunk);
  const all = Buffer.concat(chunks);
  const end = all.indexOf('\r\n\r\n');
  return { head: all.subarray(0, end).toString(), body: all.subarray(end + 4) };
}
