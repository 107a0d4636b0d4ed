import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Route } from '../../src/http/identity.ts';
import { scopes } from '../../src/tenant/caller.ts';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { freshText, quiet, startTestService, type TestService, tenant } from '../support/service.ts';

/** What each route does for a key of another tenant that may do everything there, and what it must not do. */
type Foreign = {
  readonly path?: string;
  readonly body?: unknown;
  /** The answer's status, without tenant headers: the key's own tenant is meant. */
  readonly status: number;
};

const list = { status: 200 };
const foreign: Readonly<Record<string, Foreign>> = {
  'POST /dhos/v1/sms': { body: freshText(), status: 200 },
  'GET /dhos/v1/sms': list,
  'HEAD /dhos/v1/sms': list,
  'GET /dhos/v1/sms/:message_id': { status: 404 },
  'HEAD /dhos/v1/sms/:message_id': { status: 404 },
  'DELETE /dhos/v1/sms/:message_id': { status: 404 },
  'GET /dhos/v1/sms/:message_id/events': { status: 404 },
  'HEAD /dhos/v1/sms/:message_id/events': { status: 404 },
  'GET /dhos/v1/sms/:message_id/explanation': { status: 404 },
  'HEAD /dhos/v1/sms/:message_id/explanation': { status: 404 },
  'POST /dhos/v1/sms/:message_id/send_again': { status: 404 },
  'POST /dhos/v1/sms/:message_id/poll': { status: 404 },
  'POST /dhos/v1/sms/:message_id/settle': { body: { outcome: 'sent' }, status: 404 },
  'GET /dhos/v1/sms/bulk_update': { status: 403 },
  'POST /dhos/v1/sms/bulk_update': { status: 403 },
  'GET /dhos/v1/sms/bulk_update/progress': { status: 403 },
  'HEAD /dhos/v1/sms/bulk_update/progress': { status: 403 },
  'GET /dhos/v1/sms_status_counts': {
    path: '/dhos/v1/sms_status_counts?start_date=2020-01-01T00:00:00Z&end_date=2099-01-01T00:00:00Z',
    status: 200,
  },
  'HEAD /dhos/v1/sms_status_counts': {
    path: '/dhos/v1/sms_status_counts?start_date=2020-01-01T00:00:00Z&end_date=2099-01-01T00:00:00Z',
    status: 200,
  },
  'GET /dhos/v1/error_codes': list,
  'GET /dhos/v1/error_counts': {
    path: '/dhos/v1/error_counts?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z',
    status: 200,
  },
  'HEAD /dhos/v1/error_codes': list,
  'HEAD /dhos/v1/error_counts': {
    path: '/dhos/v1/error_counts?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z',
    status: 200,
  },
  'GET /dhos/v1/checks': list,
  'HEAD /dhos/v1/checks': list,
  'GET /dhos/v1/delivery_times': {
    path: '/dhos/v1/delivery_times?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z',
    status: 200,
  },
  'HEAD /dhos/v1/delivery_times': {
    path: '/dhos/v1/delivery_times?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z',
    status: 200,
  },
  'GET /dhos/v1/redaction_report': {
    path: '/dhos/v1/redaction_report?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z',
    status: 200,
  },
  'HEAD /dhos/v1/redaction_report': {
    path: '/dhos/v1/redaction_report?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z',
    status: 200,
  },
  'POST /dhos/v1/sms_search': { body: {}, ...list },
  'GET /dhos/v1/tenants': list,
  'HEAD /dhos/v1/tenants': list,
  'GET /dhos/v1/audit': list,
  'HEAD /dhos/v1/audit': list,
};

/** Open: they tell nothing of any tenant, or Twilio's signature guards them; to sign in one needs a key. */
const open = [
  'DELETE /dhos/v1/session',
  'GET /console',
  'GET /console/*',
  'GET /dhos/v1/session',
  'GET /healthcheck',
  'GET /metrics',
  'GET /openapi.json',
  'GET /openapi.yaml',
  'GET /running',
  'GET /version',
  'POST /dhos/v1/session',
  'POST /dhos/v1/sms/callback',
];

const routes: Route[] = [];
let service: TestService;
let theirs: Record<string, string>;
let ours: Record<string, string>;
let uuid: string;
let sid: string;

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' }, { onRoute: (route) => routes.push(route) });
  ours = (await createKey(service.databaseUrl, { tenant: ouh })).bearer;
  theirs = (await createKey(service.databaseUrl, { tenant: { trustomerCode: 'other', productName: 'gdm' } })).bearer;
  const sent = await service.post(freshText(), ours);
  expect(sent.status).toBe(200);
  uuid = sent.json.uuid;
  sid = sent.json.twilio_sid;
});
afterAll(() => service.stop());

