import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { Kysely, PostgresDialect } from 'kysely';
import { FileMigrationProvider, Migrator } from 'kysely/migration';
import pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { openDb } from '../../src/db/db.ts';
import { isMigrated, migrateDown, migrateUp } from '../../src/db/migrate.ts';
import { CannotStart } from '../../src/errors.ts';
import { createDatabase } from '../support/database.ts';
import { execute } from '../support/postgres.ts';
import {
  buildOriginal,
  originalColumns,
  originalIndexes,
  readColumns,
  readIndexes,
  readSchema,
} from './original-database.ts';

const project = path.join(import.meta.dirname, '../..');
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
const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

describe('a fresh database', () => {
  test("has the original's columns, and each of ours may be left out of an INSERT", async () => {
    const url = await migrated();
    const columns = await readColumns(url);
    const { twilio_sid, ...others } = originalColumns;
    expect(columns).toMatchObject(others);
    expect(columns.twilio_sid).toBe('character varying');
    const ours = Object.entries(columns).filter(([name]) => !(name in originalColumns));
    expect(ours.length).toBeGreaterThan(0);
    for (const [, type] of ours) expect(type).toMatch(/DEFAULT|^(?!.*NOT NULL)/);
  });

  test("takes a row of the original's columns alone", async () => {
    const url = await migrated();
    await insertMessage(url, "'SM1'");
    const ours = Object.keys(await readColumns(url)).filter((name) => !(name in originalColumns));
    const { rows } = await execute(url, `SELECT ${ours.join(', ')} FROM message`);
    // It is followed, and nobody doubts whether Twilio has it.
    const expected = { placeholder: false, unresolved: false, redaction_tries: 0, epoch: 1, attempts: 0, polls: 0 };
    const followed = { step: 'poll', due: expect.any(Date) };
    expect(rows).toEqual([{ ...Object.fromEntries(ours.map((name) => [name, null])), ...expected, ...followed }]);
  });

  test("has those of the original's indexes that something reads, and one on twilio_sid", async () => {
    const indexes = await readIndexes(await migrated());
    for (const column of originalIndexes) {
      const index = `CREATE INDEX ix_message_${column} ON public.message USING btree (${column})`;
      expect(indexes.includes(index)).toBe(['created', 'receiver'].includes(column));
    }
    expect(indexes).toContain('CREATE INDEX message_twilio_sid ON public.message USING btree (twilio_sid)');
  });

  test('remembers that it was created, knows no history and has a key of its own', async () => {
    const installations = await Promise.all([migrated(), migrated()].map(async (url) => readInstallation(await url)));
    for (const installation of installations) {
      expect(installation).toMatchObject({ origin: 'created', history_before: '-infinity' });
      expect(Buffer.from(installation?.hash_key, 'base64')).toHaveLength(32);
    }
    expect(installations[0]?.hash_key).not.toBe(installations[1]?.hash_key);
  });

  test('is migrated once: the second time there is nothing to do', async () => {
    const url = await emptyDatabase();
    expect(await migrateUp(url)).toEqual(all);
    const schema = await readSchema(url);
    expect(await migrateUp(url)).toEqual([]);
    expect(await readSchema(url)).toEqual(schema);
  });

  test('five replicas that start at once all succeed, and each migration is applied once', async () => {
    const url = await emptyDatabase();
    const applied = await Promise.all([1, 2, 3, 4, 5].map(() => migrateUp(url)));
    expect(applied.flat()).toEqual(all);
    expect((await execute(url, 'SELECT count(*)::int FROM installation')).rows).toEqual([{ count: 1 }]);
  });

  test('replicas wait for each other even when the server limits statements and isolates transactions', async () => {
    const url = await emptyDatabase();
    const name = new URL(url).pathname.slice(1);
    const first = await connect(url);
    await first.query('SELECT pg_advisory_lock(7765000002)');
    await execute(
      url,
      `ALTER DATABASE ${name} SET default_transaction_isolation = 'serializable';
       ALTER DATABASE ${name} SET statement_timeout = '200ms'; ALTER DATABASE ${name} SET lock_timeout = '200ms'`,
    );
    const applied = Promise.all([migrateUp(url), migrateUp(url)]);
    await expect.poll(() => waitingForLocks(url, 300), { timeout: 10_000 }).toBe(2);
    await first.query('SELECT pg_advisory_unlock(7765000002)');
    expect((await applied).flat()).toEqual(all);
  });
});

