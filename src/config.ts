import { isSupportedCountry } from 'libphonenumber-js/max';
import { type DatabaseConfig, readDatabase } from './config-database.ts';
import { type LimitsConfig, readLimits } from './config-limits.ts';
import {
  type RetentionConfig,
  readRetention,
  readSending,
  type SendingConfig,
  shortestRetentionS,
} from './config-sending.ts';
import { readTwilio, type TwilioConfig } from './config-twilio.ts';
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
  const isProduction = environment === 'PRODUCTION';
  const sending = readSending(reader);
  const database = readDatabase(reader, isProduction);
  const twilio = readTwilio(reader, isProduction);
  const retention = readRetention(reader, sending.duplicateWindowS);
  const config: Config = {
    environment,
    listen: readListen(reader),
    database,
    twilio,
    countryCode: readCountryCode(reader, isProduction),
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
  const isProduction = reader.oneOf('ENVIRONMENT', environments, 'PRODUCTION') === 'PRODUCTION';
  const database = readDatabase(reader, isProduction);
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

function readCountryCode(reader: VariableReader, isProduction: boolean): string {
  const given = isProduction ? reader.required('COUNTRY_CODE') : (reader.text('COUNTRY_CODE') ?? 'GB');
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
