import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDb } from '../../src/db/db.ts';
import { scopes } from '../../src/tenant/caller.ts';
import { purgeSessions } from '../../src/tenant/sessions.ts';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import {
  type Answer,
  eventually,
  freshText,
  quiet,
  startTestService,
  type TestService,
  tenant,
} from '../support/service.ts';

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

const path = '/dhos/v1/session';
const console_ = { 'x-polaris-console': '1' };
const signIn = (key: unknown, headers: Record<string, string> = {}, at = service) =>
  at.call(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ key }),
  });
const signOut = (headers: Record<string, string>) => service.call(path, { method: 'DELETE', headers });
const whoAmI = (headers: Record<string, string>, at = service) => at.call(path, { headers });
/** What a browser would send back. */
const cookieOf = (answer: Answer) => ({ cookie: (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? '' });
const idOf = ({ cookie }: { cookie: string }) => /_([0-9a-f]{12})_/.exec(cookie)?.[1] ?? '';
const list = (headers: Record<string, string>, at = service) => at.call('/dhos/v1/sms', { headers });
const sessionsOf = (key: string) => service.query('SELECT * FROM api_key WHERE session_of = $1', [key]);
const revoke = (id: string) => service.query('UPDATE api_key SET revoked = now() WHERE id = $1', [id]);

async function signedIn(key: Parameters<typeof createKey>[1] = { tenant: ouh }) {
  const made = await createKey(service.databaseUrl, key);
  const answer = await signIn(made.text);
  expect(answer.status).toBe(200);
  return { ...made, answer, cookie: cookieOf(answer) };
}

describe('Signing in', () => {
  test('with a key opens what the key opens, in every replica at once, for twelve hours', async () => {
    const { cookie, answer } = await signedIn({ tenant: ouh, name: 'clinic', scopes: ['sms:admin'] });
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
      expect((await whoAmI(cookie, at)).json).toEqual(answer.json);
      expect((await list(cookie, at)).status).toBe(200);
    }
    expectProblem(await list({ ...cookie, 'x-trustomer': 'other' }), 403, /are not the tenant of this key/);
  });

  test('with a key for all tenants says no tenant', async () => {
    const { answer } = await signedIn({ scopes: ['sms:report'] });
    expect(Object.keys(answer.json).sort()).toEqual(['authentication', 'expires', 'name', 'scopes']);
  });

  test('sets a cookie that no script reads, that no other site’s request carries, and that goes with the session', async () => {
    const { answer } = await signedIn();
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
    const cookie = (await signIn(text, {}, production)).headers.get('set-cookie');
    expect(cookie).toMatch(/; HttpOnly; SameSite=Strict; Secure$/);
    await production.stop();
  });

  test('takes a key with spaces around it, as people paste one', async () => {
    const { text } = await createKey(service.databaseUrl);
    expect((await signIn(` ${text}\n`)).status).toBe(200);
  });

  test('with anything else is answered alike, whatever is wrong with it, and counted', async () => {
    const { id, text } = await createKey(service.databaseUrl);
    const revoked = await createKey(service.databaseUrl);
    await revoke(revoked.id);
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
    for (const key of wrong) answers.push(await signIn(key));
    for (const answer of answers) {
      expectProblem(answer, 401, 'key: is not a key that is good here.');
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      expect(answer.headers.get('set-cookie')).toBeNull();
    }
    expect((await service.call('/metrics')).text).toMatch(
      /^sms_callers_refused_total\{reason="unknown"\} (?:[7-9]|\d\d)/m,
    );
    expect(await sessionsOf(id)).toEqual([]);
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
    expectProblem(await service.call(path, init), 400, detail);
  });

  test('with a session is not possible, or it would last for ever; as a header it is no key', async () => {
    const { cookie, id } = await signedIn();
    const text = cookie.cookie.replace('polaris_session=', '');
    expectProblem(await signIn(text), 401, 'key: is not a key that is good here.');
    expectProblem(await list({ authorization: `Bearer ${text}` }), 401, /^Authorization: is not a key/);
    expectProblem(await whoAmI({ authorization: `Bearer ${text}` }), 401, /^Authorization: is not a key/);
    expect(await sessionsOf(id)).toHaveLength(1);
  });

  test('with a key in the cookie is not possible', async () => {
    const { text } = await createKey(service.databaseUrl);
    expectProblem(await list({ cookie: `polaris_session=${text}` }), 401, 'The session has ended: sign in again.');
  });

  test('more than twenty times with one key ends the oldest session', async () => {
    const { id, text, cookie } = await signedIn();
    for (let n = 0; n < 20; n += 1) expect((await signIn(text)).status).toBe(200);
    expect(await sessionsOf(id)).toHaveLength(20);
    await eventually(async () => (await whoAmI(cookie)).status === 401);
  });

  test('is refused when too many are signed in, and keys can still be made', async () => {
    const { id } = await createKey(service.databaseUrl);
    const full = `INSERT INTO api_key (id, name, hash, scopes, created, expires, session_of)
      SELECT 'full' || n, 'x', '', '{}', now(), now() + interval '1 day', 'none' FROM generate_series(1, 2000) n`;
    await service.query(full);
    try {
      const { text } = await createKey(service.databaseUrl);
      const answer = await signIn(text);
      expectProblem(answer, 503, /^Too many are signed in/);
      expect(answer.headers.get('retry-after')).toBe('60');
      expect(await sessionsOf(id)).toEqual([]);
    } finally {
      await service.query("DELETE FROM api_key WHERE session_of = 'none'");
    }
  });

  test('leaves no secret in the log and in the database', async () => {
    const { text, cookie } = await signedIn();
    await list({ cookie: `${cookie.cookie}x` });
    for (const secret of [text.slice(-43), cookie.cookie.slice(-43)]) {
      expect(service.logged()).not.toContain(secret);
      const rows = await service.query('SELECT api_key::text FROM api_key UNION ALL SELECT audit::text FROM audit');
      expect(JSON.stringify(rows)).not.toContain(secret);
    }
  });
});

