import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Db, openDb } from '../../src/db/db.ts';
import type { HttpApp } from '../../src/http/app-type.ts';
import { identifyCallers } from '../../src/http/identity.ts';
import { openLog } from '../../src/log.ts';
import { isSecret, makeApiKey, parseApiKey } from '../../src/tenant/api-key.ts';
import { makeAuthenticate } from '../../src/tenant/authenticate.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { createKey, ouh } from '../support/keys.ts';
import { eventually } from '../support/service.ts';

const log = openLog({ level: 'error', format: 'json' });
let database: TestDatabase;
let db: Db;
let statements: string[] = [];
/** Set: the database is away. */
let fault: Error | null = null;

beforeAll(async () => {
  database = await createDatabase();
  const opened = openDb({ url: database.url, poolSize: 2 });
  db = {
    ...opened,
    query: async (statement) => {
      statements.push(statement.name ?? statement.text);
      if (fault !== null) throw fault;
      return opened.query(statement);
    },
  };
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

const stranger = (n: number) => `Bearer polaris_${n.toString(16).padStart(12, '0')}_${'x'.repeat(43)}`;

describe('a key', () => {
  test('is 256 random bits behind a readable prefix, and only itself is itself', () => {
    const [one, other] = [makeApiKey(), makeApiKey()];
    expect(one.text).toMatch(/^polaris_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$/);
    const given = parseApiKey(one.text);
    expect(given?.id).toBe(one.id);
    expect(Buffer.from(given?.secret ?? '', 'base64url')).toHaveLength(32);
    expect(one.hash).toHaveLength(32);
    expect(one.text).not.toContain(one.hash.toString('base64url'));
    expect(isSecret(given?.secret ?? '', one.hash)).toBe(true);
    expect(isSecret(given?.secret ?? '', other.hash)).toBe(false);
    expect(isSecret(given?.secret ?? '', Buffer.alloc(0))).toBe(false);
  });

  test.for([
    '',
    'polaris_',
    'polaris_x_y',
    `polaris_0123456789ab_${'a'.repeat(44)}`,
    `Polaris_0123456789ab_${'a'.repeat(43)}`,
  ])('has a form that %j does not have', (text) => {
    expect(parseApiKey(text)).toBeNull();
  });
});

describe('who asks', () => {
  test('2,000 keys that nobody made cost no more than five statements a second', async () => {
    const authenticate = makeAuthenticate({ db, log });
    statements = [];
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: 2_000 }, (_, n) => authenticate(stranger(n))));
    for (let n = 0; n < 3; n += 1) answers.push(await authenticate(stranger(n)));
    const seconds = (performance.now() - began) / 1_000;
    expect(answers.every((caller) => caller === null)).toBe(true);
    expect(statements.length).toBeLessThanOrEqual(Math.ceil(seconds * 5) + 1);
  });

  test('what does not have the form of a key costs none', async () => {
    const authenticate = makeAuthenticate({ db, log });
    statements = [];
    for (const header of [undefined, '', 'Bearer', 'Bearer x', 'Basic eDp5', `Bearer ${'x'.repeat(8_000)}`]) {
      expect(await authenticate(header)).toBeNull();
    }
    expect(statements).toEqual([]);
  });

  test('a good key is looked up once, and who it is said', async () => {
    const authenticate = makeAuthenticate({ db, log });
    const { id, bearer } = await createKey(database.url, { tenant: ouh, name: 'clinic', scopes: ['sms:read'] });
    statements = [];
    for (let n = 0; n < 100; n += 1) {
      expect(await authenticate(bearer.authorization)).toEqual({
        kind: 'key',
        id,
        name: 'clinic',
        tenant: ouh,
        scopes: ['sms:read'],
      });
    }
    expect(statements.toSorted()).toEqual(['list-live-keys', 'note-key-used']);
  });

  test('while the database is away, what was known is believed for 3 s, then nobody is let in', {
    timeout: 15_000,
  }, async () => {
    const authenticate = makeAuthenticate({ db, log });
    const { bearer } = await createKey(database.url, { tenant: ouh });
    expect(await authenticate(bearer.authorization)).not.toBeNull();
    const known = performance.now();
    fault = new Error('away');
    try {
      expect(await authenticate(bearer.authorization)).not.toBeNull();
      await expect(authenticate(stranger(1))).rejects.toThrow('away');
      await eventually(() =>
        authenticate(bearer.authorization).then(
          () => false,
          () => true,
        ),
      );
      expect(performance.now() - known).toBeLessThan(5_000);
    } finally {
      fault = null;
    }
    expect(await authenticate(bearer.authorization)).not.toBeNull();
  });
});

describe('a route', () => {
  const open = () => {
    const app: HttpApp = Fastify();
    identifyCallers(app, { authenticate: async () => null, countRefused: () => {}, onRoute: () => {} });
    return app;
  };

  test('that declares no scope keeps the service from starting', () => {
    for (const url of ['/dhos/v1/new', '/new', '/runningaway', '/metrics/more']) {
      expect(() => open().get(url, async () => 'told')).toThrow(`The route ${url} declares no scope.`);
    }
    expect(() => open().get('/running', async () => 'told')).not.toThrow();
  });

  test('that declares one is closed, its HEAD too', async () => {
    const app = open();
    app.get('/dhos/v1/new', { config: { scope: 'sms:read' } }, async () => 'told');
    for (const method of ['GET', 'HEAD'] as const) {
      const answer = await app.inject({ method, url: '/dhos/v1/new' });
      expect(answer.body).not.toContain('told');
      expect(answer.statusCode).not.toBe(200);
    }
  });
});
