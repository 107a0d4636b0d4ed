import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { readVersion } from '../../src/version.ts';
import { expectProblem } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { startTestService, type TestService, tenant, text } from '../support/service.ts';

let service: TestService;

// At the pace of life, so that an answer is read before the first callback.
beforeAll(async () => {
  service = await startTestService({}, { speed: 1 });
});
afterAll(() => service.stop());

const ofTenant = (trustomer: string, product = 'gdm') => ({ 'x-trustomer': trustomer, 'x-product': product });
const list = (query: string, headers: Record<string, string>) => service.call(`/dhos/v1/sms${query}`, { headers });

describe('Endpoints of the mission: /running and /version', () => {
  test('GET /running says that the process is alive', async () => {
    const answer = await service.call('/running');
    expect(answer.status).toBe(200);
    expect(answer.text).toBe('{"running":true}');
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
  });

  test('HEAD /running answers 200 without a body', async () => {
    const answer = await service.call('/running', { method: 'HEAD' });
    expect(answer.status).toBe(200);
    expect(answer.text).toBe('');
    expect(answer.headers.get('content-length')).toBe('16');
  });

  test('GET /version tells the version of the package, and unknown where the build left no files', async () => {
    const answer = await service.call('/version');
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ circle: 'unknown', hash: 'unknown', version: packageJson.version });
  });

  test('/version reads build number and git hash from the files that the build leaves beside the application', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'polaris-version-'));
    await writeFile(path.join(folder, 'build-circleci.txt'), '4711\n');
    await writeFile(path.join(folder, 'build-githash.txt'), 'abc1234\n');
    expect(readVersion(folder)).toEqual({ circle: '4711', hash: 'abc1234', version: packageJson.version });
  });
});

describe('Endpoints of the mission: POST and GET /dhos/v1/sms', () => {
  test('POST creates and sends: 200 with the message', async () => {
    const answer = await service.post(text);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ ...text, status: 'queued' });
    expect(service.simulator?.messages().filter(({ sid }) => sid === answer.json.twilio_sid)).toHaveLength(1);
  });

  test('the list is empty for a tenant without messages', async () => {
    const answer = await list('', ofTenant('nobody'));
    expect(answer.status).toBe(200);
    expect(answer.text).toBe('[]');
  });

  test('the list has the newest message first', async () => {
    const rows = [];
    for (const day of ['02', '01', '03']) {
      rows.push(await insertOriginalRow(service, { trustomer_code: 'order', created: `2026-01-${day} 10:00` }));
    }
    const answer = await list('', ofTenant('order'));
    expect(answer.json.map(({ uuid }: { uuid: string }) => uuid)).toEqual([
      rows[2]?.uuid,
      rows[0]?.uuid,
      rows[1]?.uuid,
    ]);
  });

  test('the list has no limit unless one is asked for', async () => {
    await service.query(`
      INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, twilio_sid,
                           status, trustomer_code, product_name)
      SELECT 'many-' || n, now(), 'x', now(), 'x', 's', 'r', 'c', 'SMmany' || n, 'delivered', 'many', 'gdm'
      FROM generate_series(1, 1500) AS n`);
    expect((await list('', ofTenant('many'))).json).toHaveLength(1500);
    expect((await list('?limit=3', ofTenant('many'))).json).toHaveLength(3);
  });

  test('receiver= finds the exact text as stored, not another spelling of the number', async () => {
    const spelled = '(07700) 900 124';
    const { uuid } = await insertOriginalRow(service, { trustomer_code: 'spelling', receiver: spelled });
    const found = await list(`?receiver=${encodeURIComponent(spelled)}`, ofTenant('spelling'));
    expect(found.json.map((message: { uuid: string }) => message.uuid)).toEqual([uuid]);
    for (const other of ['07700900124', '%2B447700900124', '(07700) 900', '']) {
      expect((await list(`?receiver=${other}`, ofTenant('spelling'))).json).toEqual([]);
    }
  });

  test('tenants are separate, by trust and by product', async () => {
    const { uuid } = await insertOriginalRow(service, { trustomer_code: 'sep', product_name: 'one' });
    await insertOriginalRow(service, { trustomer_code: 'sep', product_name: 'two' });
    await insertOriginalRow(service, { trustomer_code: 'other', product_name: 'one' });
    const answer = await list('', ofTenant('SEP', 'One'));
    expect(answer.json.map((message: { uuid: string }) => message.uuid)).toEqual([uuid]);
  });
});

