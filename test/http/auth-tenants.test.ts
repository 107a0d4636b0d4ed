import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scopes } from '../../src/tenant/caller.ts';
import { createKey } from '../support/keys.ts';
import { type Answer, freshText, quiet, startTestService, type TestService } from '../support/service.ts';

const ACTIONS = 5_000;
const AT_ONCE = 10;
const SEED = 20261124;
const errorSpan = 'from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z';
const span = 'start_date=2020-01-01T00:00:00Z&end_date=2099-01-01T00:00:00Z';

/** Both halves of a tenant's name are shared with another one: neither alone may be enough. */
const tenants = [
  { trustomerCode: 'alpha', productName: 'gdm' },
  { trustomerCode: 'alpha', productName: 'send' },
  { trustomerCode: 'beta', productName: 'gdm' },
  { trustomerCode: 'gamma', productName: 'other' },
];

type Party = {
  readonly n: number;
  readonly bearer: Record<string, string>;
  readonly headers: Record<string, string>;
  /** Its messages, and what their texts hold: a word that stands nowhere else. */
  readonly uuids: string[];
  readonly canary: string;
  readonly cursor: string;
};

let service: TestService;
const parties: Party[] = [];

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
  for (const [n, tenant] of tenants.entries()) {
    const { bearer } = await createKey(service.databaseUrl, { tenant, scopes, name: `key-${n}` });
    const canary = `canary-of-tenant-${n}-`;
    const uuids: string[] = [];
    for (let i = 0; i < 5; i += 1) {
      const sent = await service.post({ ...freshText(), content: `${canary}${i}` }, bearer);
      expect(sent.status).toBe(200);
      uuids.push(sent.json.uuid);
    }
    const page = await service.call('/dhos/v1/sms?limit=2', { headers: bearer });
    const [, cursor = ''] = /cursor=([^>]*)>/.exec(page.headers.get('link') ?? '') ?? [];
    const headers = { 'x-trustomer': tenant.trustomerCode, 'x-product': tenant.productName };
    parties.push({ n, bearer, headers, uuids, canary, cursor });
  }
});
afterAll(() => service.stop());

/** mulberry32: the same again for the same seed. */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Action = {
  readonly what: string;
  readonly path: string;
  readonly init?: RequestInit;
  readonly allowed: readonly number[];
};

const asJson = (body: unknown) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

/** What `them` may try to learn of `victim`, or do to it, and the answers that tell and do nothing. */
function actionsAgainst(victim: Party, them: Party, uuid: string): Action[] {
  const path = `/dhos/v1/sms/${uuid}`;
  const [trust, product] = Object.values(victim.headers);
  return [
    { what: 'get', path, allowed: [404] },
    { what: 'head', path, init: { method: 'HEAD' }, allowed: [404] },
    { what: 'conditional get', path, init: { headers: { 'if-none-match': '*' } }, allowed: [404] },
    { what: 'events', path: `${path}/events`, allowed: [404] },
    { what: 'delete', path, init: { method: 'DELETE' }, allowed: [404] },
    { what: 'erase', path: `${path}?erase=true`, init: { method: 'DELETE' }, allowed: [404] },
    { what: 'settle', path: `${path}/settle`, init: asJson({ outcome: 'not-sent' }), allowed: [404] },
    { what: 'explanation', path: `${path}/explanation`, allowed: [404] },
    { what: 'send again', path: `${path}/send_again`, init: { method: 'POST' }, allowed: [404] },
    { what: 'poll', path: `${path}/poll`, init: { method: 'POST' }, allowed: [404] },
    { what: 'error counts', path: `/dhos/v1/error_counts?${errorSpan}`, allowed: [200] },
    {
      what: 'their error counts',
      path: `/dhos/v1/error_counts?${errorSpan}&trustomer_code=${trust}&product_name=${product}`,
      allowed: [403],
    },
    { what: 'list', path: '/dhos/v1/sms', allowed: [200] },
    { what: 'list as csv', path: '/dhos/v1/sms', init: { headers: { accept: 'text/csv' } }, allowed: [200] },
    { what: 'list as them', path: '/dhos/v1/sms', init: { headers: victim.headers }, allowed: [403] },
    { what: 'list by receiver', path: '/dhos/v1/sms?receiver=%2B447700900123', allowed: [200] },
    { what: 'their cursor', path: `/dhos/v1/sms?limit=2&cursor=${victim.cursor}`, allowed: [400] },
    { what: 'half of them', path, init: { headers: { 'x-trustomer': trust ?? '', 'x-product': 'x' } }, allowed: [403] },
    { what: 'get as them', path, init: { headers: victim.headers }, allowed: [403] },
    { what: 'delete as them', path, init: { method: 'DELETE', headers: victim.headers }, allowed: [403] },
    {
      what: 'send as them',
      path: '/dhos/v1/sms',
      init: { ...asJson(freshText()), headers: { 'content-type': 'application/json', ...victim.headers } },
      allowed: [403],
    },
    { what: 'counts', path: `/dhos/v1/sms_status_counts?${span}`, allowed: [200] },
    {
      what: 'their counts',
      path: `/dhos/v1/sms_status_counts?${span}&trustomer_code=${trust}&product_name=${product}`,
      allowed: [403],
    },
    {
      what: 'report',
      path: '/dhos/v1/redaction_report?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z',
      allowed: [200],
    },
    { what: 'audit', path: `/dhos/v1/audit?message_id=${uuid}`, allowed: [200] },
    {
      what: 'all of the audit',
      path: '/dhos/v1/audit?limit=50',
      init: { headers: { accept: them.n % 2 ? 'text/csv' : 'application/x-ndjson' } },
      allowed: [200],
    },
    { what: 'bulk update', path: '/dhos/v1/sms/bulk_update', init: { method: 'POST' }, allowed: [403] },
    { what: 'progress', path: '/dhos/v1/sms/bulk_update/progress', allowed: [403] },
  ];
}

