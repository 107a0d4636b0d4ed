import { userInfo } from 'node:os';
import { readDatabaseConfig } from '../config.ts';
import { type Db, openDb } from '../db/db.ts';
import { checkDatabase } from '../db/installation.ts';
import { CannotStart } from '../errors.ts';
import { makeApiKey } from '../tenant/api-key.ts';
import { addKey, isScope, type KeyRow, listKeys, revokeKey } from '../tenant/api-keys.ts';
import { type Scope, scopes } from '../tenant/caller.ts';
import { type Call, type Command, wrongUse } from './command.ts';
import { type Ending, Failure } from './failure.ts';
import { print, printJson, remark } from './terminal.ts';
import { printable, secondOf } from './words.ts';

/** Straight at the database: there may be no key yet that the service would let in. */
export const keys: Command = {
  words: ['create|list|revoke'],
  about:
    'Makes, lists and revokes API keys, straight in the database that DATABASE_* names. A key is shown once. What is revoked opens ' +
    `nothing after 5 s. Scopes: ${scopes.join(', ')}; sms:admin brings all but sms:read:content.`,
  flags: {
    name: { value: 'NAME', about: 'create: whose it is; stands as created_by and in the audit' },
    'all-tenants': { about: 'create: for every tenant, instead of --trustomer and --product' },
    scopes: { value: 'A,B', about: 'create: what it may do' },
    days: { value: 'N', about: 'create: good for so many days; without it, for good' },
    id: { value: 'ID', about: 'revoke: the twelve digits in the middle of the key' },
  },
  examples: [
    "create --name 'clinic backend' --trustomer OUH --product GDM --scopes sms:send,sms:read --days 365",
    'list',
    'revoke --id 3f2a9c01d4be',
  ],
  timeoutS: 30,
  tenant: 'taken',
  run: async (call) => {
    const word = call.word(0);
    const action = Object.hasOwn(actions, word) ? actions[word] : undefined;
    if (action === undefined) throw wrongUse('keys', 'Say create, list or revoke.');
    return withDatabase(action(call));
  },
};

type Work = (db: Db) => Promise<Ending>;
/** Each reads its flags before the database is looked for. */
const actions: Readonly<Record<string, (call: Call) => Work>> = { create, list, revoke };

function create(call: Call): Work {
  const name = readName(call.needed('name'));
  const tenant = readTenant(call);
  const wanted = readScopes(call.needed('scopes'));
  const days = call.text('days') === undefined ? null : call.whole('days', 365, 1, 3_650);
  return async (db) => {
    const { id, text, hash } = makeApiKey();
    if (!(await addKey(db, { id, hash, name, tenant, scopes: wanted, days }, operator()))) {
      throw new Failure('refused', 'There are too many keys: revoke some first.');
    }
    if (call.is('json')) printJson(JSON.stringify({ id, name, key: text }));
    else print(`${text}\n`);
    remark(`This is the only time that the key is shown. To revoke it: polaris-sms keys revoke --id ${id}\n`);
    return 'done';
  };
}

/** A name gets into `created_by`; `unknown` stands there for those who have none. */
function readName(name: string): string {
  if (name.length <= 100 && name === name.trim() && printable(name) === name && name !== 'unknown') return name;
  throw wrongUse('keys', '--name must be a line of up to 100 characters, and not unknown.');
}

function readTenant(call: Call) {
  if (call.is('all-tenants')) {
    if (call.text('trustomer') === undefined && call.text('product') === undefined) return null;
    throw wrongUse('keys', 'Either --all-tenants, or --trustomer and --product.');
  }
  const { trustomer, product } = call.tenant();
  if (trustomer === null || product === null)
    throw wrongUse('keys', 'Give --trustomer and --product, or --all-tenants.');
  return { trustomerCode: readWord('trustomer', trustomer), productName: readWord('product', product) };
}

/** As the service reads the headers. */
function readWord(flag: string, word: string): string {
  const read = word.trim().toLowerCase();
  if (read !== '' && read.length <= 250 && !read.includes(',') && printable(read) === read) return read;
  throw wrongUse('keys', `--${flag} must be a word without a comma.`);
}

function readScopes(list: string): Scope[] {
  const words = [...new Set(list.split(',').map((word) => word.trim()))];
  const known = words.filter(isScope);
  if (known.length === words.length) return known;
  throw wrongUse('keys', `--scopes must be some of ${scopes.join(', ')}, with commas.`);
}

function list(call: Call): Work {
  return async (db) => {
    const rows = await listKeys(db);
    if (call.is('json')) printJson(JSON.stringify(rows));
    else print(rows.length === 0 ? 'There are no keys.\n' : rows.map(describe).join(''));
    return 'done';
  };
}

function describe(row: KeyRow): string {
  const tenant = row.trustomer_code === null ? 'all tenants' : `${row.trustomer_code} / ${row.product_name}`;
  const time = (at: Date | null) => (at === null ? 'never' : secondOf(at.toISOString()));
  return (
    `${row.id}  ${row.state.padEnd(7)}  ${printable(row.name)}\n` +
    `  ${printable(tenant)}: ${row.scopes.join(', ')}\n` +
    `  created ${time(row.created)}, expires ${time(row.expires)}, last used ${time(row.last_used)}${signedIn(row)}\n`
  );
}

function signedIn({ sessions }: KeyRow): string {
  return sessions === 0 ? '' : `, ${sessions} signed in to the console`;
}

function revoke(call: Call): Work {
  const id = call.needed('id');
  return async (db) => {
    if (!(await revokeKey(db, id, operator()))) {
      throw new Failure('refused', 'There is no such key, or it was revoked before. See polaris-sms keys list.');
    }
    print('Revoked: it opens nothing after 5 s, and who is signed in with it is signed out.\n');
    return 'done';
  };
}

/** For the audit: who is logged in to this machine, as far as it knows. */
function operator(): string {
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}

async function withDatabase(work: Work): Promise<Ending> {
  const { server, dataDir } = readDatabaseConfig();
  const postgres =
    server.kind === 'external' ? { url: server.url, stop: async () => {} } : await startEmbedded(dataDir);
  const db = openDb({ url: postgres.url, poolSize: 1 });
  try {
    const state = await checkDatabase(db).catch((error: unknown) => unreadable(error));
    if (state !== 'ok')
      throw new CannotStart('The tables are not there yet: start the service once, or run make migrate.');
    return await work(db);
  } finally {
    await db.close();
    await postgres.stop();
  }
}

async function startEmbedded(dataDir: string) {
  const { startEmbeddedPostgres } = await import('../db/embedded.ts');
  return startEmbeddedPostgres({ dataDir, database: 'sms', onProgress: (line) => remark(`${line}\n`) });
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html: 42P01, there is no such table. */
function unreadable(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === '42P01') return 'no tables';
  throw new Failure('unreachable', 'The database cannot be reached. npm run cli -- doctor says why.', { cause: error });
}
