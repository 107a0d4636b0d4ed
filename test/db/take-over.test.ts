import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { migrateDown, migrateUp } from '../../src/db/migrate.ts';
import { CannotStart } from '../../src/errors.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { execute } from '../support/postgres.ts';
import { quiet, startTestService, type TestService } from '../support/service.ts';
import { type FakeTwilio, sidIn, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import {
  buildOriginal,
  fillOriginal,
  ORIGINAL_HEAD,
  originalColumns,
  readColumns,
  readIndexes,
  readOriginalRows,
  readSchema,
} from './original-database.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const all = [
  '0001_original_table',
  '0002_life_of_a_message',
  '0003_nothing_lost',
  '0004_followed_to_the_end',
  '0005_api_keys',
  '0006_sealed_content',
  '0007_console_sessions',
  '0008_search',
  '0009_ended',
];
const ended = "status IN ('delivered', 'undelivered', 'failed')";
const opened: { end(): Promise<void> }[] = [];
const databases: TestDatabase[] = [];

afterEach(async () => {
  for (const client of opened.splice(0)) await client.end();
  for (const database of databases.splice(0)) await database.drop();
});

describe('a database of the Python service with 10,000 messages is taken over', () => {
  let database: TestDatabase;
  let before: Map<string, string>;
  let fileBefore: string;
  let applied: string[];
  let startedAt: number;

  beforeAll(async () => {
    database = await createDatabase('empty');
    await buildOriginal(database.url);
    await fillOriginal(database.url);
    before = await readOriginalRows(database.url);
    fileBefore = await tableFile(database.url);
    startedAt = Date.now();
    applied = await migrateUp(database.url);
  });
  afterAll(() => database.drop());

  test('every row is byte for byte what it was, and none was written again', async () => {
    expect(applied).toEqual(all);
    expect(before.size).toBe(10_000);
    expect(await readOriginalRows(database.url)).toEqual(before);
    expect(await tableFile(database.url)).toBe(fileBefore);
  });

  test("the table keeps the original's columns, and the original's SQL still inserts a row", async () => {
    const columns = await readColumns(database.url);
    expect(columns).toMatchObject({ ...originalColumns, twilio_sid: 'character varying' });
    for (const [name, type] of Object.entries(columns)) {
      if (!(name in originalColumns)) expect(type).toMatch(/DEFAULT|^(?!.*NOT NULL)/);
    }
  });

  test('it is remembered as taken over, and what is older than 7 days now is history', async () => {
    const { rows } = await execute(
      database.url,
      "SELECT origin, extract(epoch FROM history_before AT TIME ZONE 'utc')::float8 * 1000 AS ms FROM installation",
    );
    expect(rows[0]?.origin).toBe('taken over');
    expect(rows[0]?.ms).toBeGreaterThan(startedAt - 7 * DAY_MS - 1000);
    expect(rows[0]?.ms).toBeLessThanOrEqual(Date.now() - 7 * DAY_MS + 1000);
  });

  test('alembic_version stays, so that the Python service can come back', async () => {
    const { rows } = await execute(database.url, 'SELECT version_num FROM alembic_version');
    expect(rows).toEqual([{ version_num: ORIGINAL_HEAD }]);
  });

  test('SIDs that it holds twice stay, and a look-up by SID uses an index', async () => {
    const { rows } = await execute(database.url, 'SELECT count(*) - count(DISTINCT twilio_sid) AS twice FROM message');
    expect(rows).toEqual([{ twice: '1000' }]);
    const plan = await execute(database.url, "EXPLAIN SELECT uuid FROM message WHERE twilio_sid = 'SM1'");
    expect(JSON.stringify(plan.rows)).toContain('message_twilio_sid');
  });

  describe('and served', () => {
    let service: TestService;
    beforeAll(async () => {
      service = await startTestService(quiet, { databaseUrl: database.url });
    });
    afterAll(() => service.stop());

    test('every row reads over HTTP as it stands, whatever the zone and date style of the database', async () => {
      const rows = await service.query<Record<string, string | null>>(
        `SELECT *, to_char(created, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_text,
           to_char(redacted, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS redacted_text
         FROM message WHERE deleted IS NULL ORDER BY md5(uuid) LIMIT 60`,
      );
      for (const row of rows) {
        const answer = await service.call(`/dhos/v1/sms/${row.uuid}`);
        expect(answer.status).toBe(200);
        const { content, sender, receiver, status, twilio_sid, error_code, trustomer_code, product_name } = answer.json;
        expect({ content, sender, receiver, status, twilio_sid, error_code, trustomer_code, product_name }).toEqual({
          content: row.content,
          sender: row.sender,
          receiver: row.receiver,
          status: row.status ?? undefined,
          twilio_sid: row.twilio_sid,
          error_code: row.error_code ?? undefined,
          trustomer_code: row.trustomer_code,
          product_name: row.product_name,
        });
        expect(answer.json.created).toBe(row.created_text);
        expect(answer.json.redacted).toBe(row.redacted_text ?? undefined);
        expect(answer.json.date_sent).toBe(row.date_sent?.replace(' ', 'T').replace('+00:00', '.000Z'));
      }
    });

    test('the list, by receiver as it was spelled, holds them', async () => {
      const [row] = await service.query<{ receiver: string; count: number }>(
        `SELECT receiver, count(*)::int FROM message
         WHERE trustomer_code = 'ouh' AND product_name = 'gdm' AND deleted IS NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1`,
      );
      const answer = await service.call(`/dhos/v1/sms?receiver=${encodeURIComponent(row?.receiver ?? '')}`, {
        headers: { 'x-trustomer': 'OUH', 'x-product': 'GDM' },
      });
      expect(answer.json).toHaveLength(row?.count ?? 0);
    });

    test('a signed callback reaches all messages of a SID that it holds twice', async () => {
      const [twice] = await service.query<{ twilio_sid: string }>(
        `SELECT twilio_sid FROM message WHERE created < now() AT TIME ZONE 'utc' - interval '20 days'
         GROUP BY 1 HAVING count(*) = 2 AND bool_and(status IS DISTINCT FROM 'delivered' AND NOT coalesce(${ended}, false))
         ORDER BY 1 LIMIT 1`,
      );
      const sid = twice?.twilio_sid ?? '';
      expect(sid).not.toBe('');
      expect((await service.callback({ MessageSid: sid, MessageStatus: 'delivered' })).status).toBe(204);
      const statuses = await service.query('SELECT status FROM message WHERE twilio_sid = $1', [sid]);
      expect(statuses).toEqual([{ status: 'delivered' }, { status: 'delivered' }]);
    });
  });
});

