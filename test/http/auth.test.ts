import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startService } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { CannotStart } from '../../src/errors.ts';
import { openLog } from '../../src/log.ts';
import { type Caller, may, type Scope, scopes } from '../../src/tenant/caller.ts';
import { createDatabase } from '../support/database.ts';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { execute } from '../support/postgres.ts';
import { eventually, freshText, quiet, startTestService, type TestService, tenant } from '../support/service.ts';

let service: TestService;
let replica: TestService;

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
  replica = await startTestService({ ...quiet, AUTH_MODE: 'APIKEY' }, { databaseUrl: service.databaseUrl });
});
afterAll(async () => {
  await replica.stop();
  await service.stop();
});

const list = (headers: Record<string, string>, at = service) =>
  at.call('/dhos/v1/sms', { headers: { ...tenant, ...headers } });
const revoke = (id: string) => service.query('UPDATE api_key SET revoked = now() WHERE id = $1', [id]);

describe('a key', () => {
  test.for([
    ['nothing', {}, 'Bearer', /is missing/],
    ['an empty header', { authorization: '' }, 'Bearer error="invalid_token"', /is not a key/],
    ['another scheme', { authorization: 'Basic dXNlcjpwYXNz' }, 'Bearer error="invalid_token"', /is not a key/],
    ['no key', { authorization: 'Bearer secret-word' }, 'Bearer error="invalid_token"', /is not a key/],
    [
      'a key that nobody made',
      { authorization: `Bearer polaris_0123456789ab_${'A'.repeat(43)}` },
      'Bearer error="invalid_token"',
      /is not a key/,
    ],
  ] as const)(
    'that is %s: 401 in the one shape of errors, which never repeats it',
    async ([, headers, challenge, detail]) => {
      const answer = await list(headers);
      expectProblem(answer, 401, detail);
      expect(answer.headers.get('www-authenticate')).toBe(challenge);
      for (const word of ['secret-word', 'AAAA', 'dXNl', '0123456789ab']) expect(answer.text).not.toContain(word);
    },
  );

  test('is taken with its scheme in any case, and with nothing of it changed', async () => {
    const { text, id } = await createKey(service.databaseUrl, { tenant: ouh });
    expect((await list({ authorization: `bearer ${text}` })).status).toBe(200);
    const flipped = text.slice(0, -1) + (text.endsWith('A') ? 'B' : 'A');
    for (const wrong of [
      flipped,
      `${text}A`,
      text.toUpperCase(),
      text.slice(0, -1),
      text.replace(id, '0123456789ab'),
    ]) {
      expectProblem(await list({ authorization: `Bearer ${wrong}` }), 401, /is not a key/);
    }
  });

  test('is good at once when it is new, also while strangers knock', async () => {
    const knocking = Array.from({ length: 50 }, (_, n) =>
      list({ authorization: `Bearer polaris_${n.toString(16).padStart(12, '0')}_${'A'.repeat(43)}` }),
    );
    const { bearer } = await createKey(service.databaseUrl, { tenant: ouh });
    expect((await list(bearer)).status).toBe(200);
    for (const answer of await Promise.all(knocking)) expect(answer.status).toBe(401);
  });

  test('that was revoked opens nothing after 5 s, in every replica', { timeout: 20_000 }, async () => {
    const { id, bearer } = await createKey(service.databaseUrl, { tenant: ouh });
    expect([(await list(bearer)).status, (await list(bearer, replica)).status]).toEqual([200, 200]);
    await revoke(id);
    const revoked = performance.now();
    for (const at of [service, replica]) {
      await eventually(async () => (await list(bearer, at)).status === 401);
      expect(performance.now() - revoked).toBeLessThan(5_000);
    }
  });

  test('that expires opens nothing from that moment on', async () => {
    const { bearer } = await createKey(service.databaseUrl, { tenant: ouh, days: 2 / 86_400 });
    expect((await list(bearer)).status).toBe(200);
    const since = performance.now();
    await eventually(async () => (await list(bearer)).status === 401);
    expect(performance.now() - since).toBeLessThan(3_000);
  });

  test('is rotated under load without a refused request', { timeout: 30_000 }, async () => {
    const old = await createKey(service.databaseUrl, { tenant: ouh });
    let current = old;
    let isOver = false;
    const statuses: number[] = [];
    const load = [service, replica].map(async (at) => {
      while (!isOver) statuses.push((await list(current.bearer, at)).status);
    });
    for (let rotation = 0; rotation < 3; rotation += 1) {
      const before = current;
      current = await createKey(service.databaseUrl, { tenant: ouh });
      const enough = statuses.length + 20;
      await eventually(async () => statuses.length > enough);
      await revoke(before.id);
      await eventually(async () => (await list(before.bearer)).status === 401);
    }
    isOver = true;
    await Promise.all(load);
    expect(statuses.length).toBeGreaterThan(100);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    expect((await list(old.bearer)).status).toBe(401);
  });

  test('has its last use noted, once a minute at most', async () => {
    const { id, bearer } = await createKey(service.databaseUrl, { tenant: ouh });
    await list(bearer);
    const lastUsed = async () =>
      (await service.query('SELECT last_used FROM api_key WHERE id = $1', [id]))[0]?.last_used;
    const first = await eventually(lastUsed);
    for (const at of [service, replica, service]) await list(bearer, at);
    expect(await lastUsed()).toEqual(first);
  });

  test('and no part of it is logged or kept', async () => {
    const { text, bearer } = await createKey(service.databaseUrl, { tenant: ouh });
    await list(bearer);
    await list({ authorization: `Bearer ${text}x` });
    const secret = text.slice(-43);
    expect(service.logged()).toContain('"status":401');
    expect(service.logged()).not.toContain(secret);
    expect(JSON.stringify(await service.query('SELECT api_key::text, audit::text FROM api_key, audit'))).not.toContain(
      secret,
    );
  });
});

