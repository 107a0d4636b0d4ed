import { promises as fs } from 'node:fs';
import path from 'node:path';
import { Kysely, type Logger, PostgresAdapter, PostgresDialect, sql, type Transaction } from 'kysely';
import { FileMigrationProvider, type MigrationResultSet, Migrator } from 'kysely/migration';
import pg from 'pg';
import { CannotStart } from '../errors.ts';

type Work = (migrator: Migrator) => Promise<MigrationResultSet>;

const migrationFolder = path.join(import.meta.dirname, 'migrations');
const MIGRATION_TABLE = 'polaris_migration';

/** Of advisory locks, which every session of a database shares. */
const MIGRATION_LOCK = 7_765_000_002;
const CONNECTION_TIMEOUT_MS = 10_000;
/** While we wait for a table's lock, everybody behind us waits, too: better to give up and be started again. */
const TABLE_LOCK_TIMEOUT_MS = 5_000;

/**
 * Brings the database to the newest version and answers the names of the migrations that it took. Safe to run from
 * several replicas at once. Refuses with `CannotStart`; nothing is changed then.
 */
export async function migrateUp(url: string): Promise<string[]> {
  return migrate(url, (migrator) => migrator.migrateToLatest());
}

/** Goes back by one version. A migration that would lose data refuses, unless `loseData` is set. */
export async function migrateDown(url: string, { loseData = false } = {}): Promise<string[]> {
  return migrate(url, (migrator) => migrator.migrateDown(), loseData);
}

/** Is the newest migration that we know applied? A newer service may have gone on while this one still runs. */
export async function isMigrated(query: (text: string) => Promise<{ rows: { name: string }[] }>): Promise<boolean> {
  const files = await fs.readdir(migrationFolder);
  const names = files.filter((file) => file.endsWith('.ts')).map((file) => path.parse(file).name);
  const applied = await query(`SELECT name FROM ${MIGRATION_TABLE}`);
  return applied.rows.some((row) => row.name === names.sort().at(-1));
}

/** One transaction holds the lock, Kysely's own tables and the migrations, so that a refusal leaves nothing behind. */
async function migrate(url: string, work: Work, loseData = false): Promise<string[]> {
  const pool = new pg.Pool({
    connectionString: url,
    max: 1,
    application_name: 'polaris-sms migrate',
    connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
  });
  pool.on('error', () => {});
  // Kysely asks on after a failed statement, and what it throws is PostgreSQL's refusal to answer in a failed transaction.
  let failure: unknown;
  const log: Logger = (event) => {
    if (event.level === 'error') failure ??= event.error;
  };
  const db = new Kysely<unknown>({ dialect: new LockedDialect({ pool }), log });
  try {
    // A later isolation level would not see what another replica did while we waited for the lock.
    const transaction = db.transaction().setIsolationLevel('read committed');
    return await transaction.execute((tx) => migrateAlone(tx, work, loseData));
  } catch (error) {
    throw asCannotStart(failure ?? error);
  } finally {
    await db.destroy();
  }
}

async function migrateAlone(tx: Transaction<unknown>, work: Work, loseData: boolean): Promise<string[]> {
  // All of it for this transaction only. Time limits that a server sets for every session are not meant for migrations;
  // polaris.lose_data is what a migration's down asks.
  await sql`
    SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true),
           set_config('idle_in_transaction_session_timeout', '0', true),
           set_config('polaris.lose_data', ${loseData ? 'yes' : 'no'}, true)`.execute(tx);
  await sql`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`.execute(tx);
  await sql`SELECT set_config('lock_timeout', ${String(TABLE_LOCK_TIMEOUT_MS)}, true)`.execute(tx);
  const migrator = new Migrator({
    db: tx,
    // Our own import: Kysely's would load second copies under a test runner, and their CannotStart is not ours.
    provider: new FileMigrationProvider({ fs, path, migrationFolder, import: (file) => import(file) }),
    migrationTableName: MIGRATION_TABLE,
    migrationLockTableName: `${MIGRATION_TABLE}_lock`,
    migrationTableSchema: await findSchema(tx),
  });
  const { error, results } = await work(migrator);
  if (error !== undefined) throw error;
  return (results ?? []).map((result) => result.migrationName);
}

/** Without a schema Kysely would take a table of this name in any schema, such as a backup's, for ours. */
async function findSchema(tx: Transaction<unknown>): Promise<string> {
  const { rows } = await sql<{ name: string | null }>`
    SELECT coalesce(
      (SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
       WHERE pg_class.oid = to_regclass(${MIGRATION_TABLE})),
      current_schema()) AS name`.execute(tx);
  const name = rows[0]?.name;
  if (name) return name;
  throw new CannotStart('No schema on the search_path of the database exists: create one, or set another search_path.');
}

class LockedDialect extends PostgresDialect {
  override createAdapter() {
    return new LockedAdapter();
  }
}

/** The lock is taken already: Kysely's own comes after it made its tables, and with a time limit of its own. */
class LockedAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

/** What to do, by code and words of an error: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const remedies: readonly [RegExp, string][] = [
  [
    /^(08|28|3D|53|57P|E[A-Z])|^ Connection terminated|URI malformed/,
    'check DATABASE_* and that PostgreSQL runs there',
  ],
  [/^42501/, 'its user must own the message table and be allowed to create tables'],
  [/^(55P03|40P01)/, 'end what else uses the message table, and start again'],
  [/previously executed migration .* is missing/, 'a newer version of this service has been here, run that one'],
];

function asCannotStart(error: unknown): CannotStart {
  if (error instanceof CannotStart) return error;
  if (!(error instanceof Error)) return new CannotStart('The database could not be migrated.', { cause: error });
  const code = 'code' in error ? String(error.code) : '';
  const remedy = remedies.find(([signs]) => signs.test(`${code} ${error.message}`))?.[1];
  const reason = (error.message || code || error.name).replace(/\.$/, '');
  const sentence = `The database could not be migrated: ${reason}${remedy === undefined ? '' : `; ${remedy}`}.`;
  return new CannotStart(sentence, { cause: error });
}
