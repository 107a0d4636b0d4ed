import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readApi } from './fuzz/document.ts';
import { faultOf } from './fuzz/judge.ts';
import { exchange, faultOfRaw, type RawCase } from './fuzz/raw.ts';
import { requestsOf } from './fuzz/requests.ts';
import { violationOf } from './fuzz/schema-check.ts';
import { goodValue } from './fuzz/values.ts';

/** The judge of `make fuzz`: what it must not let pass. */

const api = readApi(parse(readFileSync(new URL('../../docs/openapi.yaml', import.meta.url), 'utf8')));
const operation = api.operations.find(({ method, path }) => method === 'GET' && path === '/version');
if (operation === undefined) throw new Error('the document has no GET /version');
const asked = { operation, method: 'GET', path: '/version', headers: [], body: null };
const good = {
  status: 200,
  contentType: 'application/json; charset=utf-8',
  allow: undefined,
  body: '{"circle":"1","hash":"a","version":"1"}',
};
const problem = JSON.stringify({ type: 'about:blank', title: 'x', status: 404, detail: 'x', message: 'x', code: 404 });

describe('answers', () => {
  test('one that the document has is no fault', () => {
    expect(faultOf(api, asked, good)).toBeNull();
    expect(faultOf(api, { ...asked, method: 'HEAD' }, { ...good, body: '' })).toBeNull();
  });

  test.each([
    ['a 5xx', { ...good, status: 500 }, /answered 500/],
    ['a status that is not declared', { ...good, status: 202 }, /which the document does not have/],
    ['another media type', { ...good, contentType: 'text/html' }, /as text\/html/],
    ['a field more', { ...good, body: '{"circle":"1","hash":"a","version":"1","stack":"x"}' }, /stack is not in/],
    ['a field less', { ...good, body: '{"circle":"1","hash":"a"}' }, /version is missing/],
    ['a field of another type', { ...good, body: '{"circle":1,"hash":"a","version":"1"}' }, /circle is not of type/],
    ['no JSON', { ...good, body: '{' }, /not JSON/],
  ])('%s is a fault', (_what, said, words) => {
    expect(faultOf(api, asked, said)).toMatch(words);
  });

  test('a method that the address does not have: 405 with Allow, and nothing else', () => {
    const put = { ...asked, method: 'PUT' };
    const refused = { status: 405, contentType: 'application/problem+json', allow: 'GET, HEAD', body: problem };
    expect(faultOf(api, put, refused)).toBeNull();
    expect(faultOf(api, put, { ...refused, allow: undefined })).toMatch(/without Allow/);
    expect(faultOf(api, put, good)).toMatch(/no such operation/);
    expect(faultOf(api, put, { ...refused, contentType: 'text/html' })).toMatch(/another shape/);
  });

  test('HEAD where GET changes something: 405, and Allow without HEAD', () => {
    const head = { ...asked, method: 'HEAD' };
    const refused = { status: 405, contentType: 'application/problem+json', allow: 'GET, POST', body: '' };
    expect(faultOf(api, head, refused)).toBeNull();
    expect(faultOf(api, head, { ...refused, allow: 'GET, HEAD' })).toMatch(/does not leave HEAD out/);
    expect(faultOf(api, head, { ...refused, allow: undefined })).toMatch(/does not leave HEAD out/);
  });
});

describe('schemas', () => {
  test('every schema of the document is understood, and what is made from it fits it', () => {
    for (const { answers } of api.operations) {
      for (const answer of Object.values(answers)) {
        for (const { schema } of Object.values(api.resolve(answer).content ?? {})) {
          for (const value of fc.sample(goodValue(api, schema), { numRuns: 20, seed: 1 })) {
            expect(violationOf(api, schema, value)).toBeNull();
          }
        }
      }
    }
  });

  test('one that is not understood is not passed over', () => {
    const unread = { type: 'object', patternProperties: {} };
    expect(() => violationOf(api, unread, {})).toThrow('does not understand patternProperties');
  });
});

test('the same seed asks the same, every operation among it, good and spoilt', () => {
  const knowledge = { api, uuids: ['u'], callbackUrl: 'http://sms.example/dhos/v1/sms/callback', authToken: 'x' };
  const draw = () => fc.sample(requestsOf(knowledge), { numRuns: 20_000, seed: 7 });
  const [one, two] = [draw(), draw()];
  expect(one.map(({ method, path }) => `${method} ${path}`)).toEqual(
    two.map(({ method, path }) => `${method} ${path}`),
  );
  expect(new Set(one.map((each) => each.operation)).size).toBe(api.operations.length);
  expect(one.some(({ method, operation: of }) => method !== of.method)).toBe(true);
});

test('an answer too many is a fault: a request was smuggled in', () => {
  const lone: RawCase = { what: 'a lone one', bytes: '', expected: [400] };
  expect(faultOfRaw(lone, { statuses: [400], toldOf: [] })).toBeNull();
  expect(faultOfRaw(lone, { statuses: [400, 200], toldOf: [] })).toMatch(/400,200, not 400/);
  expect(faultOfRaw(lone, { statuses: [], toldOf: [] })).toMatch(/not at all/);
  expect(faultOfRaw({ ...lone, expected: null }, { statuses: [500], toldOf: [] })).toMatch(/answered 500/);
});

test('nobody listens: the exchange fails, and is not taken for silence', async () => {
  await expect(exchange('http://127.0.0.1:1', 'GET / HTTP/1.1\r\n\r\n', 1_000)).rejects.toThrow('ECONNREFUSED');
});