describe('Endpoints of the mission: GET and DELETE /dhos/v1/sms/{message_id}', () => {
  const at = (id: string, init?: RequestInit) => service.call(`/dhos/v1/sms/${id}`, init);
  const remove = (id: string, headers: Record<string, string> = tenant) => at(id, { method: 'DELETE', headers });

  test('GET answers the message, also without tenant headers', async () => {
    const { uuid } = await insertOriginalRow(service, { status: 'delivered' });
    const bare = await at(uuid);
    expect(bare.status).toBe(200);
    expect(bare.json).toMatchObject({ uuid, content: 'Inserted by SQL.', status: 'delivered' });
    expect((await at(uuid, { headers: ofTenant('another') })).json).toEqual(bare.json);
  });

  test('GET of an id that nobody knows answers 404', async () => {
    for (const id of ['90422bdb-077e-4c62-8dfe-315ba3cea0ce', 'no-uuid', 'x'.repeat(600), '%00', '%E0%A4%A']) {
      expectProblem(await at(id), id === '%E0%A4%A' ? 400 : 404, /./);
    }
  });

  test('DELETE answers the message with the moment of its deletion; afterwards it is 404 everywhere', async () => {
    const headers = ofTenant('deleting');
    const { json: sent } = await service.post(text, headers);
    const deleted = await remove(sent.uuid, headers);
    expect(deleted.status).toBe(200);
    expect(deleted.json).toMatchObject({ uuid: sent.uuid, content: text.content, trustomer_code: 'deleting' });
    expect(deleted.json.deleted).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(deleted.json.modified >= deleted.json.deleted).toBe(true);

    expectProblem(await at(sent.uuid), 404, 'There is no such message.');
    expectProblem(await remove(sent.uuid, headers), 404, 'There is no such message.');
    expect((await list('', headers)).json).toEqual([]);
    expectProblem(await remove(sent.uuid, ofTenant('another')), 404, 'There is no such message.');
  });

  test('a deleted message stays in the table', async () => {
    const { uuid } = await insertOriginalRow(service);
    await remove(uuid);
    const [row] = await service.query<{ content: string }>('SELECT content FROM message WHERE uuid = $1', [uuid]);
    expect(row?.content).toBe('Inserted by SQL.');
  });

  test('DELETE by another trust or for another product answers 403 and deletes nothing', async () => {
    const { uuid } = await insertOriginalRow(service);
    expectProblem(await remove(uuid, ofTenant('other', 'gdm')), 403, 'This message belongs to another tenant.');
    expectProblem(await remove(uuid, ofTenant('ouh', 'other')), 403, 'This message belongs to another tenant.');
    expect((await at(uuid)).status).toBe(200);
    expect((await remove(uuid, ofTenant('OUH', 'GDM'))).status).toBe(200);
  });

  test('DELETE of an id that nobody knows answers 404', async () => {
    expectProblem(await remove('90422bdb-077e-4c62-8dfe-315ba3cea0ce'), 404, 'There is no such message.');
  });
});

describe('Endpoints of the mission: also there today', () => {
  test('/healthcheck names its checks', async () => {
    const answer = await service.call('/healthcheck');
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      status: 'success',
      results: [
        { checker: 'serving', passed: true, output: 'ok' },
        { checker: 'database', passed: true, output: 'ok' },
      ],
    });
  });

  test('/metrics speaks Prometheus: requests by route and status, sends, callbacks, the pool', async () => {
    await service.post(text);
    await service.callback({ MessageSid: 'SMunknown', MessageStatus: 'sent' });
    const answer = await service.call('/metrics');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(answer.text).toMatch(
      /^http_request_duration_seconds_count\{method="POST",route="\/dhos\/v1\/sms",status="200"\} \d+$/m,
    );
    expect(answer.text).toMatch(/^sms_sends_total\{outcome="accepted"\} [1-9]\d*$/m);
    expect(answer.text).toMatch(/^sms_callbacks_total\{result="kept"\} 1$/m);
    expect(answer.text).toMatch(/^sms_database_connections\{state="idle"\} \d+$/m);
  });

  test('/openapi.json and /openapi.yaml describe every endpoint', async () => {
    const { json } = await service.call('/openapi.json');
    expect(json.openapi).toBe('3.1.0');
    const described = Object.entries(json.paths).map(
      ([url, methods]) => `${url} ${Object.keys(methods as object).sort()}`,
    );
    expect(described.sort()).toEqual([
      '/dhos/v1/audit get',
      '/dhos/v1/checks get',
      '/dhos/v1/delivery_times get',
      '/dhos/v1/error_codes get',
      '/dhos/v1/error_counts get',
      '/dhos/v1/redaction_report get',
      '/dhos/v1/session delete,get,post',
      '/dhos/v1/sms get,post',
      '/dhos/v1/sms/bulk_update get,post',
      '/dhos/v1/sms/bulk_update/progress get',
      '/dhos/v1/sms/callback post',
      '/dhos/v1/sms/{message_id} delete,get',
      '/dhos/v1/sms/{message_id}/events get',
      '/dhos/v1/sms/{message_id}/explanation get',
      '/dhos/v1/sms/{message_id}/poll post',
      '/dhos/v1/sms/{message_id}/send_again post',
      '/dhos/v1/sms/{message_id}/settle post',
      '/dhos/v1/sms_search post',
      '/dhos/v1/sms_status_counts get',
      '/dhos/v1/tenants get',
      '/healthcheck get',
      '/metrics get',
      '/running get',
      '/version get',
    ]);
    const yaml = await service.call('/openapi.yaml');
    expect(yaml.headers.get('content-type')).toMatch(/^application\/yaml/);
    expect(yaml.text).toMatch(/^openapi: 3\.1\.0$/m);
  });

  test('/ui/ shows the API', async () => {
    const answer = await service.call('/ui/');
    expect(answer.status).toBe(200);
    expect(answer.text).toContain('swagger-ui');
  });

  test('/debug and /drop_data are left out', async () => {
    for (const method of ['GET', 'POST']) {
      expectProblem(await service.call('/debug', { method }), 404, 'There is nothing at this address.');
      expectProblem(await service.call('/drop_data', { method }), 404, 'There is nothing at this address.');
    }
  });
});

describe('Endpoints of the mission, in production', () => {
  let production: TestService;
  beforeAll(async () => {
    production = await startTestService({
      ENVIRONMENT: 'PRODUCTION',
      AUTH_MODE: 'none',
      TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`,
      TWILIO_AUTH_TOKEN: 'token',
      TWILIO_CALL_BACK_URL: 'https://sms.example/dhos/v1/sms/callback',
      COUNTRY_CODE: 'GB',
    });
  });
  afterAll(() => production.stop());

  test('/ui/ is not there', async () => {
    expectProblem(await production.call('/ui/'), 404, 'There is nothing at this address.');
    expect((await production.call('/running')).status).toBe(200);
  });
});
