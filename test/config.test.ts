import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readConfig, readDatabaseConfig } from '../src/config.ts';
import { database, development, problemsOf, production, twilio } from './support/variables.ts';

describe('Configuration: ENVIRONMENT', () => {
  test('is PRODUCTION unless it is set', () => {
    expect(readConfig(production).environment).toBe('PRODUCTION');
  });
  test.each(['PRODUCTION', 'DEMO', 'DEVELOPMENT', 'STAGING', 'TRAINING', 'TEST'])('%s, in any case', (environment) => {
    expect(readConfig({ ...production, ENVIRONMENT: environment }).environment).toBe(environment);
    expect(readConfig({ ...production, ENVIRONMENT: environment.toLowerCase() }).environment).toBe(environment);
  });
  test('anything else is refused', () => {
    expect(problemsOf({ ...production, ENVIRONMENT: 'LIVE' })).toEqual([
      'ENVIRONMENT must be one of PRODUCTION, DEMO, DEVELOPMENT, STAGING, TRAINING, TEST',
    ]);
  });
});

describe('Configuration: PORT, SERVER_PORT and LISTEN_ADDRESS', () => {
  test('5000 on 0.0.0.0 by default', () => {
    expect(readConfig(development).listen).toEqual({ address: '0.0.0.0', port: 5000, callbackPort: null });
  });
  test('PORT wins over SERVER_PORT', () => {
    expect(readConfig({ ...development, SERVER_PORT: '8001' }).listen.port).toBe(8001);
    expect(readConfig({ ...development, SERVER_PORT: '8001', PORT: '8002' }).listen.port).toBe(8002);
    expect(readConfig({ ...development, SERVER_PORT: '8001', PORT: '' }).listen.port).toBe(8001);
  });
  test('LISTEN_ADDRESS is taken as it is', () => {
    expect(readConfig({ ...development, LISTEN_ADDRESS: '::1' }).listen.address).toBe('::1');
  });
  test.each(['65536', '-1', 'http', '5000.5', '5000 ', '0x10', '1e3'])('PORT=%s is refused', (PORT) => {
    expect(problemsOf({ ...development, PORT })).toEqual(['PORT must be a whole number from 0 to 65535']);
    expect(problemsOf({ ...development, SERVER_PORT: PORT })).toEqual([
      'SERVER_PORT must be a whole number from 0 to 65535',
    ]);
  });
});

describe('Configuration: CALLBACK_PORT', () => {
  test('there is none unless it is set; 0 lets the system choose, also beside PORT=0', () => {
    expect(readConfig({ ...development, CALLBACK_PORT: '' }).listen.callbackPort).toBeNull();
    expect(readConfig({ ...development, CALLBACK_PORT: '5001' }).listen.callbackPort).toBe(5001);
    expect(readConfig({ ...development, PORT: '0', CALLBACK_PORT: '0' }).listen.callbackPort).toBe(0);
  });
  test('the port of the service is refused', () => {
    const refusal = ['CALLBACK_PORT must be another port than PORT'];
    expect(problemsOf({ ...development, CALLBACK_PORT: '5000' })).toEqual(refusal);
    expect(problemsOf({ ...development, SERVER_PORT: '8001', CALLBACK_PORT: '8001' })).toEqual(refusal);
  });
  test.each(['65536', '-1', 'http'])('CALLBACK_PORT=%s is refused', (CALLBACK_PORT) => {
    expect(problemsOf({ ...development, CALLBACK_PORT })).toEqual([
      'CALLBACK_PORT must be a whole number from 0 to 65535',
    ]);
  });
});

describe('Configuration: DATABASE_* or DATABASE_URL', () => {
  test('none of them, outside production: an embedded PostgreSQL under .data, or DATA_DIR', () => {
    expect(readConfig(development).database).toMatchObject({ server: { kind: 'embedded' }, dataDir: '.data' });
    expect(readConfig({ ...development, DATA_DIR: '/tmp/x' }).database.dataDir).toBe('/tmp/x');
  });
  test('all five make an address, whatever characters they hold', () => {
    const { server } = readConfig({ ...development, ...database }).database;
    expect(server).toEqual({ kind: 'external', url: 'postgres://sms%20user:p%40ss%2Fw%3Ard@db.example:5433/sms%20db' });
  });
  test.each(Object.keys(database))('all but %s: it is named', (missing) => {
    expect(problemsOf({ ...development, ...database, [missing]: undefined })).toEqual([`${missing} is missing`]);
  });
  test('one alone: the other four are named', () => {
    expect(problemsOf({ ...development, DATABASE_PASSWORD: 'hush' })).toEqual([
      'DATABASE_HOST is missing',
      'DATABASE_NAME is missing',
      'DATABASE_PORT is missing',
      'DATABASE_USER is missing',
    ]);
  });
  test.each(['postgres', 'postgresql'])('DATABASE_URL with %s:// is taken as it is, and is enough', (protocol) => {
    const url = `${protocol}://user:secret@db.example/sms?sslmode=require`;
    const { server } = readConfig({ ...development, DATABASE_URL: url }).database;
    expect(server).toEqual({ kind: 'external', url });
  });
  test('another DATABASE_URL is refused without repeating it', () => {
    for (const DATABASE_URL of ['mysql://user:secret@db.example/sms', 'db.example secret']) {
      const said = problemsOf({ ...development, DATABASE_URL }).join();
      expect(said).toContain('DATABASE_URL must be an address that begins with postgres:// or postgresql://');
      expect(said).not.toContain('secret');
    }
  });
  test.each(['0', '65536', 'x'])('DATABASE_PORT=%s is refused', (DATABASE_PORT) => {
    expect(problemsOf({ ...development, ...database, DATABASE_PORT })).toEqual([
      'DATABASE_PORT must be a whole number from 1 to 65535',
    ]);
  });
  test('a command for the database needs nothing else', () => {
    expect(readDatabaseConfig(database).server.kind).toBe('external');
    expect(problemsOf({}, readDatabaseConfig)).toHaveLength(5);
  });
});