const guarded = () => routes.filter(({ scope }) => scope !== 'open');
const nameOf = ({ method, url }: Route) => `${method} ${url}`;
/** Those that answer 405, and nothing else, are not routes that anybody can use. */
const isAnswered = async ({ method, url }: Route) => {
  const answer = await service.call(url.replace(':message_id', randomUUID()), { method });
  return answer.status !== 405;
};

function callAs(route: Route, headers: Record<string, string>) {
  const { path = route.url.replace(':message_id', uuid), body } = foreign[nameOf(route)] as Foreign;
  return service.call(path, {
    method: route.method,
    headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

describe('every route', () => {
  test('is in this walk: a new one has to be added to it', () => {
    expect(
      guarded()
        .map(nameOf)
        .filter((name) => !name.startsWith('OPTIONS'))
        .sort(),
    ).toEqual(Object.keys(foreign).sort());
  });

  test('that is open is one that we know to be', async () => {
    const answered: string[] = [];
    for (const route of routes.filter(({ scope, url }) => scope === 'open' && !url.startsWith('/ui'))) {
      if (route.method !== 'HEAD' && (await isAnswered(route))) answered.push(nameOf(route));
    }
    expect([...new Set(answered)].sort()).toEqual(open);
  });

  test('asks for a key', async () => {
    for (const route of guarded()) {
      const answer = await callAs(route, tenant);
      expect([nameOf(route), answer.status]).toEqual([nameOf(route), 401]);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      if (route.method !== 'HEAD') expectProblem(answer, 401, /^Authorization: is missing/);
    }
  });

  test('is described with its scope, for a key or a session; an open one with neither', async () => {
    const { json } = await service.call('/openapi.json');
    const schemes = { apiKey: { type: 'http' }, session: { type: 'apiKey', in: 'cookie', name: 'polaris_session' } };
    expect(json.components.securitySchemes).toMatchObject(schemes);
    for (const { method, url, scope } of routes) {
      const described = json.paths[url.replace(/:(\w+)/, '{$1}')]?.[method.toLowerCase()];
      if (described === undefined) continue;
      const ways = scope === 'open' ? undefined : [{ apiKey: [scope] }, { session: [scope] }];
      expect([method, url, described.security]).toEqual([method, url, ways]);
    }
  });

  test('refuses a key without its scope, and lets one with nothing but its scope in', async () => {
    for (const route of guarded()) {
      const { scope } = route;
      const without = scopes.filter((one) => one !== scope && one !== 'sms:admin' && one !== 'sms:read:content');
      const wrong = await createKey(service.databaseUrl, { tenant: ouh, scopes: without });
      const refused = await callAs(route, wrong.bearer);
      expect([nameOf(route), refused.status]).toEqual([nameOf(route), 403]);
      if (route.method !== 'HEAD') expectProblem(refused, 403, `This needs a key with the scope ${scope}.`);
      if (scope === 'open' || route.method === 'DELETE') continue;
      const right = await createKey(service.databaseUrl, { tenant: null, scopes: [scope] });
      const let_in = await callAs(route, { ...right.bearer, ...tenant });
      expect([nameOf(route), let_in.status]).not.toEqual([nameOf(route), 403]);
    }
  });

  test('tells a foreign tenant nothing of a message, and changes nothing for it', async () => {
    const before = await service.query('SELECT * FROM message WHERE uuid = $1', [uuid]);
    for (const route of guarded()) {
      const answer = await callAs(route, theirs);
      expect([nameOf(route), answer.status]).toEqual([nameOf(route), foreign[nameOf(route)]?.status]);
      const said = answer.text + JSON.stringify([...answer.headers]);
      for (const secret of [uuid, sid, 'ouh']) expect(said).not.toContain(secret);
    }
    expect(await service.query('SELECT * FROM message WHERE uuid = $1', [uuid])).toEqual(before);
  });

  test('refuses the headers of a tenant that is not the key’s', async () => {
    const disagreeing = [
      tenant,
      { 'x-trustomer': 'OUH' },
      { 'x-trustomer': '' },
      { 'x-product': 'other' },
      { 'x-trustomer': 'other, OUH', 'x-product': 'gdm' },
    ];
    for (const route of guarded()) {
      for (const headers of disagreeing) {
        const answer = await callAs(route, { ...theirs, ...headers } as Record<string, string>);
        expect([nameOf(route), answer.status]).toEqual([nameOf(route), 403]);
      }
    }
  });
});
