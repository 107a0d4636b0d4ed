import { readFileSync } from 'node:fs';
import type { ContentKey } from './message/sealing.ts';
import type { VariableReader } from './variables.ts';

export type DatabaseConfig = {
  readonly server: { readonly kind: 'external'; readonly url: string } | { readonly kind: 'embedded' };
  /** Folder of the embedded PostgreSQL. */
  readonly dataDir: string;
  readonly poolSize: number;
  /** Overrides the key of every keyed hash that the first migration made; null = use that one. */
  readonly hashKey: string | null;
  /** What texts are sealed with at rest, the one that is written with first; none = in clear. */
  readonly contentKeys: readonly ContentKey[];
};

const databaseVariables = [
  'DATABASE_HOST',
  'DATABASE_PORT',
  'DATABASE_USER',
  'DATABASE_PASSWORD',
  'DATABASE_NAME',
] as const;

export function readDatabase(reader: VariableReader, isProduction: boolean): DatabaseConfig {
  return {
    server: readDatabaseServer(reader, isProduction),
    dataDir: reader.text('DATA_DIR') ?? '.data',
    poolSize: reader.integer('DATABASE_POOL_SIZE', 10, 1, 1000),
    hashKey: reader.text('HASH_KEY', { minLength: 16 }),
    contentKeys: readContentKeys(reader),
  };
}

const CONTENT_KEY_BYTES = 32;

/** `id:base64`, in one variable with commas or in a file with lines; a file also takes empty lines and comments with #. */
function readContentKeys(reader: VariableReader): ContentKey[] {
  const file = reader.text('CONTENT_KEYS_FILE');
  const variable = file === null ? 'CONTENT_KEYS' : 'CONTENT_KEYS_FILE';
  if (file !== null && reader.text('CONTENT_KEYS') !== null) {
    reader.problem('CONTENT_KEYS', 'must not be set together with CONTENT_KEYS_FILE');
  }
  const given = file === null ? reader.text('CONTENT_KEYS') : readKeysFile(reader, file);
  const entries = (given ?? '')
    // First: a comment may have commas.
    .replace(/#.*/g, '')
    .split(/[\n,]/)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  if (given !== null && entries.length === 0) reader.problem(variable, 'holds no key');
  const keys = entries.map((entry) => {
    const [, id = '', base64 = ''] = /^(\w{1,32}):([A-Za-z0-9+/_-]{43}=?)$/.exec(entry) ?? [];
    return { id, key: Buffer.from(base64, 'base64') };
  });
  if (keys.some(({ id, key }) => id === '' || key.length !== CONTENT_KEY_BYTES)) {
    reader.problem(variable, 'must hold keys of the form id:base64, the id of letters and digits, the key of 32 bytes');
  } else if (new Set(keys.map(({ id }) => id)).size < keys.length) {
    reader.problem(variable, 'must not hold two keys of one id');
  }
  return keys;
}

function readKeysFile(reader: VariableReader, file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    reader.problem('CONTENT_KEYS_FILE', 'names a file that cannot be read');
    return null;
  }
}

function readDatabaseServer(reader: VariableReader, isProduction: boolean): DatabaseConfig['server'] {
  const url = reader.url('DATABASE_URL', ['postgres:', 'postgresql:']);
  if (url !== null) return { kind: 'external', url };
  if (!isProduction && reader.noneOf(databaseVariables)) return { kind: 'embedded' };
  const [host, port, user, password, name] = databaseVariables.map((variable) => reader.required(variable));
  if (port !== '') reader.integer('DATABASE_PORT', 5432, 1, 65_535);
  const credentials = `${encodeURIComponent(user ?? '')}:${encodeURIComponent(password ?? '')}`;
  const database = encodeURIComponent(name ?? '');
  // A host that is a folder is that of a Unix socket; one with colons is an IPv6 address.
  if (host?.startsWith('/')) {
    return {
      kind: 'external',
      url: `postgres://${credentials}@/${database}?host=${encodeURIComponent(host)}&port=${port}`,
    };
  }
  return {
    kind: 'external',
    url: `postgres://${credentials}@${host?.includes(':') ? `[${host}]` : host}:${port}/${database}`,
  };
}