describe('Configuration: DATABASE_POOL_SIZE', () => {
  test('10 by default, from 1 to 1000', () => {
    expect(readConfig(development).database.poolSize).toBe(10);
    expect(readConfig({ ...development, DATABASE_POOL_SIZE: '1' }).database.poolSize).toBe(1);
    expect(readConfig({ ...development, DATABASE_POOL_SIZE: '1000' }).database.poolSize).toBe(1000);
    expect(problemsOf({ ...development, DATABASE_POOL_SIZE: '0' })).toEqual([
      'DATABASE_POOL_SIZE must be a whole number from 1 to 1000',
    ]);
  });
});

describe('Configuration: LOG_LEVEL and LOG_FORMAT', () => {
  test('INFO and json by default', () => {
    expect(readConfig(development).log).toEqual({ level: 'info', format: 'json' });
  });
  test.each(['ERROR', 'WARN', 'INFO', 'DEBUG', 'debug', 'Warn'])('LOG_LEVEL=%s', (LOG_LEVEL) => {
    expect(readConfig({ ...development, LOG_LEVEL }).log.level).toBe(LOG_LEVEL.toLowerCase());
  });
  test.each(['colour', 'plain', 'json', 'COLOUR', 'Json'])('LOG_FORMAT=%s', (LOG_FORMAT) => {
    expect(readConfig({ ...development, LOG_FORMAT }).log.format).toBe(LOG_FORMAT.toLowerCase());
  });
  test('other words are refused', () => {
    expect(problemsOf({ ...development, LOG_LEVEL: 'TRACE', LOG_FORMAT: 'color' })).toEqual([
      'LOG_FORMAT must be one of COLOUR, PLAIN, JSON',
      'LOG_LEVEL must be one of ERROR, WARN, INFO, DEBUG',
    ]);
  });
});