describe('a pooled connection', () => {
  test('commits to disk and reads timestamps, whatever the database and DATABASE_URL say', async () => {
    const url = new URL(await migrated());
    const name = url.pathname.slice(1);
    await execute(
      url.href,
      `ALTER DATABASE ${name} SET synchronous_commit = off; ALTER DATABASE ${name} SET datestyle = German`,
    );
    url.searchParams.set('options', '-c synchronous_commit=off');
    const db = openDb({ url: url.href, poolSize: 1 });
    cleanups.push(() => db.close());
    expect((await db.query({ text: 'SHOW synchronous_commit' })).rows).toEqual([{ synchronous_commit: 'on' }]);
    const { rows } = await db.query({ text: "SELECT timestamp '2021-02-03 12:34:56.789012' AS at" });
    expect(rows).toEqual([{ at: new Date('2021-02-03T12:34:56.789Z') }]);
  });
});

describe('is the newest migration applied?', () => {
  const ask = async (url: string) => {
    const client = await connect(url);
    return isMigrated((statement) => client.query(statement));
  };

  test('yes after migrating up, no after one step down', async () => {
    const url = await migrated();
    expect(await ask(url)).toBe(true);
    await migrateDown(url);
    expect(await ask(url)).toBe(false);
  });

  test('yes when a newer service has gone on: the old one serves until it is replaced', async () => {
    const url = await migrated();
    await execute(url, "INSERT INTO polaris_migration VALUES ('9999_newer', now()::text)");
    expect(await ask(url)).toBe(true);
  });
});

