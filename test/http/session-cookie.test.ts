import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { freshText, quiet, startTestService, type TestService } from '../support/service.ts';
import { marked, sessionsOf, signedIn, signIn, signOut, whoAmI } from '../support/sessions.ts';

let service: TestService;

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
});
afterAll(() => service.stop());

const list = (at: TestService, headers: Record<string, string>) => at.call('/dhos/v1/sms', { headers });

describe('Who asks', () => {
  test('is nobody without a session and without a key', async () => {
    expectProblem(await whoAmI(service, {}), 401, /^Authorization: is missing/);
    expectProblem(await whoAmI(service, { cookie: 'polaris_session=' }), 401, /^Authorization: is missing/);
    expectProblem(await whoAmI(service, { cookie: 'polaris_session=x' }), 401, 'The session has ended: sign in again.');
  });

  test('is found among other cookies, and not when the name comes twice', async () => {
    const { cookie } = await signedIn(service);
    const among = { cookie: `a=b; xpolaris_session=1; ${cookie.cookie}; c=polaris_session=2` };
    expect((await whoAmI(service, among)).status).toBe(200);
    expectProblem(
      await whoAmI(service, { cookie: `${cookie.cookie}; polaris_session=other` }),
      401,
      /^Authorization: is missing/,
    );
  });

  test('is the key in the header, whatever the cookie says', async () => {
    const { cookie } = await signedIn(service, { tenant: ouh, name: 'of the cookie' });
    const header = await createKey(service.databaseUrl, { tenant: ouh, name: 'of the header' });
    const both = { ...cookie, ...header.bearer };
    const said = (await whoAmI(service, both)).json;
    expect([said.name, said.expires]).toEqual(['of the header', undefined]);
    expect((await service.post(freshText(), both)).json).toMatchObject({ created_by: 'of the header' });
    for (const authorization of ['', 'Bearer x', 'Basic eDp5']) {
      expectProblem(await list(service, { ...cookie, authorization }), 401, /^Authorization: is not a key/);
    }
  });
});

describe('With a session', () => {
  const otherSite = /^Sec-Fetch-Site: this request comes from another site\./;
  const unmarked = /^X-Polaris-Console: must be 1/;

  test('nothing can be changed without the header that other sites cannot send; looking needs none', async () => {
    const { cookie, id } = await signedIn(service);
    const before = (await service.query('SELECT FROM message')).length;
    for (const headers of [
      {},
      { 'x-polaris-console': '' },
      { 'x-polaris-console': '0' },
      { 'x-polaris-console': '1, 1' },
    ]) {
      expectProblem(await service.post(freshText(), { ...cookie, ...headers }), 403, unmarked);
      expectProblem(await signOut(service, { ...cookie, ...headers }), 403, unmarked);
    }
    expect((await service.query('SELECT FROM message')).length).toBe(before);
    expect(await sessionsOf(service, id)).toHaveLength(1);
    for (const method of ['GET', 'HEAD']) {
      expect((await service.call('/dhos/v1/sms', { method, headers: cookie })).status).toBe(200);
    }
    expect((await service.post(freshText(), { ...cookie, ...marked })).status).toBe(200);
    expect((await service.call('/metrics')).text).toMatch(/^sms_callers_refused_total\{reason="cross-site"\} \d/m);
  });

  test.for([
    ['same-origin', 200, 200],
    ['none', 200, 403],
    ['same-site', 403, 403],
    ['cross-site', 403, 403],
    ['', 403, 403],
    ['same-origin, same-origin', 403, 403],
  ] as const)('Sec-Fetch-Site %j: looking is answered %d, changing %d', async ([site, looking, changing]) => {
    const { cookie } = await signedIn(service);
    const headers = { ...cookie, ...marked, 'sec-fetch-site': site };
    const [looked, changed] = [await list(service, headers), await service.post(freshText(), headers)];
    expect([looked.status, changed.status]).toEqual([looking, changing]);
    expect((await whoAmI(service, headers)).status).toBe(looking);
    if (looking === 403) expectProblem(looked, 403, otherSite);
    if (changing === 403) expectProblem(changed, 403, otherSite);
  });

  test('another site cannot ask leave: a preflight is granted nothing', async () => {
    const asked = await service.call('/dhos/v1/sms', {
      method: 'OPTIONS',
      headers: {
        origin: 'https://evil.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'x-polaris-console',
      },
    });
    expect(asked.status).toBe(405);
    expect([...asked.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  test('another site cannot sign anybody in either', async () => {
    const { text } = await createKey(service.databaseUrl);
    for (const site of ['cross-site', 'same-site', 'none']) {
      const answer = await signIn(service, text, { 'sec-fetch-site': site });
      expectProblem(answer, 403, otherSite);
      expect(answer.headers.get('set-cookie')).toBeNull();
    }
    expect((await signIn(service, text, { 'sec-fetch-site': 'same-origin' })).status).toBe(200);
    // Without leave a page sends forms and plain text only.
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      expect((await signIn(service, text, { 'content-type': type })).status).toBe(415);
    }
  });

  test('a key in the header needs none of this', async () => {
    const { bearer } = await createKey(service.databaseUrl, { tenant: ouh });
    expect((await service.post(freshText(), { ...bearer, 'sec-fetch-site': 'cross-site' })).status).toBe(200);
  });
});
