import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';

/** `make migration m='add a column'`: writes the next migration, to be filled in, and prints where. */

const usage = "Say in a few words what the migration does: make migration m='add a column'\n";

const migrations = path.join(import.meta.dirname, '../src/db/migrations');
const { values, positionals } = parseArgs({ allowPositionals: true, options: { folder: { type: 'string' } } });
const words = positionals.join(' ').trim();
const name =
  words
    .toLowerCase()
    .match(/[a-z0-9]+/g)
    ?.join('_') ?? '';

if (name === '' || name.length > 80) {
  process.stderr.write(usage);
  process.exitCode = 1;
} else {
  const file = await writeMigration(values.folder ?? migrations);
  process.stdout.write(`${path.relative('.', file)}\n`);
}

async function writeMigration(folder: string): Promise<string> {
  const numbers = (await readdir(folder)).map((file) => Number.parseInt(file, 10)).filter(Number.isInteger);
  const number = String(Math.max(0, ...numbers) + 1).padStart(4, '0');
  const file = path.join(folder, `${number}_${name}.ts`);
  await writeFile(file, template(), { flag: 'wx' });
  return file;
}

function template(): string {
  return `import { type Kysely, sql } from 'kysely';

/** ${words.replaceAll('*/', '* /')}: why. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql\`
    ALTER TABLE message
      ADD COLUMN example varchar\`.execute(db);
}

/** What it loses it names in a refusal, unless polaris.lose_data is 'yes': see 0002_life_of_a_message.ts. */
export async function down(db: Kysely<unknown>): Promise<void> {
  await sql\`
    ALTER TABLE message
      DROP COLUMN example\`.execute(db);
}
`;
}