describe('another schema than public', () => {
  test('is used when the search_path says so, whatever others hold', async () => {
    const url = await migrated();
    const name = new URL(url).pathname.slice(1);
    await execute(url, `CREATE SCHEMA other; ALTER DATABASE ${name} SET search_path = other`);
    expect(await migrateUp(url)).toEqual(all);
    const { rows } = await execute(url, "SELECT schemaname FROM pg_tables WHERE tablename = 'message' ORDER BY 1");
    expect(rows).toEqual([{ schemaname: 'other' }, { schemaname: 'public' }]);
    expect(await migrateUp(url)).toEqual([]);
  });

  test('that is put in front later does not hide what public holds', async () => {
    const url = await migrated();
    const name = new URL(url).pathname.slice(1);
    await execute(url, `CREATE SCHEMA later; ALTER DATABASE ${name} SET search_path = later, public`);
    expect(await migrateUp(url)).toEqual([]);
  });

  test('a search_path without a schema is refused', async () => {
    const url = await emptyDatabase();
    await execute(url, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET search_path = nowhere`);
    await expect(migrateUp(url)).rejects.toThrow(/^No schema on the search_path .* exists: create one/);
  });
});

describe('migrating down', () => {
  test('an empty database needs no force, and leaves only the bookkeeping', async () => {
    const url = await migrated();
    for (const step of all.toReversed()) expect(await migrateDown(url)).toEqual([step]);
    expect(await migrateDown(url)).toEqual([]);
    const { rows } = await execute(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1");
    expect(rows.map((row) => row.tablename)).toEqual(['polaris_migration', 'polaris_migration_lock']);
    expect(await migrateUp(url)).toEqual(all);
  });

  test.for([
    [all.length, 'when a message ended', insertEnded, ['when 1 messages']],
    [6, 'a sealed text', insertSealed, ['1 sealed texts']],
    [5, 'an API key', insertApiKey, ['1 API keys', '0 entries']],
    [5, 'an entry of the audit', insertAudit, ['0 API keys', '1 entries']],
    [4, 'when a text was emptied', insertEmptiedText, ['1 texts', '0 numbers']],
    [4, 'when a number was emptied', insertEmptiedNumber, ['0 texts', '1 numbers']],
    [3, 'an event of the history', insertEvent, ['1 events', '0 records', '0 idempotency', 'of 0 messages']],
    [3, 'the record of a duplicate', insertDuplicate, ['0 events', '1 records', '0 idempotency', 'of 0 messages']],
    [3, 'an idempotency key', insertKey, ['0 events', '0 records', '1 idempotency', 'of 0 messages']],
    [3, 'what is to be done next', insertWaiting, ['0 events', '0 records', '0 idempotency', 'of 1 messages']],
    [2, 'a message without a SID', insertWithoutSid, ['1 messages', '0 records', '0 kept']],
    [2, 'an attempt', insertAttempt, ['0 messages', '1 records', '0 kept']],
    [2, 'a kept callback', insertCallback, ['0 messages', '0 records', '1 kept']],
  ] as const)('step %i refuses to lose %s, names it and changes nothing', async ([step, , insert, losses]) => {
    const url = await migrated();
    await downTo(url, step);
    await insert(url);
    const before = await readSchema(url);
    const refusal = await refusalOf(migrateDown(url));
    for (const loss of losses) expect(refusal).toContain(loss);
    expect(refusal).toContain('make migrate-down lose=yes');
    expect(await readSchema(url)).toEqual(before);
    expect(await migrateUp(url)).toEqual(all.slice(step));
  });

  test('step 7 signs everybody out, so that no session is left as a key, and loses no key', async () => {
    const url = await migrated();
    await insertApiKey(url);
    const insertSession = (expires: string) =>
      execute(
        url,
        `INSERT INTO api_key (id, name, hash, scopes, created, expires, session_of)
         VALUES ('ba9876543210', 'clinic', '', '{sms:send}', now(), ${expires}, '0123456789ab')`,
      );
    await expect(insertSession('NULL')).rejects.toThrow('a_session_ends');
    await insertSession("now() + interval '1 hour'");
    await downTo(url, 7);
    expect(await migrateDown(url)).toEqual([all[6]]);
    expect((await execute(url, 'SELECT id FROM api_key')).rows).toEqual([{ id: '0123456789ab' }]);
    expect(await migrateUp(url)).toEqual(all.slice(6));
  });

  test('step 4 forgets who is to be polled or redacted, keeps every other step, and makes the dropped indexes again', async () => {
    const url = await migrated();
    const schema = await readSchema(url);
    for (const step of ['poll', 'redact', 'send', 'resolve']) {
      await execute(
        url,
        insertStatement(`'SM ${step}'`, { step: `'${step}'`, due: "'2026-01-02 03:04:05'", polls: '3' }),
      );
    }
    await execute(url, "INSERT INTO job (name) VALUES ('bulk update')");

    await downTo(url, 4);
    expect(await migrateDown(url)).toEqual([all[3]]);
    expect(await readSchema(url)).toEqual(await applyFirst(await emptyDatabase(), 3));
    const { rows } = await execute(url, 'SELECT twilio_sid, step, due::text FROM message ORDER BY twilio_sid');
    expect(rows).toEqual([
      { twilio_sid: 'SM poll', step: null, due: null },
      { twilio_sid: 'SM redact', step: null, due: null },
      { twilio_sid: 'SM resolve', step: 'resolve', due: '2026-01-02 03:04:05' },
      { twilio_sid: 'SM send', step: 'send', due: '2026-01-02 03:04:05' },
    ]);

    expect(await migrateUp(url)).toEqual(all.slice(3));
    expect(await readSchema(url)).toEqual(schema);
    const again = await execute(url, 'SELECT DISTINCT polls FROM message');
    expect(again.rows).toEqual([{ polls: 0 }]);
  });

  test('step 4, told to lose it, forgets when texts and numbers were emptied, and leaves them empty', async () => {
    const url = await migrated();
    await execute(
      url,
      `${insertStatement("'SM1'", { content_emptied: 'now()', number_emptied: 'now()' })};
       UPDATE message SET content = '', receiver = 'hashed:x'`,
    );
    await downTo(url, 4);
    expect(await migrateDown(url, { loseData: true })).toEqual([all[3]]);
    expect(await migrateUp(url)).toEqual(all.slice(3));
    const { rows } = await execute(url, 'SELECT content, receiver, content_emptied, number_emptied FROM message');
    expect(rows).toEqual([{ content: '', receiver: 'hashed:x', content_emptied: null, number_emptied: null }]);
  });

  test('step 4 makes no index again that somebody has made by hand, and leaves indexes of other tables alone', async () => {
    const url = await emptyDatabase();
    await applyFirst(url, 3);
    await execute(
      url,
      `DROP INDEX ix_message_redacted; CREATE TABLE other (redacted integer);
       CREATE INDEX ix_message_redacted ON other (redacted)`,
    );
    const before = await readSchema(url);
    expect(await migrateUp(url)).toEqual(all.slice(3));
    expect(await readSchema(url)).toContain('CREATE INDEX ix_message_redacted ON public.other USING btree (redacted)');
    await execute(url, 'CREATE INDEX ix_message_status ON message (status)');
    await downTo(url, 4);
    expect(await migrateDown(url)).toEqual([all[3]]);
    expect(await readSchema(url)).toEqual(before);
  });

  test('step 4 leaves a setting of VACUUM alone that an operator has made, up and down', async () => {
    const url = await emptyDatabase();
    await applyFirst(url, 3);
    await execute(url, 'ALTER TABLE message SET (autovacuum_vacuum_scale_factor = 0.05, fillfactor = 90)');
    const options = async () =>
      (await execute(url, "SELECT reloptions::text FROM pg_class WHERE oid = 'message'::regclass")).rows[0]?.reloptions;
    await migrateUp(url);
    const added = 'autovacuum_vacuum_insert_scale_factor=0.01';
    expect(await options()).toBe(`{autovacuum_vacuum_scale_factor=0.05,fillfactor=90,${added}}`);
    await downTo(url, 3);
    expect(await options()).toBe('{autovacuum_vacuum_scale_factor=0.05,fillfactor=90}');
  });

  test('step 8 has one index for whole numbers and their last digits, and takes back the one for whole numbers', async () => {
    const url = await migrated();
    const indexes = async () =>
      (await execute(url, "SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%receiver_e164%' ORDER BY 1")).rows;
    expect(await indexes()).toHaveLength(1);
    expect((await indexes())[0].indexdef).toContain('("right"((receiver_e164)::text, 4), receiver_e164)');
    const { rows } = await execute(
      url,
      `SET enable_seqscan = off; EXPLAIN SELECT uuid FROM message
       WHERE right(receiver_e164, 4) = ANY('{0123}') AND receiver_e164 = ANY('{+447700900123}'::varchar[])`,
    ).then((results) => (results as unknown as { rows: Record<string, string>[] }[])[1] ?? { rows: [] });
    expect(JSON.stringify(rows)).toMatch(/Index Cond: \(\(\\"right\\"\(.*AND \(\(receiver_e164/);
    await downTo(url, 6);
    expect((await indexes())[0].indexdef).toContain('USING btree (receiver_e164)');
  });

  test('step 3, told to lose them, leaves messages, attempts and callbacks of version 2; up again works', async () => {
    const url = await migrated();
    const schema = await readSchema(url);
    await downTo(url, 2);
    const schemaOf2 = await readSchema(url);
    await migrateUp(url);
    await downTo(url, 3);
    await insertMessage(url, "'SM1'");
    for (const insert of [insertWaiting, insertAttempt, insertCallback, insertEvent, insertDuplicate, insertKey]) {
      await insert(url);
    }
    await execute(url, "UPDATE attempt SET outcome = 'absent', closed = now()");

    expect(await migrateDown(url, { loseData: true })).toEqual([all[2]]);
    expect(await readSchema(url)).toEqual(schemaOf2);
    const { rows: messages } = await execute(url, 'SELECT status, twilio_sid FROM message ORDER BY twilio_sid');
    expect(messages).toEqual([
      { status: null, twilio_sid: 'SM1' },
      { status: 'accepted', twilio_sid: null },
    ]);
    // 'absent' is no word of version 2.
    expect((await execute(url, 'SELECT n, outcome FROM attempt')).rows).toEqual([{ n: 1, outcome: 'unknown' }]);
    expect((await execute(url, 'SELECT twilio_sid FROM callback')).rows).toEqual([{ twilio_sid: 'SM1' }]);

    expect(await migrateUp(url)).toEqual(all.slice(2));
    expect(await readSchema(url)).toEqual(schema);
    const { rows } = await execute(url, 'SELECT status, step, unresolved FROM message ORDER BY twilio_sid');
    // Who is to be polled, the running service finds out. Whether Twilio has the second one was forgotten on the way down.
    expect(rows).toEqual([
      { status: null, step: null, unresolved: false },
      { status: 'unconfirmed', step: null, unresolved: false },
    ]);
  });

  test("told to lose them, goes back to exactly the original's table; up again works", async () => {
    const url = await migrated();
    await insertMessage(url, 'NULL');
    await insertMessage(url, "'SM1'");
    await insertAttempt(url);
    await insertCallback(url);
    await downTo(url, 2);
    expect(await migrateDown(url, { loseData: true })).toEqual([all[1]]);

    const original = await emptyDatabase();
    await buildOriginal(original);
    expect(await readColumns(url)).toEqual(await readColumns(original));
    expect(await readIndexes(url)).toEqual(await readIndexes(original));
    expect((await execute(url, 'SELECT twilio_sid FROM message')).rows).toEqual([{ twilio_sid: 'SM1' }]);

    expect(await migrateUp(url)).toEqual(all.slice(1));
    expect((await execute(url, 'SELECT twilio_sid FROM message')).rows).toEqual([{ twilio_sid: 'SM1' }]);
  });

  test('the last step refuses to lose the messages of a database that we created', async () => {
    const url = await migrated();
    await insertMessage(url, "'SM1'");
    await downTo(url, 1);
    expect(await refusalOf(migrateDown(url))).toMatch(/would lose 1 messages\. .* make migrate-down lose=yes$/);
    expect((await execute(url, 'SELECT count(*)::int FROM message')).rows).toEqual([{ count: 1 }]);
    expect(await migrateDown(url, { loseData: true })).toEqual([all[0]]);
    expect((await execute(url, "SELECT to_regclass('message') AS message")).rows).toEqual([{ message: null }]);
  });

  test.for([
    [3, { status: "'accepted'", step: "'send'" }, 'the next step of 1 messages'],
    [2, {}, '1 messages without a Twilio SID'],
  ] as const)(
    'step %i waits for a message that is being recorded, and then refuses to lose it',
    async ([step, more, loss]) => {
      const url = await migrated();
      await downTo(url, step);
      const writer = await connect(url);
      await writer.query('BEGIN');
      await writer.query(insertStatement('NULL', more));
      const refusal = refusalOf(migrateDown(url));
      await expect.poll(() => waitingForLocks(url)).toBe(1);
      await writer.query('COMMIT');
      expect(await refusal).toContain(loss);
    },
  );
});

describe('what version 2 recorded', () => {
  test('becomes unconfirmed on the way up if it was accepted without a SID, and stays as it is otherwise', async () => {
    const url = await migrated();
    await downTo(url, 2);
    for (const [status, sid] of [
      ["'accepted'", 'NULL'],
      ["'accepted'", "'SM1'"],
      ["'error'", 'NULL'],
      ['NULL', "'SM2'"],
    ] as const) {
      await execute(url, insertStatement(sid, { status }));
    }
    const before = await readRows(url);
    expect(await migrateUp(url)).toEqual(all.slice(2));
    expect(await readRows(url)).toEqual(
      before.map((row) => (row.status === 'accepted' && !row.twilio_sid ? { ...row, status: 'unconfirmed' } : row)),
    );
  });
});

describe('a database that cannot be migrated is one sentence', () => {
  test('a server that is not there', async () => {
    const refusal = await refusalOf(migrateUp('postgres://me:S3cret-canary@127.0.0.1:1/sms'));
    expect(refusal).toMatch(/^The database could not be migrated: .*ECONNREFUSED.*; check DATABASE_\* .*\.$/);
    expect(refusal).not.toContain('canary');
  });

  test('a host that does not exist', async () => {
    const refusal = await refusalOf(migrateUp('postgres://me:S3cret-canary@nowhere.invalid:5432/sms'));
    expect(refusal).toMatch(/^The database could not be migrated: .*nowhere\.invalid.*; check DATABASE_\* .*\.$/);
    expect(refusal).not.toContain('canary');
  });

  test('a database that does not exist', async () => {
    const url = (await emptyDatabase()).replace(/[^/]+$/, 'no_such_database');
    const refusal = await refusalOf(migrateUp(url));
    expect(refusal).toMatch(/database "no_such_database" does not exist; check DATABASE_\* .*\.$/);
    expect(refusal).not.toContain(new URL(url).password || 'no password');
  });

  test('an address that cannot be read', async () => {
    const refusal = await refusalOf(migrateUp('postgres://me:S3cret-canary%zz@127.0.0.1:1/sms'));
    expect(refusal).toMatch(/^The database could not be migrated: .*\.$/);
    expect(refusal).not.toContain('canary');
  });

  test('a database that a newer version of the service has migrated', async () => {
    const url = await migrated();
    await execute(url, "INSERT INTO polaris_migration VALUES ('9999_newer', '2999-01-01T00:00:00.000Z')");
    expect(await refusalOf(migrateUp(url))).toMatch(/9999_newer is missing; a newer version of this service .*\.$/);
  });

  test('a user who may not make tables', async () => {
    const url = await emptyDatabase();
    // Nobody may make tables in this schema, not even a superuser.
    await execute(url, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET search_path = pg_catalog`);
    expect(await refusalOf(migrateUp(url))).toMatch(
      /permission denied (to create|for schema) .*; its user must own .*\.$/,
    );
  });
});

