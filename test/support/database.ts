import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { execute, withDatabase } from './postgres.ts';

export type TestDatabase = { readonly url: string; drop(): Promise<void> };

/** A database of its own for a test file: migrated (the default), or empty. */
export async function createDatabase(content: 'migrated' | 'empty' = 'migrated'): Promise<TestDatabase> {
  const server = inject('postgresUrl');
  const name = `polaris_test_${randomBytes(6).toString('hex')}`;
  await execute(
    server,
    `CREATE DATABASE ${name} TEMPLATE ${content === 'migrated' ? inject('templateDatabase') : 'template0'}`,
  );
  return {
    url: withDatabase(server, name),
    drop: async () => {
      await execute(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}
