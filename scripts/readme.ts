import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import { migrateUp } from '../src/db/migrate.ts';
import { readmeParts, withParts } from './readme-parts.ts';

/** Writes the generated parts of README.md: make targets, statuses, magic numbers, database diagram. */
const file = new URL('../README.md', import.meta.url);
const dataDir = await mkdtemp(path.join(tmpdir(), 'polaris-sms-readme-'));
const postgres = await startEmbeddedPostgres({ dataDir, database: 'sms' });
try {
  await migrateUp(postgres.url);
  await writeFile(file, withParts(await readFile(file, 'utf8'), await readmeParts(postgres.url)));
  console.log('README.md is up to date');
} finally {
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
}