/** Nothing of the victim stands in the answer, and counts are the caller's own. */
function leakIn({ what, allowed }: Action, answer: Answer, victim: Party): string | null {
  if (!allowed.includes(answer.status)) return `${what}: ${answer.status}`;
  const said = answer.text + JSON.stringify([...answer.headers]);
  if ([victim.canary, ...victim.uuids].some((secret) => said.includes(secret))) return `${what} tells of it`;
  if (what === 'counts' && countIn(answer.json.data) !== 5) return 'the counts are not its own';
  if (what === 'report' && answer.json.finished + answer.json.unfinished !== 5) return 'the report is not its own';
  return null;
}

function countIn(data: Record<string, Record<string, number>>): number {
  return Object.values(data)
    .flatMap((statuses) => Object.values(statuses))
    .reduce((sum, count) => sum + count, 0);
}

describe('tenants', () => {
  test(`${ACTIONS} random actions against another tenant: no leak, no change`, { timeout: 240_000 }, async () => {
    const random = makeRandom(SEED);
    const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item;
    const before = await service.query('SELECT * FROM message ORDER BY uuid');
    const tried = new Set<string>();
    const leaks: string[] = [];
    for (let done = 0; done < ACTIONS; done += AT_ONCE) {
      const batch = Array.from({ length: AT_ONCE }, () => {
        const victim = pick(parties);
        const them = pick(parties.filter((party) => party !== victim));
        return { victim, them, action: pick(actionsAgainst(victim, them, pick(victim.uuids))) };
      });
      await Promise.all(
        batch.map(async ({ victim, them, action }) => {
          tried.add(action.what);
          const headers = { ...(action.init?.headers as Record<string, string> | undefined), ...them.bearer };
          const leak = leakIn(action, await service.call(action.path, { ...action.init, headers }), victim);
          if (leak !== null) leaks.push(leak);
        }),
      );
    }
    expect(leaks).toEqual([]);
    const [victim, them] = parties as [Party, Party];
    expect([...tried].sort()).toEqual(
      actionsAgainst(victim, them, '')
        .map(({ what }) => what)
        .sort(),
    );
    expect(await service.query('SELECT * FROM message ORDER BY uuid')).toEqual(before);
  });

  test('each sees its own with the same requests: what is refused above is there', async () => {
    for (const party of parties) {
      const list = await service.call('/dhos/v1/sms', { headers: party.bearer });
      expect(list.json.map((message: { uuid: string }) => message.uuid).sort()).toEqual([...party.uuids].sort());
      expect(list.text).toContain(party.canary);
      const one = await service.call(`/dhos/v1/sms/${party.uuids[0]}`, {
        headers: { ...party.bearer, ...party.headers },
      });
      expect(one.json).toMatchObject({
        uuid: party.uuids[0],
        created_by: `key-${party.n}`,
        modified_by: `key-${party.n}`,
      });
      const next = await service.call(`/dhos/v1/sms?limit=2&cursor=${party.cursor}`, { headers: party.bearer });
      expect(next.json).toHaveLength(2);
    }
  });

  test('a key for all tenants acts for the one that its request names, and finds by id whosever it is', async () => {
    const { bearer } = await createKey(service.databaseUrl, { tenant: null, scopes });
    const [alpha] = parties as [Party];
    expect((await service.call('/dhos/v1/sms', { headers: bearer })).status).toBe(400);
    const list = await service.call('/dhos/v1/sms', { headers: { ...bearer, ...alpha.headers } });
    expect(list.json).toHaveLength(alpha.uuids.length);
    for (const { uuids } of parties) {
      expect((await service.call(`/dhos/v1/sms/${uuids[0]}`, { headers: bearer })).status).toBe(200);
    }
    const foreign = { ...bearer, 'x-trustomer': 'nobody', 'x-product': 'gdm' };
    const deleted = await service.call(`/dhos/v1/sms/${alpha.uuids[0]}`, { method: 'DELETE', headers: foreign });
    expect(deleted.status).toBe(404);
    expect((await service.call('/dhos/v1/sms/bulk_update', { method: 'POST', headers: bearer })).status).toBe(204);
    const counts = await service.call(`/dhos/v1/sms_status_counts?${span}`, { headers: bearer });
    expect(countIn(counts.json.data)).toBe(5 * parties.length);
  });
});
