import { promises as fs } from 'node:fs';
import path from 'node:path';
import { Kysely, PostgresDialect } from 'kysely';
import { FileMigrationProvider, type MigrationResultSet, Migrator } from 'kysely/migration';
import pg from 'pg';
import { CannotStart } from '../errors.ts';

const migrationFolder = path.join(import.meta.dirname, 'migrations');

/** Brings the database to the newest version. Safe to run from several replicas at once: the migrator takes a lock. */
export async function migrateUp(url: string): Promise<string[]> {
  return withMigrator(url, (migrator) => migrator.migrateToLatest());
}

/** Goes back by one version. A migration that would lose data refuses, unless `loseData` is set. */
export async function migrateDown(url: string, { loseData = false } = {}): Promise<string[]> {
  return withMigrator(url, (migrator) => migrator.migrateDown(), loseData);
}

/** Is the newest migration applied? */
export async function isMigrated(query: (text: string) => Promise<{ rows: { name: string }[] }>): Promise<boolean> {
  const files = await fs.readdir(migrationFolder);
  const newest = files
    .map((file) => path.parse(file).name)
    .sort()
    .at(-1);
  const applied = await query('SELECT name FROM polaris_migration ORDER BY name DESC LIMIT 1');
  return applied.rows[0]?.name === newest;
}

async function withMigrator(
  url: string,
  work: (migrator: Migrator) => Promise<MigrationResultSet>,
  loseData = false,
): Promise<string[]> {
  const pool = new pg.Pool({ connectionString: url, max: 2, application_name: 'polaris-sms migrate' });
  pool.on('error', () => {});
  // A migration's down asks this setting; it lives for the session only.
  pool.on('connect', (client) => client.query(`SET polaris.lose_data = '${loseData ? 'yes' : 'no'}'`));
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  const migrator = new Migrator({
    db,
    provider: new FileMigrationProvider({ fs, path, migrationFolder }),
    migrationTableName: 'polaris_migration',
    migrationLockTableName: 'polaris_migration_lock',
  });
  try {
    const { error, results } = await work(migrator);
    if (error !== undefined) throw asCannotStart(error);
    return (results ?? []).map((result) => result.migrationName);
  } finally {
    await db.destroy();
  }
}

function asCannotStart(error: unknown): CannotStart {
  if (error instanceof CannotStart) return error;
  const reason =
    error instanceof Error ? error.message || ('code' in error ? String(error.code) : error.name) : 'unknown';
  return new CannotStart(`The database could not be migrated: ${reason}.`, { cause: error });
}
