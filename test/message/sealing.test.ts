import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { migrateDown, migrateUp } from '../../src/db/migrate.ts';
import { makeSealing, TextSealed } from '../../src/message/sealing.ts';
import { cli } from '../cli/support.ts';
import { canaries, canaryText, placesWith, RECEIVER, SENDER } from '../support/canaries.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { expectProblem } from '../support/http.ts';
import { type OwnPostgres, startOwnPostgres } from '../support/own-postgres.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { eventually, startTestService, type TestService, tenant } from '../support/service.ts';
import { type Asked, type FakeTwilio, healthy, isCreate, startFakeTwilio, twilioAt } from '../support/twilio.ts';

const key = () => randomBytes(32).toString('base64');
const [first, second] = [`k1:${key()}`, `k2:${key()}`];
const text = 'Für Sie: 🙂';

describe('sealing', () => {
  const keys = ['a', 'b'].map((id) => ({ id, key: randomBytes(32) }));
  const sealing = makeSealing(keys);

  test('what is sealed for a message opens for that message alone', () => {
    const stored = sealing.seal('one', text);
    expect(stored).toMatchObject({ keyId: 'a', content: expect.stringMatching(/^[\w-]+$/) });
    expect(sealing.open('one', stored)).toBe(text);
    expect(() => sealing.open('another', stored)).toThrow(TextSealed);
  });

  test('one text twice is two texts at rest: each has a nonce of its own', () => {
    expect(sealing.seal('one', text).content).not.toBe(sealing.seal('one', text).content);
  });

  test.each([
    ['a flipped bit', (content: string) => (content.startsWith('A') ? 'B' : 'A') + content.slice(1)],
    ['a piece of it', (content: string) => content.slice(0, 20)],
    ['a text in clear', () => text],
  ])('%s does not open', (_what, damage) => {
    const { content } = sealing.seal('one', text);
    expect(() => sealing.open('one', { content: damage(content), keyId: 'a' })).toThrow(TextSealed);
  });

  test('every key reads, a missing one is named, and without any a text stays as it is', () => {
    const old = makeSealing(keys.slice(1)).seal('one', text);
    expect(sealing.open('one', old)).toBe(text);
    expect(() => makeSealing(keys.slice(0, 1)).open('one', old)).toThrow(expect.objectContaining({ code: 'b' }));
    expect(makeSealing([]).seal('one', text)).toEqual({ content: text, keyId: null });
  });
});