describe('npm run migrate', () => {
  test('up says what it applied, then that there is nothing to do; down says what it took back', async () => {
    const env = { DATABASE_URL: await emptyDatabase() };
    expect(await run(env, 'up')).toEqual([0, all.map((name) => `applied ${name}\n`).join(''), '']);
    expect(await run(env, 'up')).toEqual([0, 'nothing to do\n', '']);
    expect(await run(env, 'down')).toEqual([0, `taken back ${all.at(-1)}\n`, '']);
  });

  test('down refuses in one sentence with exit code 1, and obeys --lose-data', async () => {
    const url = await migrated();
    await downTo(url, 6);
    await execute(url, insertStatement("'SM1'", { content_key_id: "'k1'" }));
    const [code, output, error] = await run({ DATABASE_URL: url }, 'down');
    expect([code, output]).toEqual([1, '']);
    expect(error).toMatch(/^Migrating down would leave 1 sealed texts .*lose=yes\n$/);
    expect(await run({ DATABASE_URL: url }, 'down', '--lose-data')).toEqual([0, `taken back ${all[5]}\n`, '']);
  });

  test('without DATABASE_* it migrates the embedded database in DATA_DIR', async () => {
    const env = { ENVIRONMENT: 'DEVELOPMENT', DATA_DIR: await temporaryFolder() };
    const [code, output] = await run(env, 'up');
    expect(code).toBe(0);
    expect(output).toContain(all.map((name) => `applied ${name}\n`).join(''));
    expect(await run(env, 'up')).toEqual([0, expect.stringMatching(/nothing to do\n$/), '']);
  });

  test('in production it names every missing variable', async () => {
    const [code, output, error] = await run({}, 'up');
    expect([code, output]).toEqual([1, '']);
    expect(error.trimEnd().split('\n')).toEqual(
      ['HOST', 'PORT', 'USER', 'PASSWORD', 'NAME'].map((name) => `DATABASE_${name} is missing`),
    );
  });

  test.for(['', 'sideways', 'up down', 'up --force'])('"%s" is one sentence and exit code 1', async (args) => {
    const [code, output, error] = await run({ ENVIRONMENT: 'TEST' }, ...args.split(' ').filter(Boolean));
    expect([code, output]).toEqual([1, '']);
    expect(error).toMatch(/^\S.*See --help\.\n$/);
  });

  test('--help shows every word it knows', async () => {
    const [code, output] = await run({}, '--help');
    expect(code).toBe(0);
    for (const word of ['up', 'down', '--lose-data', '--help']) expect(output).toContain(`  ${word}  `);
  });
});

