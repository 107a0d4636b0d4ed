import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scopes } from '../../src/tenant/caller.ts';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { type Answer, eventually, quiet, startTestService, type TestService, tenant } from '../support/service.ts';
import { revoke, SESSION, sessionsOf, signedIn, signIn, whoAmI } from '../support/sessions.ts';

let service: TestService;
let replica: TestService;

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
  replica = await startTestService({ ...quiet, AUTH_MODE: 'apikey' }, { databaseUrl: service.databaseUrl });
});
afterAll(async () => {
  await replica.stop();
  await service.stop();
});

const list = (at: TestService, headers: Record<string, string>) => at.call('/dhos/v1/sms', { headers });

describe('Signing in', () => {
  test('with a key opens what the key opens, in every replica at once, for twelve hours', async () => {
    const { cookie, answer } = await signedIn(service, { tenant: ouh, name: 'clinic', scopes: ['sms:admin'] });
    expect(answer.json).toEqual({
      authentication: 'apikey',
      name: 'clinic',
      trustomer_code: 'ouh',
      product_name: 'gdm',
      scopes: scopes.filter((scope) => scope !== 'sms:read:content'),
      expires: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/),
    });
    const hours = (Date.parse(answer.json.expires) - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(11.9);
    expect(hours).toBeLessThanOrEqual(12.01);
    for (const at of [replica, service]) {
      expect((await whoAmI(at, cookie)).json).toEqual(answer.json);
      expect((await list(at, cookie)).status).toBe(200);
    }
    expectProblem(await list(service, { ...cookie, 'x-trustomer': 'other' }), 403, /are not the tenant of this key/);
  });

  test('with a key for all tenants says no tenant', async () => {
    const { answer } = await signedIn(service, { scopes: ['sms:report'] });
    expect(Object.keys(answer.json).sort()).toEqual(['authentication', 'expires', 'name', 'scopes']);
  });

  test('sets a cookie that no script reads, that no other site’s request carries, and that goes with the session', async () => {
    const { answer } = await signedIn(service);
    expect(answer.headers.get('set-cookie')).toMatch(
      /^polaris_session=polaris_[0-9a-f]{12}_[\w-]{43}; Max-Age=4(3199|3200); Path=\/; HttpOnly; SameSite=Strict$/,
    );
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  test('in production sets it for TLS alone', async () => {
    const production = await startTestService(
      {
        ENVIRONMENT: 'PRODUCTION',
        AUTH_MODE: 'apikey',
        TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`,
        TWILIO_AUTH_TOKEN: 'token',
        TWILIO_CALL_BACK_URL: 'https://sms.example/dhos/v1/sms/callback',
        COUNTRY_CODE: 'GB',
      },
      { databaseUrl: service.databaseUrl },
    );
    const { text } = await createKey(service.databaseUrl);
    const cookie = (await signIn(production, text)).headers.get('set-cookie');
    expect(cookie).toMatch(/; HttpOnly; SameSite=Strict; Secure$/);
    await production.stop();
  });

  test('takes a key with spaces around it, as people paste one', async () => {
    const { text } = await createKey(service.databaseUrl);
    expect((await signIn(service, ` ${text}\n`)).status).toBe(200);
  });

  test('with anything else is answered alike, whatever is wrong with it, and counted', async () => {
    const { id, text } = await createKey(service.databaseUrl);
    const revoked = await createKey(service.databaseUrl);
    await revoke(service, revoked.id);
    const flipped = text.slice(0, -1) + (text.endsWith('A') ? 'B' : 'A');
    const wrong = [
      '',
      'canary-word',
      `Bearer ${text}`,
      `polaris_${id}_${'A'.repeat(43)}`,
      flipped,
      `polaris_0123456789ab_${'A'.repeat(43)}`,
      revoked.text,
    ];
    const answers: Answer[] = [];
    for (const key of wrong) answers.push(await signIn(service, key));
    for (const answer of answers) {
      expectProblem(answer, 401, 'key: is not a key that is good here.');
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      expect(answer.headers.get('set-cookie')).toBeNull();
    }
    expect((await service.call('/metrics')).text).toMatch(
      /^sms_callers_refused_total\{reason="unknown"\} (?:[7-9]|\d\d)/m,
    );
    expect(await sessionsOf(service, id)).toEqual([]);
  });

  test('with a key that was revoked this moment is refused, however lately it was good', async () => {
    const { id, text } = await signedIn(service);
    await revoke(service, id);
    expectProblem(await signIn(service, text), 401, 'key: is not a key that is good here.');
    expect(await sessionsOf(service, id)).toHaveLength(1);
  });

  test.for([
    [{}, /^key: /],
    [{ key: 4711 }, /^key: /],
    [{ key: 'x'.repeat(201) }, /^key: must not be longer than 200/],
    [{ key: 'a\0b' }, /NUL/],
    [{ key: 'x', name: 'y' }, 'Unknown: name.'],
    [[], 'The request: a JSON object is expected.'],
  ] as const)('with a body like %j is a bad request', async ([body, detail]) => {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    expectProblem(await service.call(SESSION, init), 400, detail);
  });

  test('with a session is not possible, or it would last for ever; as a header it is no key', async () => {
    const { cookie, id } = await signedIn(service);
    const text = cookie.cookie.replace('polaris_session=', '');
    expectProblem(await signIn(service, text), 401, 'key: is not a key that is good here.');
    expectProblem(await list(service, { authorization: `Bearer ${text}` }), 401, /^Authorization: is not a key/);
    expectProblem(await whoAmI(service, { authorization: `Bearer ${text}` }), 401, /^Authorization: is not a key/);
    expect(await sessionsOf(service, id)).toHaveLength(1);
  });

  test('with a key in the cookie is not possible', async () => {
    const { text } = await createKey(service.databaseUrl);
    expectProblem(
      await list(service, { cookie: `polaris_session=${text}` }),
      401,
      'The session has ended: sign in again.',
    );
  });

  test('more than twenty times with one key ends the oldest session', async () => {
    const { id, text, cookie } = await signedIn(service);
    for (let n = 0; n < 20; n += 1) expect((await signIn(service, text)).status).toBe(200);
    expect(await sessionsOf(service, id)).toHaveLength(20);
    await eventually(async () => (await whoAmI(service, cookie)).status === 401);
  });

  test('is refused when too many are signed in, and keys can still be made', async () => {
    const { id } = await createKey(service.databaseUrl);
    const full = `INSERT INTO api_key (id, name, hash, scopes, created, expires, session_of)
      SELECT 'full' || n, 'x', '', '{}', now(), now() + interval '1 day', 'none' FROM generate_series(1, 2000) n`;
    await service.query(full);
    try {
      const { text } = await createKey(service.databaseUrl);
      const answer = await signIn(service, text);
      expectProblem(answer, 503, /^Too many are signed in/);
      expect(answer.headers.get('retry-after')).toBe('60');
      expect(await sessionsOf(service, id)).toEqual([]);
    } finally {
      await service.query("DELETE FROM api_key WHERE session_of = 'none'");
    }
  });

  test('leaves no secret in the log and in the database', async () => {
    const { text, cookie } = await signedIn(service);
    await list(service, { cookie: `${cookie.cookie}x` });
    for (const secret of [text.slice(-43), cookie.cookie.slice(-43)]) {
      expect(service.logged()).not.toContain(secret);
      const rows = await service.query('SELECT api_key::text FROM api_key UNION ALL SELECT audit::text FROM audit');
      expect(JSON.stringify(rows)).not.toContain(secret);
    }
  });
});

describe('With AUTH_MODE=none', () => {
  let open: TestService;
  beforeAll(async () => {
    open = await startTestService({ ...quiet, AUTH_MODE: 'none' });
  });
  afterAll(() => open.stop());

  test('there is nothing to sign in to, whoever asks may do everything, and a cookie is not looked at', async () => {
    expectProblem(await signIn(open, 'x'), 409, /^There is nothing to sign in to: AUTH_MODE is none/);
    expect((await whoAmI(open, {})).json).toEqual({ authentication: 'none', scopes: [...scopes] });
    const cookie = { cookie: 'polaris_session=x', 'sec-fetch-site': 'cross-site' };
    expect((await list(open, { ...tenant, ...cookie })).status).toBe(200);
    expect((await open.call(SESSION, { method: 'DELETE', headers: cookie })).status).toBe(204);
  });
});