describe('a service with content keys', () => {
  let database: TestDatabase;
  let twilio: FakeTwilio;
  let service: TestService;
  const start = (keys: string) =>
    startTestService({ ...twilioAt(twilio.url), CONTENT_KEYS: keys }, { databaseUrl: database.url });

  beforeAll(async () => {
    database = await createDatabase();
    twilio = await startFakeTwilio();
    service = await start(first);
  });
  afterAll(async () => {
    await service.stop();
    await twilio.stop();
    await database.drop();
  });
  beforeEach(async () => {
    twilio.answerWith(undefined);
    await service.query('TRUNCATE message, attempt, callback, event, duplicate_handover, idempotency_key');
  });

  const freshText = () => ({ sender: SENDER, receiver: RECEIVER, content: canaryText() });
  /** What has come after the sealing, so that the next step back is its own. */
  const takeBackUntil = async (last: string) => {
    for (;;) if ((await migrateDown(database.url, { loseData: true }))[0] === last) return;
  };
  const rowOf = async (uuid: string) =>
    (await service.query<Record<string, unknown>>('SELECT * FROM message WHERE uuid = $1', [uuid]))[0];
  const bodies = () => twilio.asked.filter(isCreate).map(({ form }: Asked) => form.Body);
  async function restart(keys: string): Promise<void> {
    await service.stop();
    service = await start(keys);
  }

  test('Twilio and callers get the text, and no column of any table holds it', async () => {
    const [sync, later] = [freshText(), freshText()];
    const sent = await service.post(sync);
    const accepted = await service.post(later, { ...tenant, prefer: 'respond-async' });
    expect([sent.json.content, accepted.json.content]).toEqual([sync.content, later.content]);
    await eventually(async () => bodies().includes(later.content));
    expect(bodies()).toContain(sync.content);
    expect((await service.call(`/dhos/v1/sms/${sent.json.uuid}`)).json.content).toBe(sync.content);
    for (const accept of ['application/json', 'text/csv', 'application/x-ndjson']) {
      const list = await service.call('/dhos/v1/sms', { headers: { ...tenant, accept } });
      expect(list.text).toContain(sync.content);
      expect(list.text).toContain(later.content);
    }
    expect(await rowOf(sent.json.uuid)).toMatchObject({ content_key_id: 'k1' });
    expect(await placesWith(service, /tweety/i)).toEqual([]);
  });

  test("the platform's own texts in clear are read as they are, also those it writes over a sealed one", async () => {
    const { uuid } = await insertOriginalRow(service, { content: 'Inserted' });
    const sent = await service.post(freshText());
    await service.query("UPDATE message SET content = 'Changed' WHERE uuid = $1", [sent.json.uuid]);
    expect((await service.call(`/dhos/v1/sms/${uuid}`)).json.content).toBe('Inserted');
    expect((await service.call(`/dhos/v1/sms/${sent.json.uuid}`)).json.content).toBe('Changed');
  });

  test('erasing leaves neither text nor key', async () => {
    const sent = await service.post(freshText());
    const path = `/dhos/v1/sms/${sent.json.uuid}?erase=true`;
    expect((await service.call(path, { method: 'DELETE', headers: tenant })).json.content).toBe('');
    expect(await rowOf(sent.json.uuid)).toMatchObject({ content: '', content_key_id: null });
  });

  test('without its key a text is neither sent nor shown; callbacks and erasing go on; with it everything does', async () => {
    const { json } = await service.post(freshText());
    const [waiting] = [freshText()];
    // To be sent later, by somebody who has the key.
    await service.query("UPDATE message SET content_key_id = 'lost' WHERE uuid = $1", [json.uuid]);
    twilio.answerWith((asked) =>
      isCreate(asked) ? { status: 429, body: { code: 20429, message: '' } } : healthy(asked),
    );
    const later = await service.post(waiting, { ...tenant, prefer: 'respond-async' });
    await service.query("UPDATE message SET step = 'send', due = now() + interval '1 hour' WHERE uuid = $1", [
      later.json.uuid,
    ]);
    await restart(second);
    const asked = twilio.asked.length;
    twilio.answerWith(undefined);
    await service.query("UPDATE message SET due = now() - interval '1 s' WHERE uuid = $1", [later.json.uuid]);
    await eventually(async () => service.logged().includes('not handed to Twilio'));
    expect(twilio.asked.slice(asked).filter(isCreate)).toEqual([]);
    expectProblem(await service.call(`/dhos/v1/sms/${json.uuid}`), 503, /sealed with a key/);
    expect((await service.call('/dhos/v1/sms', { headers: tenant })).status).toBe(503);
    expect(service.logged()).toMatch(/"type":"TextSealed","code":"lost"/);
    const fields = { MessageSid: json.twilio_sid, MessageStatus: 'delivered' };
    expect((await service.callback(fields)).status).toBe(204);
    expect(await rowOf(json.uuid)).toMatchObject({ status: 'delivered' });
    const path = `/dhos/v1/sms/${json.uuid}?erase=true`;
    expect((await service.call(path, { method: 'DELETE', headers: tenant })).status).toBe(200);

    await restart(`${second},${first}`);
    await service.query("UPDATE message SET due = now() - interval '1 s' WHERE uuid = $1", [later.json.uuid]);
    await eventually(async () => bodies().includes(waiting.content), 20_000);
    expect(service.logged()).not.toMatch(canaries);
  }, 60_000);

  test('rotation under load: no request fails, and no text has the old key or none', async () => {
    await restart(first);
    for (let n = 0; n < 300; n += 1) await insertOriginalRow(service, { content: canaryText() });
    for (let n = 0; n < 20; n += 1) await service.post(freshText());
    await restart(`${second},${first}`);
    const statuses: number[] = [];
    let isOver = false;
    const load = Promise.all(
      Array.from({ length: 3 }, async () => {
        while (!isOver) {
          const sent = await service.post(freshText());
          const got = await service.call(`/dhos/v1/sms/${sent.json.uuid}`);
          const list = await service.call('/dhos/v1/sms?limit=50', { headers: tenant });
          statuses.push(sent.status, got.status, list.status);
        }
      }),
    );
    const env = { DATABASE_URL: database.url, CONTENT_KEYS: `${second},${first}` };
    const rotation = await cli(['rotate-keys'], env);
    isOver = true;
    await load;
    expect(rotation).toMatchObject({ code: 0, stdout: expect.stringContaining('No text has another key any more.') });
    expect(statuses.length).toBeGreaterThan(3);
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await service.query("SELECT FROM message WHERE content_key_id IS DISTINCT FROM 'k2'")).toEqual([]);
    await restart(second);
    expect((await service.call('/dhos/v1/sms', { headers: tenant })).json.length).toBeGreaterThan(320);
  }, 60_000);

  test('a text whose key is gone is named by it and left alone; migrating down refuses, and --open is the way back', async () => {
    await restart(`${second},${first}`);
    const { json } = await service.post(freshText());
    const lost = await service.post(freshText());
    await service.query("UPDATE message SET content_key_id = 'lost' WHERE uuid = $1", [lost.json.uuid]);
    const env = { DATABASE_URL: database.url, CONTENT_KEYS: second };
    const refused = await cli(['rotate-keys', '--open'], env);
    expect(refused.code).toBe(1);
    expect(refused.stdout.replaceAll('\n', ' ')).toMatch(/1 text with the key lost cannot be opened/);
    expect(await rowOf(json.uuid)).toMatchObject({ content: json.content, content_key_id: null });
    await takeBackUntil('0007_console_sessions');
    await expect(migrateDown(database.url)).rejects.toThrow('would leave 1 sealed texts');
    await migrateDown(database.url, { loseData: true });
    expect((await rowOf(lost.json.uuid))?.content).toBe('');
    await migrateUp(database.url);
  });
});