describe('npm run migration', () => {
  const command = path.join(project, 'scripts/new-migration.ts');

  test('writes the next one, with up and down, and prints where', async () => {
    const folder = await temporaryFolder();
    const add = (...words: string[]) => start({}, command, '--folder', folder, ...words);
    const [code, output] = await add("Add a column: its owner's");
    expect(code).toBe(0);
    expect(path.resolve(output.trim())).toBe(path.join(folder, '0001_add_a_column_its_owner_s.ts'));
    await add('and', 'another');
    expect(await readdir(folder)).toEqual(['0001_add_a_column_its_owner_s.ts', '0002_and_another.ts']);
    expect(await readFile(path.join(folder, '0002_and_another.ts'), 'utf8')).toContain('/** and another: why. */');
  });

  test('what it writes goes up and down', async () => {
    const folder = await mkdtemp(path.join(project, 'node_modules/.migration-test-'));
    cleanups.push(() => rm(folder, { recursive: true }));
    const [, file] = await start({}, command, '--folder', folder, 'example');
    const { up, down } = await import(path.resolve(file.trim()));
    expect([up, down]).toEqual([expect.any(Function), expect.any(Function)]);
  });

  test.for(['', '  !? ', 'x'.repeat(81)])('"%s" is refused with a sentence', async (words) => {
    const folder = await temporaryFolder();
    const [code, output, error] = await start({}, command, '--folder', folder, words);
    expect([code, output]).toEqual([1, '']);
    expect(error).toMatch(/^Say in a few words what the migration does: make migration m='add a column'\n$/);
    expect(await readdir(folder)).toEqual([]);
  });
});