describe('A session', () => {
  test('ends when it is signed out of: the cookie goes, and it opens nothing after 5 s', {
    timeout: 20_000,
  }, async () => {
    const { cookie, id } = await signedIn();
    for (const at of [service, replica]) expect((await list(cookie, at)).status).toBe(200);
    const out = await signOut({ ...cookie, ...console_ });
    expect([out.status, out.text]).toEqual([204, '']);
    expect(out.headers.get('set-cookie')).toBe('polaris_session=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict');
    const ended = performance.now();
    for (const at of [service, replica]) {
      await eventually(async () => (await list(cookie, at)).status === 401);
      expect(performance.now() - ended).toBeLessThan(5_000);
    }
    expectProblem(await list(cookie), 401, 'The session has ended: sign in again.');
    expect(await sessionsOf(id)).toEqual([]);
    expect((await signOut({ ...cookie, ...console_ })).status).toBe(204);
    expect((await signOut({})).status).toBe(204);
  });

  test('ends within 5 s, in every replica, when its key is revoked', { timeout: 20_000 }, async () => {
    const { cookie, id } = await signedIn();
    for (const at of [service, replica]) expect((await list(cookie, at)).status).toBe(200);
    await revoke(id);
    const revoked = performance.now();
    for (const at of [service, replica]) {
      await eventually(async () => (await list(cookie, at)).status === 401);
      expect(performance.now() - revoked).toBeLessThan(5_000);
    }
  });

  test('ends with its key, and never later', async () => {
    const { cookie, answer } = await signedIn({ tenant: ouh, days: 3 / 86_400 });
    expect(answer.headers.get('set-cookie')).toMatch(/Max-Age=[12];/);
    expect((await list(cookie)).status).toBe(200);
    await eventually(async () => (await list(cookie)).status === 401);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(answer.json.expires) - 50);
  });

  test('ends at its own time while its key goes on', async () => {
    const { cookie, id, bearer } = await signedIn();
    await service.query("UPDATE api_key SET expires = now() AT TIME ZONE 'utc' WHERE session_of = $1", [id]);
    await eventually(async () => (await list(cookie)).status === 401);
    expect((await list(bearer)).status).toBe(200);
  });

  test('is forgotten within the hour once it is over, by its time or by its key; others stay', async () => {
    const [over, revoked, going] = [await signedIn(), await signedIn(), await signedIn()];
    await service.query("UPDATE api_key SET expires = now() AT TIME ZONE 'utc' WHERE session_of = $1", [over.id]);
    await revoke(revoked.id);
    const db = openDb({ url: service.databaseUrl, poolSize: 1 });
    expect(await purgeSessions(db)).toBeGreaterThanOrEqual(2);
    await db.close();
    for (const { id } of [over, revoked]) expect(await sessionsOf(id)).toEqual([]);
    expect(await sessionsOf(going.id)).toHaveLength(1);
    expect(await service.query('SELECT id FROM api_key WHERE id = ANY($1)', [[over.id, revoked.id]])).toHaveLength(2);
  });

  test('is on record under the name of its key: the message, what was read, and both its ends', async () => {
    const { cookie, id } = await signedIn({ tenant: ouh, name: 'ward 7' });
    const sent = await service.post(freshText(), { ...cookie, ...console_ });
    expect(sent.json).toMatchObject({ created_by: 'ward 7' });
    await service.call(`/dhos/v1/sms/${sent.json.uuid}`, { headers: cookie });
    await signOut({ ...cookie, ...console_ });
    const entries = await service.query(
      'SELECT actor, actor_name, action, trustomer_code, details FROM audit WHERE actor = $1 ORDER BY id',
      [id],
    );
    const entry = (action: string, details = {}) => ({
      actor: id,
      actor_name: 'ward 7',
      action,
      trustomer_code: 'ouh',
      details,
    });
    const session = { session: idOf(cookie) };
    expect(entries).toEqual([entry('signed in', session), entry('sent'), entry('read'), entry('signed out', session)]);
  });

  test('counts as the use of its key', async () => {
    const { cookie, id } = await signedIn();
    await list(cookie);
    const used = () => service.query('SELECT FROM api_key WHERE id = $1 AND last_used IS NOT NULL', [id]);
    await eventually(async () => (await used()).length === 1);
  });

  test('has what its key has, also when that changes', async () => {
    const { cookie, id } = await signedIn();
    await service.query("UPDATE api_key SET scopes = '{sms:report}' WHERE id = $1", [id]);
    await eventually(async () => (await list(cookie)).status === 403);
    expect((await whoAmI(cookie)).json.scopes).toEqual(['sms:report']);
  });
});

