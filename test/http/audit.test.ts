import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { freshText, quiet, startTestService, type TestService, tenant } from '../support/service.ts';

type Key = Awaited<ReturnType<typeof createKey>>;
let service: TestService;
let clinic: Key;
let admin: Key;
let watcher: Key;

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
  clinic = await createKey(service.databaseUrl, { tenant: ouh, name: 'clinic' });
  admin = await createKey(service.databaseUrl, { tenant: null, name: 'night watch' });
  watcher = await createKey(service.databaseUrl, { tenant: ouh, name: 'watcher', scopes: ['sms:read'] });
});
afterAll(() => service.stop());

const by = ({ bearer }: Key, path: string, init: RequestInit = {}) =>
  service.call(path, { ...init, headers: { ...(init.headers as Record<string, string>), ...bearer } });
const json = { 'content-type': 'application/json' };
const entriesOf = async (uuid: string) =>
  (
    await service.query(
      'SELECT actor, actor_name, action, trustomer_code FROM audit WHERE message_uuid = $1 ORDER BY id',
      [uuid],
    )
  ).map((row) => `${row.actor_name} ${row.action} ${row.trustomer_code}`);

describe('the audit', () => {
  test('names who sent, read in clear, settled, deleted and erased, before the answer; not who only saw it masked', async () => {
    const sent = await service.post(freshText(), clinic.bearer);
    const { uuid } = sent.json;
    const path = `/dhos/v1/sms/${uuid}`;
    expect(sent.json).toMatchObject({ created_by: 'clinic', modified_by: 'clinic' });
    expect(await entriesOf(uuid)).toEqual(['clinic sent ouh']);
    expect((await by(watcher, path)).status).toBe(200);
    expect(await entriesOf(uuid)).toHaveLength(1);
    expect((await by(clinic, path)).status).toBe(200);
    await service.query("UPDATE message SET status = 'unconfirmed' WHERE uuid = $1", [uuid]);
    const settled = await by(admin, `${path}/settle`, { method: 'POST', headers: json, body: '{"outcome":"sent"}' });
    expect(settled.json.modified_by).toBe('night watch');
    const events = await by(watcher, `${path}/events`);
    expect(events.json.filter((event: { what: string }) => event.what === 'audited')).toMatchObject([
      { actor: 'caller', summary: `clinic (key ${clinic.id}) asked for it to be sent.` },
      { summary: `clinic (key ${clinic.id}) read it in clear.` },
      { summary: `night watch (key ${admin.id}) settled it.` },
    ]);
    const erased = await by(clinic, `${path}?erase=true`, { method: 'DELETE' });
    expect(erased.json.modified_by).toBe('clinic');
    const after = [
      'clinic sent ouh',
      'clinic read ouh',
      'night watch settled ouh',
      'clinic deleted ouh',
      'clinic erased ouh',
    ];
    expect(await entriesOf(uuid)).toEqual(after);
    expect((await by(clinic, path, { method: 'DELETE' })).status).toBe(404);
    expect(await entriesOf(uuid)).toEqual(after);
  });

  test('has an entry for a list in clear, with the names of its filters and no value, and for a bulk update', async () => {
    await service.query("DELETE FROM audit WHERE action IN ('listed', 'bulk update')");
    await by(watcher, '/dhos/v1/sms');
    await by(clinic, '/dhos/v1/sms?receiver=%2B447700900123&limit=5');
    await by(admin, '/dhos/v1/sms/bulk_update', { method: 'POST' });
    const rows = await service.query(
      "SELECT actor, action, details FROM audit WHERE action IN ('listed', 'bulk update') ORDER BY id",
    );
    expect(rows).toEqual([
      { actor: clinic.id, action: 'listed', details: { filters: ['receiver'], messages: expect.any(Number) } },
      { actor: admin.id, action: 'bulk update', details: {} },
    ]);
  });

  test('is read page by page, as JSON, CSV and NDJSON, by time and by message; a tenant’s key sees that tenant', async () => {
    const uuids: string[] = [];
    for (let n = 0; n < 3; n += 1) uuids.push((await service.post(freshText(), clinic.bearer)).json.uuid);
    await service.post(freshText(), { ...admin.bearer, 'x-trustomer': 'other', 'x-product': 'gdm' });
    const one = await by(admin, `/dhos/v1/audit?message_id=${uuids[0]}`);
    expect(one.json).toMatchObject([{ actor: clinic.id, actor_name: 'clinic', action: 'sent', message_id: uuids[0] }]);

    const seen: string[] = [];
    for (let next: string | null = '/dhos/v1/audit?limit=4&to=2099-01-01T00:00:00Z'; next !== null; ) {
      const page = await by(admin, next);
      seen.push(...page.json.map(({ id }: { id: string }) => id));
      next = /<(.*)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1] ?? null;
    }
    const kept = (await service.query('SELECT id FROM audit ORDER BY id DESC')).map(({ id }) => id);
    // The first entry of the reading itself is newer than its first page.
    expect(seen).toEqual(kept.slice(kept.indexOf(seen[0] ?? '')));
    const ofTenant = await by(clinic, '/dhos/v1/audit?limit=10000');
    expect(ofTenant.json.length).toBeGreaterThan(3);
    for (const entry of ofTenant.json) expect(entry.trustomer_code).toBe('ouh');

    const csv = await by(admin, `/dhos/v1/audit?message_id=${uuids[1]}`, { headers: { accept: 'text/csv' } });
    expect(csv.text).toMatch(
      /^id,at,actor,actor_name,action,message_id,trustomer_code,product_name,details\r\n\d+,.*,clinic,sent,.*\{\}\r\n$/,
    );
    const lines = await by(admin, '/dhos/v1/audit?limit=2', { headers: { accept: 'application/x-ndjson' } });
    expect(
      lines.text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toHaveLength(2);
    expect((await by(admin, '/dhos/v1/audit?from=2099-01-01T00:00:00Z')).json).toEqual([]);
    expect((await by(admin, '/dhos/v1/audit?to=2020-01-01T00:00:00Z')).json).toEqual([]);
  });

  test.for(['limit=0', 'limit=10001', 'cursor=x', 'from=yesterday', 'actor=x', `message_id=${'a'.repeat(37)}`])(
    'refuses %s',
    async (query) => {
      expectProblem(await by(admin, `/dhos/v1/audit?${query}`), 400, /./);
    },
  );

  test('a read that cannot be noted is not answered, and no text leaves', async () => {
    const { uuid } = (await service.post({ ...freshText(), content: 'canary-0815' }, clinic.bearer)).json;
    await service.query('ALTER TABLE audit RENAME TO audit_away');
    try {
      for (const path of [`/dhos/v1/sms/${uuid}`, '/dhos/v1/sms']) {
        const answer = await by(clinic, path);
        expect(answer.status).toBeGreaterThanOrEqual(500);
        expect(answer.text).not.toContain('canary-0815');
      }
      expect((await by(watcher, `/dhos/v1/sms/${uuid}`, { headers: tenant })).status).toBe(200);
    } finally {
      await service.query('ALTER TABLE audit_away RENAME TO audit');
    }
  });
});