async function emptyDatabase(): Promise<string> {
  const database = await createDatabase('empty');
  cleanups.push(database.drop);
  return database.url;
}

async function migrated(): Promise<string> {
  const url = await emptyDatabase();
  await migrateUp(url);
  return url;
}

/** An empty database as the first so many versions leave it, without any way back; its schema. */
async function applyFirst(url: string, count: number): Promise<string[]> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  const migrationFolder = path.join(project, 'src/db/migrations');
  const migrator = new Migrator({
    db,
    provider: new FileMigrationProvider({ fs: { readdir }, path, migrationFolder, import: (file) => import(file) }),
    migrationTableName: 'polaris_migration',
    migrationLockTableName: 'polaris_migration_lock',
  });
  const { error } = await migrator.migrateTo(all[count - 1] ?? '');
  await db.destroy();
  expect(error).toBe(undefined);
  return readSchema(url);
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'polaris-sms-migrations-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  cleanups.push(() => client.end());
  return client;
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => new Error('it was not refused'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CannotStart);
  return error instanceof Error ? error.message : '';
}

async function readInstallation(url: string) {
  const { rows } = await execute(url, 'SELECT origin, history_before::text, hash_key FROM installation');
  return rows[0];
}

/** How many sessions have waited for a lock for so long. */
async function waitingForLocks(url: string, ms = 0): Promise<number> {
  const { rows } = await execute(
    url,
    `SELECT count(*)::int FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'
       AND query_start < clock_timestamp() - interval '${ms} ms'`,
  );
  return rows[0]?.count;
}

