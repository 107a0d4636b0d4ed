import { readFileSync } from 'node:fs';
import { isSupportedCountry } from 'libphonenumber-js/max';
import { type LimitsConfig, readLimits } from './config-limits.ts';
import {
  type RetentionConfig,
  readRetention,
  readSending,
  type SendingConfig,
  shortestRetentionS,
} from './config-sending.ts';
import type { ContentKey } from './message/sealing.ts';
import { lowerCase, VariableReader, type Variables } from './variables.ts';

/** The environment, read once, checked as a whole and frozen. CONTRACT: names are those of the Python service. */
export type Config = {
  readonly environment: Environment;
  readonly listen: {
    readonly address: string;
    readonly port: number;
    /** Of a second listener, for callbacks alone; null = none. */
    readonly callbackPort: number | null;
  };
  readonly database: DatabaseConfig;
  readonly twilio: TwilioConfig;
  /** Region in which a number without a country prefix is read, ISO 3166-1 alpha-2. */
  readonly countryCode: string;
  readonly log: LogConfig;
  readonly sending: SendingConfig;
  readonly retention: RetentionConfig;
  readonly limits: LimitsConfig;
  readonly auth: AuthConfig;
  /** After SIGTERM, how long readiness says 503 before the service stops taking requests. */
  readonly shutdownDelayMs: number;
};

/** Who may call: everybody, as the Python service had it, or who has a key. `isChosen`: somebody has said so. */
type AuthConfig = { readonly mode: 'none' | 'apikey'; readonly isChosen: boolean };

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

export type TwilioConfig = {
  /** `twilio`: a server we are given; `lively` and `quiet`: the simulator, in this process. */
  readonly server: 'twilio' | 'lively' | 'quiet';
  readonly accountSid: string;
  /** The first one makes calls (unless there is an API key); all of them are accepted on callbacks. */
  readonly authTokens: readonly string[];
  readonly apiKey: { readonly sid: string; readonly secret: string } | null;
  readonly baseUrl: string;
  /** The public URL Twilio calls; null = our own loopback address. */
  readonly callbackUrl: string | null;
  /** URL fragment that tunes Twilio's callback retries (TWILIO.md 11); '' = none. */
  readonly callbackOverrides: string;
  readonly timeoutMs: number;
  readonly maxConcurrency: number;
};

export type LogConfig = {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly format: 'colour' | 'plain' | 'json';
};

const environments = ['PRODUCTION', 'DEMO', 'DEVELOPMENT', 'STAGING', 'TRAINING', 'TEST'] as const;
type Environment = (typeof environments)[number];

/** Refuses with one line for each variable that is bad or missing; never repeats a secret. */
export function readConfig(env: Variables = process.env): Config {
  const reader = new VariableReader(env);
  const environment = reader.oneOf('ENVIRONMENT', environments, 'PRODUCTION');
  const sending = readSending(reader);
  const database = readDatabase(reader, environment);
  const twilio = readTwilio(reader, environment);
  const retention = readRetention(reader, sending.duplicateWindowS);
  const config: Config = {
    environment,
    listen: readListen(reader),
    database,
    twilio,
    countryCode: readCountryCode(reader, environment),
    log: readLog(reader),
    sending,
    retention,
    limits: readLimits(reader, {
      isQuiet: twilio.server === 'quiet',
      shortestRetentionS: shortestRetentionS(retention),
    }),
    auth: {
      mode: lowerCase(reader.oneOf('AUTH_MODE', ['NONE', 'APIKEY'] as const, 'NONE')),
      isChosen: reader.text('AUTH_MODE') !== null,
    },
    // Ctrl-C at a developer's terminal is obeyed at once.
    shutdownDelayMs: reader.integer('SHUTDOWN_DELAY_MS', environment === 'DEVELOPMENT' ? 0 : 3_000, 0, 5_000),
  };
  reader.refuseProblems();
  return Object.freeze(config);
}

/** What a command needs that only touches the database. */
export function readDatabaseConfig(env: Variables = process.env): DatabaseConfig {
  const reader = new VariableReader(env);
  const database = readDatabase(reader, reader.oneOf('ENVIRONMENT', environments, 'PRODUCTION'));
  reader.refuseProblems();
  return database;
}

/** What the command line needs to find the service and to say on whose behalf it speaks. */
type CliConfig = {
  readonly url: string;
  readonly trustomer: string | null;
  readonly product: string | null;
  /** The API key that it shows. */
  readonly key: string | null;
};

export function readCliConfig(env: Variables = process.env): CliConfig {
  const reader = new VariableReader(env);
  const url = reader.url('POLARIS_SMS_URL', ['http:', 'https:']);
  if (url !== null && new URL(url).username !== '') {
    reader.problem('POLARIS_SMS_URL', 'must not hold a user and password');
  }
  const config = {
    url: url ?? `http://127.0.0.1:${readPort(reader)}`,
    trustomer: reader.text('POLARIS_SMS_TRUSTOMER'),
    product: reader.text('POLARIS_SMS_PRODUCT'),
    key: readShownKey(reader),
  };
  reader.refuseProblems();
  return config;
}

function readShownKey(reader: VariableReader): string | null {
  const key = reader.text('POLARIS_SMS_KEY');
  if (key !== null && !/^[\x21-\x7e]+$/.test(key)) reader.problem('POLARIS_SMS_KEY', 'must be an API key');
  return key;
}