describe('Configuration: as a whole', () => {
  const required = [...Object.keys(database), ...Object.keys(twilio), 'COUNTRY_CODE'];

  test('ENVIRONMENT unset and nothing configured: one line for each missing variable', () => {
    expect(problemsOf({})).toEqual(required.map((name) => `${name} is missing`).sort());
  });

  test.each(required)('in production %s is required', (name) => {
    expect(problemsOf({ ...production, [name]: undefined })).toEqual([`${name} is missing`]);
  });

  test('every bad or missing variable is named at once', () => {
    const env = {
      ENVIRONMENT: 'x',
      PORT: 'x',
      DATABASE_HOST: 'h',
      TWILIO_DISABLED: 'x',
      COUNTRY_CODE: 'x',
      LOG_LEVEL: 'x',
    };
    expect(problemsOf(env).map((line) => line.split(' ')[0])).toEqual([
      ...['COUNTRY_CODE', 'DATABASE_NAME', 'DATABASE_PASSWORD', 'DATABASE_PORT', 'DATABASE_USER', 'ENVIRONMENT'],
      ...['LOG_LEVEL', 'PORT', 'TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN', 'TWILIO_CALL_BACK_URL', 'TWILIO_DISABLED'],
    ]);
  });

  test('an empty variable counts as one that is not set', () => {
    const empty = Object.fromEntries(
      [
        ...required,
        'PORT',
        'SERVER_PORT',
        'LISTEN_ADDRESS',
        'DATABASE_URL',
        'DATABASE_POOL_SIZE',
        'DATA_DIR',
        'HASH_KEY',
        'CONTENT_KEYS',
        'CONTENT_KEYS_FILE',
      ]
        .concat(['LOG_LEVEL', 'LOG_FORMAT', 'TWILIO_BASE_URL', 'TWILIO_AUTH_TOKEN_SECONDARY', 'TWILIO_DISABLED'])
        .concat(['TWILIO_API_KEY_SID', 'TWILIO_API_KEY_SECRET', 'TWILIO_TIMEOUT_MS', 'TWILIO_MAX_CONCURRENCY'])
        .map((name) => [name, '']),
    );
    expect(readConfig({ ...development, ...empty })).toEqual(readConfig(development));
  });

  test('no value is ever repeated, so no secret is', () => {
    const names =
      'ENVIRONMENT PORT SERVER_PORT DATABASE_URL DATABASE_PORT DATABASE_POOL_SIZE DATABASE_PASSWORD HASH_KEY CONTENT_KEYS';
    const others =
      'TWILIO_ACCOUNT_SID TWILIO_AUTH_TOKEN TWILIO_AUTH_TOKEN_SECONDARY TWILIO_API_KEY_SECRET TWILIO_BASE_URL';
    const more = 'TWILIO_CALL_BACK_URL TWILIO_TIMEOUT_MS TWILIO_DISABLED COUNTRY_CODE LOG_LEVEL LOG_FORMAT';
    const env = Object.fromEntries(`${names} ${others} ${more}`.split(' ').map((name) => [name, 's3cr3t']));
    const said = problemsOf(env);
    expect(said.length).toBeGreaterThan(10);
    expect(said.join('\n')).not.toContain('s3cr3t');
  });

  test('content keys: the first one writes; each bad list is named and not repeated', () => {
    const key = Buffer.alloc(32, 7).toString('base64');
    const { contentKeys } = readConfig({ ...development, CONTENT_KEYS: `new:${key}, old:${key}` }).database;
    expect(contentKeys).toEqual(['new', 'old'].map((id) => ({ id, key: Buffer.alloc(32, 7) })));
    expect(readConfig(development).database.contentKeys).toEqual([]);
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'polaris-content-keys-')), 'keys');
    writeFileSync(file, `# of November, made by the night watch\nnew:${key}\n\nold:${key} # until Monday, at noon\n`);
    expect(readConfig({ ...development, CONTENT_KEYS_FILE: file }).database.contentKeys).toEqual(contentKeys);
    const form = /^CONTENT_KEYS must hold keys of the form id:base64/;
    for (const bad of ['x', `a b:${key}`, `a:${key.slice(4)}`, `a:${key}${key}`, key]) {
      expect(problemsOf({ ...development, CONTENT_KEYS: bad })).toEqual([expect.stringMatching(form)]);
    }
    const twice = { ...development, CONTENT_KEYS: `a:${key},a:${key}` };
    expect(problemsOf(twice)).toEqual(['CONTENT_KEYS must not hold two keys of one id']);
    const absent = { ...development, CONTENT_KEYS_FILE: '/nowhere/keys' };
    expect(problemsOf(absent)).toEqual(['CONTENT_KEYS_FILE names a file that cannot be read']);
  });

  test('the environment of the platform’s own tests is a good one', () => {
    const config = readConfig({
      ENVIRONMENT: 'DEVELOPMENT',
      ...database,
      TWILIO_DISABLED: 'true',
      TWILIO_ACCOUNT_SID: 'test',
      TWILIO_AUTH_TOKEN: 'test',
      TWILIO_CALL_BACK_URL: 'http://dummy-callback-url',
      LOG_FORMAT: 'COLOUR',
      SERVER_PORT: '5000',
    });
    expect(config.log.format).toBe('colour');
    expect(config.twilio).toMatchObject({ server: 'quiet', accountSid: 'test', authTokens: ['test'] });
  });

  test('the configuration cannot be changed', () => {
    expect(Object.isFrozen(readConfig(development))).toBe(true);
  });
});

describe('Configuration: CONTENT_RETENTION_DAYS and NUMBER_RETENTION_DAYS', () => {
  test('both are off unless they are set, each by itself; 0 is off as well', () => {
    expect(readConfig(development).retention).toEqual({ contentDays: 0, numberDays: 0 });
    expect(readConfig({ ...development, CONTENT_RETENTION_DAYS: '30' }).retention).toEqual({
      contentDays: 30,
      numberDays: 0,
    });
    expect(
      readConfig({ ...development, CONTENT_RETENTION_DAYS: '0', NUMBER_RETENTION_DAYS: '36500' }).retention,
    ).toEqual({ contentDays: 0, numberDays: 36_500 });
  });
  test.each(['CONTENT_RETENTION_DAYS', 'NUMBER_RETENTION_DAYS'])('%s beyond a century is refused', (name) => {
    for (const days of ['36501', '-1', '1.5', 'never']) {
      expect(problemsOf({ ...development, [name]: days })).toEqual([`${name} must be a whole number from 0 to 36500`]);
    }
  });
  test('DUPLICATE_WINDOW_S may not reach back further than texts and numbers are kept', () => {
    const window = { ...development, DUPLICATE_WINDOW_S: '172800' };
    expect(
      readConfig({ ...window, CONTENT_RETENTION_DAYS: '2', NUMBER_RETENTION_DAYS: '3' }).sending.duplicateWindowS,
    ).toBe(172_800);
    for (const name of ['CONTENT_RETENTION_DAYS', 'NUMBER_RETENTION_DAYS']) {
      expect(problemsOf({ ...window, [name]: '1' })).toEqual([
        'DUPLICATE_WINDOW_S must not be longer than CONTENT_RETENTION_DAYS or NUMBER_RETENTION_DAYS',
      ]);
    }
  });
});