/** As the platform's own SQL writes one, with the original's columns alone, unless there are `more`. */
function insertStatement(twilioSid: string, more: Record<string, string> = {}): string {
  const names = Object.keys(more).map((name) => `${name}, `);
  const values = Object.values(more).map((value) => `${value}, `);
  return `
    INSERT INTO message (${names.join('')}uuid, created, created_by_, modified, modified_by_, sender, receiver, content, twilio_sid,
                         trustomer_code, product_name)
    VALUES (${values.join('')}gen_random_uuid(), now(), 'unknown', now(), 'unknown', '+447700900001', '+447700900123', 'text', ${twilioSid},
            'ouh', 'gdm')`;
}

const insertMessage = (url: string, twilioSid: string) => execute(url, insertStatement(twilioSid));
const insertSealed = (url: string) => execute(url, insertStatement("'SM1'", { content_key_id: "'k1'" }));
const insertEnded = (url: string) => execute(url, insertStatement("'SM1'", { ended: 'now()' }));
const insertWithoutSid = (url: string) => insertMessage(url, 'NULL');

/** The original's columns of every row. */
async function readRows(url: string): Promise<Record<string, unknown>[]> {
  const columns = Object.keys(originalColumns).join(', ');
  return (await execute(url, `SELECT ${columns} FROM message ORDER BY uuid`)).rows;
}