describe('a bulk update after the take-over', () => {
  let url: string;
  let twilio: FakeTwilio;
  let young: { sid: string; hasEnded: boolean; isRedacted: boolean }[];
  let oldBefore: Map<string, string>;
  let service: TestService;

  beforeAll(async () => {
    const database = await createDatabase('empty');
    url = database.url;
    await buildOriginal(url);
    await fillOriginal(url);
    twilio = await startFakeTwilio();
    service = await startTestService(twilioAt(twilio.url), { databaseUrl: url });
    const { rows } = await execute(
      url,
      `SELECT twilio_sid AS sid, coalesce(${ended}, false) AS "hasEnded", redacted IS NOT NULL AS "isRedacted"
       FROM message, installation WHERE created >= history_before`,
    );
    young = rows;
    oldBefore = await readHistory(url);
    expect((await service.call('/dhos/v1/sms/bulk_update')).status).toBe(204);
    return async () => {
      await service.stop();
      await twilio.stop();
      await database.drop();
    };
  });

  test('asks Twilio about each younger message whose end is not known, and about no other', () => {
    // Twilio's list, which this one does not have, is tried first.
    const fetches = twilio.asked.filter(({ method, path }) => method === 'GET' && sidIn(path) !== '');
    const asked = fetches.map(({ path }) => sidIn(path));
    const unfinished = young.filter(({ hasEnded }) => !hasEnded).map(({ sid }) => sid);
    expect(unfinished.length).toBeGreaterThan(100);
    expect(asked.sort()).toEqual(unfinished.sort());
  });

  test('empties each younger text that has ended, and no other', () => {
    const emptied = twilio.asked.filter(({ method }) => method === 'POST');
    for (const { form } of emptied) expect(form).toEqual({ Body: '' });
    const finished = young.filter(({ hasEnded, isRedacted }) => hasEnded && !isRedacted).map(({ sid }) => sid);
    expect(finished.length).toBeGreaterThan(50);
    expect(emptied.map(({ path }) => sidIn(path)).sort()).toEqual(finished.sort());
  });

  test('leaves every older row as it stands, and of the younger none without a status or unredacted', async () => {
    expect(oldBefore.size).toBe(10_000 - young.length);
    expect(await readHistory(url)).toEqual(oldBefore);
    const { rows } = await execute(
      url,
      `SELECT count(*)::int FROM message, installation
       WHERE created >= history_before AND (status IS NULL OR (${ended} AND redacted IS NULL))`,
    );
    expect(rows).toEqual([{ count: 0 }]);
  });
});