describe('Who asks', () => {
  test('is nobody without a session and without a key', async () => {
    expectProblem(await whoAmI({}), 401, /^Authorization: is missing/);
    expectProblem(await whoAmI({ cookie: 'polaris_session=' }), 401, /^Authorization: is missing/);
    expectProblem(await whoAmI({ cookie: 'polaris_session=x' }), 401, 'The session has ended: sign in again.');
  });

  test('is found among other cookies, and not when the name comes twice', async () => {
    const { cookie } = await signedIn();
    const among = { cookie: `a=b; xpolaris_session=1; ${cookie.cookie}; c=polaris_session=2` };
    expect((await whoAmI(among)).status).toBe(200);
    expectProblem(
      await whoAmI({ cookie: `${cookie.cookie}; polaris_session=other` }),
      401,
      /^Authorization: is missing/,
    );
  });

  test('is the key in the header, whatever the cookie says', async () => {
    const { cookie } = await signedIn({ tenant: ouh, name: 'of the cookie' });
    const header = await createKey(service.databaseUrl, { tenant: ouh, name: 'of the header' });
    const both = { ...cookie, ...header.bearer };
    const said = (await whoAmI(both)).json;
    expect([said.name, said.expires]).toEqual(['of the header', undefined]);
    expect((await service.post(freshText(), both)).json).toMatchObject({ created_by: 'of the header' });
    for (const authorization of ['', 'Bearer x', 'Basic eDp5']) {
      expectProblem(await list({ ...cookie, authorization }), 401, /^Authorization: is not a key/);
    }
  });
});

describe('With a session', () => {
  const otherSite = /^Sec-Fetch-Site: this request comes from another site\./;
  const unmarked = /^X-Polaris-Console: must be 1/;

  test('nothing can be changed without the header that other sites cannot send; looking needs none', async () => {
    const { cookie, id } = await signedIn();
    const before = (await service.query('SELECT FROM message')).length;
    for (const headers of [
      {},
      { 'x-polaris-console': '' },
      { 'x-polaris-console': '0' },
      { 'x-polaris-console': '1, 1' },
    ]) {
      expectProblem(await service.post(freshText(), { ...cookie, ...headers }), 403, unmarked);
      expectProblem(await signOut({ ...cookie, ...headers }), 403, unmarked);
    }
    expect((await service.query('SELECT FROM message')).length).toBe(before);
    expect(await sessionsOf(id)).toHaveLength(1);
    for (const method of ['GET', 'HEAD']) {
      expect((await service.call('/dhos/v1/sms', { method, headers: cookie })).status).toBe(200);
    }
    expect((await service.post(freshText(), { ...cookie, ...console_ })).status).toBe(200);
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
    const { cookie } = await signedIn();
    const headers = { ...cookie, ...console_, 'sec-fetch-site': site };
    const [looked, changed] = [await list(headers), await service.post(freshText(), headers)];
    expect([looked.status, changed.status]).toEqual([looking, changing]);
    expect((await whoAmI(headers)).status).toBe(looking);
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
      const answer = await signIn(text, { 'sec-fetch-site': site });
      expectProblem(answer, 403, otherSite);
      expect(answer.headers.get('set-cookie')).toBeNull();
    }
    expect((await signIn(text, { 'sec-fetch-site': 'same-origin' })).status).toBe(200);
    // Without leave a page sends forms and plain text only.
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      expect((await signIn(text, { 'content-type': type })).status).toBe(415);
    }
  });

  test('a key in the header needs none of this', async () => {
    const { bearer } = await createKey(service.databaseUrl, { tenant: ouh });
    expect((await service.post(freshText(), { ...bearer, 'sec-fetch-site': 'cross-site' })).status).toBe(200);
  });
});

describe('With AUTH_MODE=none', () => {
  let open: TestService;
  beforeAll(async () => {
    open = await startTestService({ ...quiet, AUTH_MODE: 'none' });
  });
  afterAll(() => open.stop());

  test('there is nothing to sign in to, whoever asks may do everything, and a cookie is not looked at', async () => {
    expectProblem(await signIn('x', {}, open), 409, /^There is nothing to sign in to: AUTH_MODE is none/);
    expect((await whoAmI({}, open)).json).toEqual({ authentication: 'none', scopes: [...scopes] });
    const cookie = { cookie: 'polaris_session=x', 'sec-fetch-site': 'cross-site' };
    expect((await list({ ...tenant, ...cookie }, open)).status).toBe(200);
    expect((await open.call(path, { method: 'DELETE', headers: cookie })).status).toBe(204);
  });
});