describe('the rate limit', () => {
  test('counts for each key by itself, also where two are of one tenant', async () => {
    const limited = await startTestService({
      ...quiet,
      AUTH_MODE: 'apikey',
      RATE_LIMIT_PER_S: '1',
      RATE_LIMIT_BURST: '1',
    });
    const [one, other] = [await createKey(limited.databaseUrl), await createKey(limited.databaseUrl)];
    expect((await list(one.bearer, limited)).status).toBe(200);
    expect((await list(one.bearer, limited)).status).toBe(429);
    expect((await list(other.bearer, limited)).status).toBe(200);
    expect((await list({}, limited)).status).toBe(401);
    await limited.stop();
  });
});

describe('scopes', () => {
  test('imply each other as documented, and in no other way', () => {
    const implied = (scope: Scope) => {
      const caller: Caller = { kind: 'key', id: '', name: '', tenant: null, scopes: [scope] };
      return scopes.filter((one) => may(caller, one));
    };
    expect(Object.fromEntries(scopes.map((scope) => [scope, implied(scope)]))).toEqual({
      'sms:send': ['sms:send'],
      'sms:read': ['sms:read'],
      'sms:read:content': ['sms:read', 'sms:read:content'],
      'sms:delete': ['sms:delete'],
      'sms:report': ['sms:report'],
      'sms:admin': ['sms:send', 'sms:read', 'sms:delete', 'sms:report', 'sms:admin'],
    });
  });

  test('without sms:read:content text and number are masked in every answer but that to one’s own POST', async () => {
    const { bearer } = await createKey(service.databaseUrl, { tenant: ouh, scopes: ['sms:admin'] });
    const content = 'Your result is canary-4711.';
    const error = { error_code: 'my canary-4711', error_message: 'canary-4711 for +447700900123' };
    const sent = await service.post({ ...freshText(), content, ...error }, bearer);
    expect(sent.json).toMatchObject({ content, receiver: '+447700900123' });
    const path = `/dhos/v1/sms/${sent.json.uuid}`;
    const ask = (at: string, init: RequestInit = {}) =>
      service.call(at, { ...init, headers: { ...bearer, ...(init.headers as Record<string, string>) } });
    await service.query("UPDATE message SET status = 'unconfirmed' WHERE uuid = $1", [sent.json.uuid]);
    const answers = [
      await ask(path),
      await ask(`${path}/events`),
      await ask('/dhos/v1/sms'),
      await ask('/dhos/v1/sms', { headers: { accept: 'text/csv' } }),
      await ask('/dhos/v1/sms', { headers: { accept: 'application/x-ndjson' } }),
      await ask(`${path}/settle`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"outcome":"sent"}',
      }),
      await ask(path, { method: 'DELETE' }),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(200);
      for (const secret of ['canary-4711', '447700900123']) expect(answer.text).not.toContain(secret);
    }
    expect(answers[0]?.json).toMatchObject({ content: '[masked]', receiver: '****0123' });
    expect(answers[6]?.json).toMatchObject({ content: '[masked]', receiver: '****0123' });
  });

  test('without sms:read:content nothing can be found by its number, with a cursor neither', async () => {
    const masked = await createKey(service.databaseUrl, { tenant: ouh, scopes: ['sms:read'] });
    const clear = await createKey(service.databaseUrl, { tenant: ouh });
    for (let n = 0; n < 2; n += 1) await service.post(freshText(), clear.bearer);
    const query = '/dhos/v1/sms?limit=1&receiver_e164=%2B447700900123';
    const link = (await service.call(query, { headers: clear.bearer })).headers.get('link') ?? '';
    const [, next = ''] = /<(.*)>/.exec(link) ?? [];
    expect((await service.call(next, { headers: clear.bearer })).status).toBe(200);
    for (const path of [query, query.replace('_e164', ''), next]) {
      expectProblem(
        await service.call(path, { headers: masked.bearer }),
        403,
        /needs a key with the scope sms:read:content/,
      );
    }
  });
});