describe('the files of PostgreSQL', () => {
  let postgres: OwnPostgres;
  let twilio: FakeTwilio;
  beforeAll(async () => {
    postgres = await startOwnPostgres();
    twilio = await startFakeTwilio();
  }, 60_000);
  afterAll(async () => {
    await twilio.stop();
    await postgres.stop();
  });

  async function filesWith(content: string, keys: Record<string, string>): Promise<string[]> {
    const service = await startTestService({ ...twilioAt(twilio.url), ...keys }, { databaseUrl: postgres.url });
    expect((await service.post({ sender: SENDER, receiver: RECEIVER, content })).status).toBe(200);
    await postgres.query('CHECKPOINT');
    await service.stop();
    const files = readdirSync(postgres.dataFolder, { recursive: true, encoding: 'utf8' });
    return files.filter((file) => {
      const whole = path.join(postgres.dataFolder, file);
      return statSync(whole).isFile() && readFileSync(whole).includes(content);
    });
  }

  test('hold a text that is not sealed, in the table and in the write-ahead log, and none that is', async () => {
    const inClear = await filesWith('Tweety in clear', {});
    expect(inClear.some((file) => file.startsWith('base'))).toBe(true);
    expect(inClear.some((file) => file.startsWith('pg_wal'))).toBe(true);
    expect(await filesWith('Tweety sealed', { CONTENT_KEYS: first })).toEqual([]);
  }, 60_000);
});