describe('what cannot be taken over is refused with what to do, and nothing is changed', () => {
  test.for([
    ['an older Alembic head', ['4ef1a9fe2dbe'], /at schema version 4ef1a9fe2dbe, .*upgrade it with the newest Python/],
    ['several heads', ['4ef1a9fe2dbe', ORIGINAL_HEAD], /at schema version 4ef1a9fe2dbe and df31da1209da, .*upgrade it/],
    ['no head', [], /without a schema version .*set DATABASE_NAME to an empty database/],
  ] as const)('%s', async ([, heads, sentence]) => {
    const url = await emptyDatabase();
    await buildOriginal(url, heads);
    await expectRefusal(url, sentence);
  });

  test('a message table of somebody else', async () => {
    const url = await emptyDatabase();
    await execute(url, 'CREATE TABLE message (id integer); INSERT INTO message VALUES (1)');
    await expectRefusal(url, /without a schema version .*set DATABASE_NAME to an empty database/);
  });

  test('a table that another session keeps busy, for no longer than 5 s', async () => {
    const url = await emptyDatabase();
    await buildOriginal(url);
    const python = new pg.Client({ connectionString: url });
    await python.connect();
    opened.push(python);
    await python.query('BEGIN; SELECT count(*) FROM message');
    await expectRefusal(url, /lock timeout; end what else uses the message table, and start again\.$/);
    await python.query('COMMIT');
    expect(await migrateUp(url)).toEqual(all);
  });
});

describe('the way back', () => {
  test("all steps down leave the original's table, rows and head; the way up is the same again", async () => {
    const url = await emptyDatabase();
    await buildOriginal(url);
    await fillOriginal(url);
    const [rows, columns, indexes] = [await readOriginalRows(url), await readColumns(url), await readIndexes(url)];
    await migrateUp(url);
    for (const step of all.toReversed()) expect(await migrateDown(url)).toEqual([step]);
    expect(await readColumns(url)).toEqual(columns);
    expect(await readIndexes(url)).toEqual(indexes);
    expect(await readOriginalRows(url)).toEqual(rows);
    expect(await migrateUp(url)).toEqual(all);
    expect(await readOriginalRows(url)).toEqual(rows);
    expect((await execute(url, 'SELECT origin FROM installation')).rows).toEqual([{ origin: 'taken over' }]);
  });

  test('told to lose data, it loses only the rows without a SID', async () => {
    const url = await emptyDatabase();
    await buildOriginal(url);
    await fillOriginal(url);
    const rows = await readOriginalRows(url);
    await migrateUp(url);
    await execute(
      url,
      `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, trustomer_code, product_name)
       VALUES ('ours', now(), 'x', now(), 'x', '+447700900001', '+447700900123', 'text', 'ouh', 'gdm')`,
    );
    for (const step of all.slice(2).toReversed()) expect(await migrateDown(url)).toEqual([step]);
    await expect(migrateDown(url)).rejects.toThrow(/would lose 1 messages without a Twilio SID/);
    await migrateDown(url, { loseData: true });
    await migrateDown(url);
    expect(await readOriginalRows(url)).toEqual(rows);
  });

  test('indexes of another name are no obstacle, up or down', async () => {
    const url = await emptyDatabase();
    await buildOriginal(url);
    await execute(url, 'DROP INDEX ix_message_created; ALTER INDEX ix_message_status RENAME TO my_status');
    const indexes = await readIndexes(url);
    await migrateUp(url);
    for (const step of all.toReversed()) expect(await migrateDown(url)).toEqual([step]);
    expect(await readIndexes(url)).toEqual(indexes);
  });
});

async function emptyDatabase(): Promise<string> {
  const database = await createDatabase('empty');
  databases.push(database);
  return database.url;
}

async function expectRefusal(url: string, sentence: RegExp): Promise<void> {
  const before = await readSchema(url);
  const error = await migrateUp(url).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(CannotStart);
  expect(String(error)).toMatch(sentence);
  expect(await readSchema(url)).toEqual(before);
}

/** The file that holds the table: another one after a rewrite. */
async function tableFile(url: string): Promise<string> {
  const { rows } = await execute(url, "SELECT pg_relation_filenode('message')::text AS file");
  return rows[0]?.file;
}

async function readHistory(url: string): Promise<Map<string, string>> {
  const { rows } = await execute(
    url,
    'SELECT uuid, message::text AS whole FROM message, installation WHERE created < history_before',
  );
  return new Map(rows.map((row) => [row.uuid, row.whole]));
}