describe('AUTH_MODE', () => {
  const production = {
    ENVIRONMENT: 'PRODUCTION',
    TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`,
    TWILIO_AUTH_TOKEN: 'token',
    TWILIO_CALL_BACK_URL: 'https://sms.example/dhos/v1/sms/callback',
    COUNTRY_CODE: 'GB',
  };
  const metricOf = async (at: TestService) => /^sms_authentication.*$/m.exec((await at.call('/metrics')).text)?.[0];

  test('is asked for in production by a database that we made, in one sentence; nothing listens', async () => {
    const database = await createDatabase();
    const config = readConfig({ ...production, PORT: '0', DATABASE_URL: database.url });
    const starting = startService(config, { log: openLog({ level: 'error', format: 'json' }) });
    await expect(starting).rejects.toThrow(CannotStart);
    await expect(starting).rejects.toThrow(/^AUTH_MODE is missing: set it to apikey .*, or to none .*\.$/);
    await database.drop();
  });

  test('is not asked for after a take-over: it starts, warns, and serves without keys', async () => {
    const database = await createDatabase();
    await execute(database.url, "UPDATE installation SET origin = 'taken over'");
    const taken = await startTestService(production, { databaseUrl: database.url });
    expect(taken.logged()).toMatch(/"level":"WARN".*AUTHENTICATION IS OFF/);
    expect(await metricOf(taken)).toBe('sms_authentication{mode="none",chosen="no"} 1');
    expect((await list({}, taken)).status).toBe(200);
    await taken.stop();
    await database.drop();
  });

  test('none, said on purpose, is told quietly; whatever a caller shows is not looked at', async () => {
    const open = await startTestService({ ...quiet, AUTH_MODE: 'None' });
    expect(open.logged()).not.toContain('"level":"WARN"');
    expect(open.logged()).toContain('authentication is off, as AUTH_MODE=none says');
    expect(await metricOf(open)).toBe('sms_authentication{mode="none",chosen="yes"} 1');
    expect((await list({ authorization: 'Bearer whatever' }, open)).status).toBe(200);
    const sent = await open.post(freshText());
    expect(sent.json).toMatchObject({ created_by: 'unknown', modified_by: 'unknown' });
    expect(await open.query('SELECT * FROM audit')).toEqual([]);
    await open.stop();
  });

  test('apikey without a key says how to make one; another word is refused', async () => {
    expect(service.logged()).toContain('no API key can open anything yet');
    expect(await metricOf(service)).toBe('sms_authentication{mode="apikey",chosen="yes"} 1');
    expect(() => readConfig({ ENVIRONMENT: 'TEST', AUTH_MODE: 'password' })).toThrow(
      /^AUTH_MODE must be one of NONE, APIKEY/,
    );
  });
});
