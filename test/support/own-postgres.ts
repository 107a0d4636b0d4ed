import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrateUp } from '../../src/db/migrate.ts';

export type OwnPostgres = {
  readonly url: string;
  /** PostgreSQL's folder with everything it keeps, its write-ahead log included. */
  readonly dataFolder: string;
  /** Straight at the database. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  /** PostgreSQL's own log so far. */
  log(): Promise<string>;
  stop(): Promise<void>;
};

/** A PostgreSQL of one's own, migrated, whose files and log can be read. */
export async function startOwnPostgres(settings: Record<string, string> = {}): Promise<OwnPostgres> {
  const folder = await mkdtemp(path.join(tmpdir(), 'polaris-sms-own-'));
  // Started by root, PostgreSQL runs as `nobody`, who must reach it.
  await chmod(folder, 0o755);
  const postgres = await startEmbeddedPostgres({ dataDir: folder, database: 'sms', settings });
  await migrateUp(postgres.url);
  const pool = new pg.Pool({ connectionString: postgres.url, max: 2 });
  pool.on('error', () => {});
  const query = async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
    (await pool.query<Row>(text, values)).rows;
  const [place] = await query<{ data_directory: string }>('SHOW data_directory');
  const dataFolder = place?.data_directory ?? '';
  return {
    url: postgres.url,
    dataFolder,
    query,
    log: () => readFile(path.join(path.dirname(dataFolder), 'log'), 'utf8'),
    stop: async () => {
      await pool.end();
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
