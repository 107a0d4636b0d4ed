import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDb } from '../../src/db/db.ts';
import { purgeSessions } from '../../src/tenant/sessions.ts';
import { expectProblem } from '../support/http.ts';
import { ouh } from '../support/keys.ts';
import { eventually, freshText, quiet, startTestService, type TestService } from '../support/service.ts';
import { marked, revoke, sessionsOf, signedIn, signOut, whoAmI } from '../support/sessions.ts';

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
const idOf = ({ cookie }: { cookie: string }) => /_([0-9a-f]{12})_/.exec(cookie)?.[1] ?? '';

describe('A session', () => {
  test('ends when it is signed out of: the cookie goes, and it opens nothing after 5 s', {
    timeout: 20_000,
  }, async () => {
    const { cookie, id } = await signedIn(service);
    for (const at of [service, replica]) expect((await list(at, cookie)).status).toBe(200);
    const out = await signOut(service, { ...cookie, ...marked });
    expect([out.status, out.text]).toEqual([204, '']);
    expect(out.headers.get('set-cookie')).toBe('polaris_session=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict');
    const ended = performance.now();
    for (const at of [service, replica]) {
      await eventually(async () => (await list(at, cookie)).status === 401);
      expect(performance.now() - ended).toBeLessThan(5_000);
    }
    expectProblem(await list(service, cookie), 401, 'The session has ended: sign in again.');
    expect(await sessionsOf(service, id)).toEqual([]);
    expect((await signOut(service, { ...cookie, ...marked })).status).toBe(204);
    expect((await signOut(service, {})).status).toBe(204);
  });

  test('ends within 5 s, in every replica, when its key is revoked', { timeout: 20_000 }, async () => {
    const { cookie, id } = await signedIn(service);
    for (const at of [service, replica]) expect((await list(at, cookie)).status).toBe(200);
    await revoke(service, id);
    const revoked = performance.now();
    for (const at of [service, replica]) {
      await eventually(async () => (await list(at, cookie)).status === 401);
      expect(performance.now() - revoked).toBeLessThan(5_000);
    }
  });

  test('ends with its key, and never later', async () => {
    const { cookie, answer } = await signedIn(service, { tenant: ouh, days: 3 / 86_400 });
    expect(answer.headers.get('set-cookie')).toMatch(/Max-Age=[12];/);
    expect((await list(service, cookie)).status).toBe(200);
    await eventually(async () => (await list(service, cookie)).status === 401);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(answer.json.expires) - 50);
  });

  test('ends at its own time while its key goes on', async () => {
    const { cookie, id, bearer } = await signedIn(service);
    await service.query("UPDATE api_key SET expires = now() AT TIME ZONE 'utc' WHERE session_of = $1", [id]);
    await eventually(async () => (await list(service, cookie)).status === 401);
    expect((await list(service, bearer)).status).toBe(200);
  });

  test('is forgotten within the hour once it is over, by its time or by its key; others stay', async () => {
    const [over, revoked, going] = [await signedIn(service), await signedIn(service), await signedIn(service)];
    await service.query("UPDATE api_key SET expires = now() AT TIME ZONE 'utc' WHERE session_of = $1", [over.id]);
    await revoke(service, revoked.id);
    const db = openDb({ url: service.databaseUrl, poolSize: 1 });
    expect(await purgeSessions(db)).toBeGreaterThanOrEqual(2);
    await db.close();
    for (const { id } of [over, revoked]) expect(await sessionsOf(service, id)).toEqual([]);
    expect(await sessionsOf(service, going.id)).toHaveLength(1);
    expect(await service.query('SELECT id FROM api_key WHERE id = ANY($1)', [[over.id, revoked.id]])).toHaveLength(2);
  });

  test('is on record under the name of its key: the message, what was read, and both its ends', async () => {
    const { cookie, id } = await signedIn(service, { tenant: ouh, name: 'ward 7' });
    const sent = await service.post(freshText(), { ...cookie, ...marked });
    expect(sent.json).toMatchObject({ created_by: 'ward 7' });
    await service.call(`/dhos/v1/sms/${sent.json.uuid}`, { headers: cookie });
    await signOut(service, { ...cookie, ...marked });
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
    const { cookie, id } = await signedIn(service);
    await list(service, cookie);
    const used = () => service.query('SELECT FROM api_key WHERE id = $1 AND last_used IS NOT NULL', [id]);
    await eventually(async () => (await used()).length === 1);
  });

  test('has what its key has, also when that changes', async () => {
    const { cookie, id } = await signedIn(service);
    await service.query("UPDATE api_key SET scopes = '{sms:report}' WHERE id = $1", [id]);
    await eventually(async () => (await list(service, cookie)).status === 403);
    expect((await whoAmI(service, cookie)).json.scopes).toEqual(['sms:report']);
  });
});
