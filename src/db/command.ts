import { parseArgs } from 'node:util';
import { readDatabaseConfig } from '../config.ts';
import { CannotStart } from '../errors.ts';
import { startEmbeddedPostgres } from './embedded.ts';
import { migrateDown, migrateUp } from './migrate.ts';

/** `npm run migrate`: the database to its newest version, or back by one. The service goes up by itself at its start. */

const help = `Migrates the database that DATABASE_* names; without them, outside production, the embedded one in DATA_DIR.

  up             to the newest version
  down           back by one version; refuses to lose data
  --lose-data    lets down lose what it names
  --help         this text
`;

type Step = { readonly direction: 'up' | 'down'; readonly loseData: boolean };

try {
  const step = readStep(process.argv.slice(2));
  process.stdout.write(step === 'help' ? help : await migrate(step));
} catch (error) {
  if (!(error instanceof CannotStart)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

async function migrate({ direction, loseData }: Step): Promise<string> {
  const { url, stop } = await findDatabase();
  try {
    const names = direction === 'up' ? await migrateUp(url) : await migrateDown(url, { loseData });
    const done = names.map((name) => `${direction === 'up' ? 'applied' : 'taken back'} ${name}\n`);
    return done.join('') || 'nothing to do\n';
  } finally {
    await stop();
  }
}

async function findDatabase(): Promise<{ url: string; stop: () => Promise<void> }> {
  const { server, dataDir } = readDatabaseConfig();
  if (server.kind === 'external') return { url: server.url, stop: async () => {} };
  const onProgress = (line: string) => process.stdout.write(`${line}\n`);
  return startEmbeddedPostgres({ dataDir, database: 'sms', onProgress });
}

function readStep(args: string[]): Step | 'help' {
  const { values, positionals } = parse(args);
  if (values.help === true) return 'help';
  const [direction, ...others] = positionals;
  if ((direction !== 'up' && direction !== 'down') || others.length > 0) {
    throw new CannotStart('Say up or down. See --help.');
  }
  return { direction, loseData: values['lose-data'] === true };
}

function parse(args: string[]) {
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({ args, allowPositionals: true, options: { 'lose-data': flag, help: flag } });
  } catch (cause) {
    const [reason = ''] = (cause instanceof Error ? cause.message : String(cause)).split('. ');
    throw new CannotStart(`${reason.replace(/\.?$/, '.')} See --help.`, { cause });
  }
}