/** Back to the schema of that version, without losing anything. */
async function downTo(url: string, version: number): Promise<void> {
  for (const step of all.slice(version).toReversed()) expect(await migrateDown(url)).toEqual([step]);
}

const insertApiKey = (url: string) =>
  execute(
    url,
    "INSERT INTO api_key (id, name, hash, scopes, created) VALUES ('0123456789ab', 'clinic', '', '{sms:send}', now())",
  );
const insertAudit = (url: string) =>
  execute(url, "INSERT INTO audit (at, actor, actor_name, action) VALUES (now(), '0123456789ab', 'clinic', 'read')");
const insertEmptiedText = (url: string) =>
  execute(url, insertStatement("'SM1'", { content_emptied: 'now()', status: "'delivered'" }));
const insertEmptiedNumber = (url: string) => execute(url, insertStatement("'SM1'", { number_emptied: 'now()' }));

function insertAttempt(url: string) {
  return execute(url, "INSERT INTO attempt (message_uuid, n, started, deadline) VALUES ('u', 1, now(), now())");
}

function insertCallback(url: string) {
  return execute(
    url,
    "INSERT INTO callback (received, twilio_sid, message_status, parameters) VALUES (now(), 'SM1', 'sent', '{}')",
  );
}

function insertEvent(url: string) {
  return execute(url, "INSERT INTO event (message_uuid, at, kind, actor) VALUES ('u', now(), 'looked', 'service')");
}

function insertDuplicate(url: string) {
  return execute(url, "INSERT INTO duplicate_handover (twilio_sid, message_uuid, detected) VALUES ('SM2', 'u', now())");
}

function insertKey(url: string) {
  return execute(url, "INSERT INTO idempotency_key VALUES ('key', 'fingerprint', 'u', now())");
}

/** One that waits: to be sent, or to be looked for at Twilio. */
async function insertWaiting(url: string) {
  await execute(url, insertStatement('NULL', { status: "'accepted'", step: "'send'", due: 'now()' }));
}

function run(env: Record<string, string>, ...args: string[]): Promise<[number | null, string, string]> {
  return start(env, path.join(project, 'src/db/command.ts'), ...args);
}

/** With no variables but these: exit code, output, errors. */
async function start(env: Record<string, string>, ...args: string[]): Promise<[number | null, string, string]> {
  const child = spawn(process.execPath, args, { env: { PATH: process.env.PATH, ...env } });
  const ended = once(child, 'close');
  const [output, error] = await Promise.all([textOf(child.stdout), textOf(child.stderr), ended]);
  return [child.exitCode, output, error];
}
