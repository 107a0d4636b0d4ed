import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { readDatabaseConfig } from '../../src/config.ts';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrateUp } from '../../src/db/migrate.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The server that the tests use, as an address without a database. */
    postgresUrl: string;
    /** A migrated database that the others are copied from. */
    templateDatabase: string;
  }
}

const TEMPLATE = `polaris_template_${process.pid}`;

/** One PostgreSQL for the whole run: the one that DATABASE_* names, else an embedded one of its own. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { server } = readDatabaseConfig({ ...process.env, ENVIRONMENT: 'TEST' });
  const { url, stop } =
    server.kind === 'external' ? { url: server.url, stop: async () => {} } : await startOwnPostgres();
  await execute(url, `CREATE DATABASE ${TEMPLATE}`);
  await migrateUp(withDatabase(url, TEMPLATE));
  project.provide('postgresUrl', url);
  project.provide('templateDatabase', TEMPLATE);
  return async () => {
    await execute(url, `DROP DATABASE IF EXISTS ${TEMPLATE} WITH (FORCE)`);
    await stop();
  };
}

async function startOwnPostgres(): Promise<{ url: string; stop: () => Promise<void> }> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'polaris-sms-test-'));
  const postgres = await startEmbeddedPostgres({ dataDir, database: 'sms', settings: { max_connections: '300' } });
  return {
    url: postgres.url,
    stop: async () => {
      await postgres.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export async function execute(url: string, statement: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await client.query(statement);
  } finally {
    await client.end();
  }
}

export function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