function readListen(reader: VariableReader): Config['listen'] {
  const port = readPort(reader);
  const isSeparate = reader.text('CALLBACK_PORT') !== null;
  const callbackPort = isSeparate ? reader.integer('CALLBACK_PORT', 0, 0, 65_535) : null;
  if (callbackPort === port && port !== 0) reader.problem('CALLBACK_PORT', 'must be another port than PORT');
  return { address: reader.text('LISTEN_ADDRESS') ?? '0.0.0.0', port, callbackPort };
}

function readPort(reader: VariableReader): number {
  return reader.integer(reader.text('PORT') === null ? 'SERVER_PORT' : 'PORT', 5000, 0, 65_535);
}

const databaseVariables = [
  'DATABASE_HOST',
  'DATABASE_PORT',
  'DATABASE_USER',
  'DATABASE_PASSWORD',
  'DATABASE_NAME',
] as const;

function readDatabase(reader: VariableReader, environment: Environment): DatabaseConfig {
  return {
    server: readDatabaseServer(reader, environment),
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

function readDatabaseServer(reader: VariableReader, environment: Environment): DatabaseConfig['server'] {
  const url = reader.url('DATABASE_URL', ['postgres:', 'postgresql:']);
  if (url !== null) return { kind: 'external', url };
  if (environment !== 'PRODUCTION' && reader.noneOf(databaseVariables)) return { kind: 'embedded' };
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

const twilioVariables = [
  'TWILIO_ACCOUNT_SID',
  'TWILIO_AUTH_TOKEN',
  'TWILIO_CALL_BACK_URL',
  'TWILIO_AUTH_TOKEN_SECONDARY',
  'TWILIO_API_KEY_SID',
  'TWILIO_API_KEY_SECRET',
  'TWILIO_BASE_URL',
] as const;

function readTwilio(reader: VariableReader, environment: Environment): TwilioConfig {
  const isProduction = environment === 'PRODUCTION';
  const isDisabled = reader.boolean('TWILIO_DISABLED', false) && !isProduction;
  const isConfigured = isProduction || !reader.noneOf(twilioVariables);
  const secondary = reader.text('TWILIO_AUTH_TOKEN_SECONDARY');
  return {
    server: isDisabled ? 'quiet' : isConfigured ? 'twilio' : 'lively',
    accountSid: isConfigured ? readAccountSid(reader, isProduction) : '',
    authTokens: isConfigured ? [reader.required('TWILIO_AUTH_TOKEN'), ...(secondary === null ? [] : [secondary])] : [],
    apiKey: readApiKey(reader),
    baseUrl: readBaseUrl(reader),
    callbackUrl: isConfigured ? readCallbackUrl(reader) : null,
    callbackOverrides: reader.textOrEmpty('TWILIO_CALLBACK_OVERRIDES') ?? 'rc=5&rp=ct,rt,5xx&ct=2000&rt=2500',
    // A POST answers within 14 s (CONTRACT), so Twilio may take 11 of them at the most.
    timeoutMs: reader.integer('TWILIO_TIMEOUT_MS', 10_000, 100, 11_000),
    maxConcurrency: reader.integer('TWILIO_MAX_CONCURRENCY', 50, 1, 1000),
  };
}

function readBaseUrl(reader: VariableReader): string {
  const url = reader.url('TWILIO_BASE_URL', ['http:', 'https:']) ?? 'https://api.twilio.com';
  if (new URL(url).username !== '') reader.problem('TWILIO_BASE_URL', 'must not hold a user and password');
  return url.replace(/(?<!\/)\/+$/, '');
}

function readAccountSid(reader: VariableReader, isProduction: boolean): string {
  const sid = reader.required('TWILIO_ACCOUNT_SID');
  if (isProduction && sid !== '' && !/^AC[0-9a-fA-F]{32}$/.test(sid)) {
    reader.problem('TWILIO_ACCOUNT_SID', 'must be AC followed by 32 hexadecimal digits');
  }
  return sid;
}

function readCallbackUrl(reader: VariableReader): string {
  reader.required('TWILIO_CALL_BACK_URL');
  return reader.url('TWILIO_CALL_BACK_URL', ['http:', 'https:']) ?? '';
}

function readApiKey(reader: VariableReader): TwilioConfig['apiKey'] {
  if (reader.noneOf(['TWILIO_API_KEY_SID', 'TWILIO_API_KEY_SECRET'])) return null;
  return { sid: reader.required('TWILIO_API_KEY_SID'), secret: reader.required('TWILIO_API_KEY_SECRET') };
}

function readCountryCode(reader: VariableReader, environment: Environment): string {
  const given = environment === 'PRODUCTION' ? reader.required('COUNTRY_CODE') : (reader.text('COUNTRY_CODE') ?? 'GB');
  const country = given.toUpperCase();
  if (given !== '' && !isSupportedCountry(country)) {
    reader.problem('COUNTRY_CODE', 'must be a country in two letters, for example GB');
  }
  return country;
}

function readLog(reader: VariableReader): LogConfig {
  const level = reader.oneOf('LOG_LEVEL', ['ERROR', 'WARN', 'INFO', 'DEBUG'] as const, 'INFO');
  const format = reader.oneOf('LOG_FORMAT', ['COLOUR', 'PLAIN', 'JSON'] as const, 'JSON');
  return { level: lowerCase(level), format: lowerCase(format) };
}
