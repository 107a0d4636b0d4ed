import { chown, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CannotStart } from '../errors.ts';
import {
  codeOf,
  isAlive,
  type PostgresPlace,
  renameUnlessThere,
  runPostgresProgram,
  unlessUnwritable,
} from './postgres-place.ts';

/** Whether there is a database already. Refuses one that this user or these binaries cannot run. */
export async function hasFiles({ home, major, owner }: PostgresPlace): Promise<boolean> {
  const found = await stat(home).catch(codeOf);
  if (found === 'ENOENT') return false;
  if (typeof found !== 'object' || found.uid !== owner.uid) throw belongsToAnother(home, found);
  const version = await readFile(join(home, 'data', 'PG_VERSION'), 'utf8').catch((cause) => {
    throw new CannotStart(`There is no database in ${home}: remove that folder, or set DATA_DIR to another.`, {
      cause,
    });
  });
  if (version.trim() === major) return true;
  throw new CannotStart(
    `The database in ${home} was made by PostgreSQL ${version.trim()} and this is ${major}: set DATA_DIR to another folder, or remove that one to begin with an empty database.`,
  );
}

/**
 * Makes an empty database with the superuser `polaris`. It grows in a draft folder that is renamed when whole: a kill
 * leaves nothing half-made, and of two starts at once the second uses what the first has made.
 */
export async function createFiles(place: PostgresPlace, superuser: string, password: string): Promise<void> {
  await unlessUnwritable(dirname(place.home), async () => {
    const draft = await mkdtemp(`${place.home}.draft-${process.pid}-`);
    try {
      await writeFile(join(draft, 'password'), password, { mode: 0o600 });
      await chown(join(draft, 'password'), place.owner.uid, place.owner.gid);
      await chown(draft, place.owner.uid, place.owner.gid);
      await initialise(place, draft, superuser);
      await renameUnlessThere(draft, place.home);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  });
}

/** Sweeps away what a kill during `createFiles` has left. */
export async function removeAbandonedDrafts({ home }: PostgresPlace): Promise<void> {
  const drafts = await readdir(dirname(home)).catch(() => []);
  for (const name of drafts) {
    const pid = /^postgres\.draft-(\d+)-/.exec(name)?.[1];
    const isAbandoned = pid !== undefined && !isAlive(Number(pid));
    // Failing to remove one harms nothing: no start looks into it.
    if (isAbandoned) await rm(join(dirname(home), name), { recursive: true, force: true }).catch(() => {});
  }
}

async function initialise(place: PostgresPlace, home: string, superuser: string): Promise<void> {
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'timezone=UTC',
    'log_timezone=UTC',
    // DETAIL lines quote whole rows: numbers and texts would outlive their redaction in PostgreSQL's log.
    'log_error_verbosity=terse',
    'log_min_error_statement=panic',
  ];
  const fixed = ['-U', superuser, '-A', 'scram-sha-256', '-E', 'UTF8', '--locale=C', '--no-instructions'];
  const paths = ['-D', join(home, 'data'), '--pwfile', join(home, 'password')];
  try {
    await runPostgresProgram(place, 'initdb', [...paths, ...fixed, ...settings.flatMap((setting) => ['-c', setting])]);
  } catch (cause) {
    if (cause instanceof CannotStart) throw cause;
    const why = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : String(cause);
    throw new CannotStart(`The database cannot be made; mend this, or set DATABASE_URL to a running one: ${why}`, {
      cause,
    });
  }
}

function belongsToAnother(home: string, found: { uid: number } | string): CannotStart {
  const whose = typeof found === 'object' ? `user ${found.uid}` : 'another user';
  return new CannotStart(
    `The database in ${home} belongs to ${whose}: start as the user who started it first, or set DATA_DIR to another folder.`,
  );
}
