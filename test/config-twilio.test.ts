import { describe, expect, test } from 'vitest';
import { readConfig } from '../src/config.ts';
import { development, problemsOf, production, twilio, type Variables } from './support/variables.ts';

describe('Configuration: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_CALL_BACK_URL, COUNTRY_CODE', () => {
  test('no Twilio variables outside production: the lively simulator, and GB', () => {
    const config = readConfig(development);
    expect(config.twilio).toMatchObject({ server: 'lively', callbackUrl: null, authTokens: [], apiKey: null });
    expect(config.countryCode).toBe('GB');
  });
  test('all of them: Twilio itself', () => {
    const config = readConfig({ ...development, ...twilio, COUNTRY_CODE: 'us' });
    expect(config.twilio).toMatchObject({
      server: 'twilio',
      accountSid: twilio.TWILIO_ACCOUNT_SID,
      authTokens: ['the-token'],
      callbackUrl: twilio.TWILIO_CALL_BACK_URL,
    });
    expect(config.countryCode).toBe('US');
  });
  test.each(Object.keys(twilio))('all but %s: it is named', (missing) => {
    expect(problemsOf({ ...development, ...twilio, [missing]: undefined })).toEqual([`${missing} is missing`]);
    expect(problemsOf({ ...development, ...twilio, [missing]: '' })).toEqual([`${missing} is missing`]);
  });
  test.each([
    'TWILIO_ACCOUNT_SID',
    'TWILIO_AUTH_TOKEN',
    'TWILIO_AUTH_TOKEN_SECONDARY',
    'TWILIO_API_KEY_SID',
    'TWILIO_BASE_URL',
  ])('%s alone: the missing ones are named', (name) => {
    const said = problemsOf({ ...development, [name]: 'http://x' });
    expect(said).toContain('TWILIO_CALL_BACK_URL is missing');
    expect(said).not.toContain(`${name} is missing`);
  });
  test('outside production SIDs and tokens may be any text', () => {
    const env = { ...development, TWILIO_ACCOUNT_SID: 'test', TWILIO_AUTH_TOKEN: 'test' };
    const config = readConfig({ ...env, TWILIO_CALL_BACK_URL: 'http://dummy-callback-url' });
    expect(config.twilio).toMatchObject({ accountSid: 'test', authTokens: ['test'] });
    expect(config.twilio.callbackUrl).toBe('http://dummy-callback-url');
  });
  test('in production the account SID is one', () => {
    expect(problemsOf({ ...production, TWILIO_ACCOUNT_SID: 'test' })).toEqual([
      'TWILIO_ACCOUNT_SID must be AC followed by 32 hexadecimal digits',
    ]);
  });
  test('a callback URL that Twilio could not call is refused', () => {
    for (const TWILIO_CALL_BACK_URL of ['sms.example', 'ftp://sms.example', '/callback']) {
      expect(problemsOf({ ...development, ...twilio, TWILIO_CALL_BACK_URL })).toEqual([
        'TWILIO_CALL_BACK_URL must be an address that begins with http:// or https://',
      ]);
    }
  });
  test('a country that is none is refused', () => {
    for (const COUNTRY_CODE of ['XX', 'GBR', 'England']) {
      expect(problemsOf({ ...development, COUNTRY_CODE })).toEqual([
        'COUNTRY_CODE must be a country in two letters, for example GB',
      ]);
    }
  });
});

describe('Configuration: the other TWILIO_*', () => {
  const read = (env: Variables) => readConfig({ ...development, ...twilio, ...env }).twilio;

  test('TWILIO_AUTH_TOKEN_SECONDARY comes after the first one', () => {
    expect(read({ TWILIO_AUTH_TOKEN_SECONDARY: 'next' }).authTokens).toEqual(['the-token', 'next']);
  });
  test('TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET go together', () => {
    const key = { TWILIO_API_KEY_SID: 'SK1', TWILIO_API_KEY_SECRET: 'hush' };
    expect(read(key).apiKey).toEqual({ sid: 'SK1', secret: 'hush' });
    for (const missing of Object.keys(key)) {
      expect(problemsOf({ ...development, ...twilio, ...key, [missing]: '' })).toEqual([`${missing} is missing`]);
    }
  });
  test('TWILIO_BASE_URL is Twilio’s unless set, without a slash at its end', () => {
    expect(read({}).baseUrl).toBe('https://api.twilio.com');
    expect(read({ TWILIO_BASE_URL: 'http://localhost:4010/twilio/' }).baseUrl).toBe('http://localhost:4010/twilio');
    expect(problemsOf({ ...development, ...twilio, TWILIO_BASE_URL: 'localhost' })).toEqual([
      'TWILIO_BASE_URL must be an address that begins with http:// or https://',
    ]);
  });
  test('TWILIO_TIMEOUT_MS is 10000; with more than 11000 no POST would answer within 14 s', () => {
    expect(read({}).timeoutMs).toBe(10_000);
    expect(read({ TWILIO_TIMEOUT_MS: '11000' }).timeoutMs).toBe(11_000);
    expect(problemsOf({ ...development, TWILIO_TIMEOUT_MS: '11001' })).toEqual([
      'TWILIO_TIMEOUT_MS must be a whole number from 100 to 11000',
    ]);
  });
  test('TWILIO_MAX_CONCURRENCY is 50', () => {
    expect(read({}).maxConcurrency).toBe(50);
    expect(read({ TWILIO_MAX_CONCURRENCY: '1' }).maxConcurrency).toBe(1);
    expect(problemsOf({ ...development, TWILIO_MAX_CONCURRENCY: '0' })).toEqual([
      'TWILIO_MAX_CONCURRENCY must be a whole number from 1 to 1000',
    ]);
  });
  test('TWILIO_CALLBACK_OVERRIDES: empty = none', () => {
    expect(read({}).callbackOverrides).toBe('rc=5&rp=ct,rt,5xx&ct=2000&rt=2500');
    expect(read({ TWILIO_CALLBACK_OVERRIDES: 'rc=1' }).callbackOverrides).toBe('rc=1');
    expect(read({ TWILIO_CALLBACK_OVERRIDES: '' }).callbackOverrides).toBe('');
  });
});

describe('Configuration: TWILIO_DISABLED', () => {
  test.each(['true', 'True', 'TRUE', '1', 'yes'])('%s, outside production: the quiet simulator', (TWILIO_DISABLED) => {
    expect(readConfig({ ...development, TWILIO_DISABLED }).twilio.server).toBe('quiet');
    expect(readConfig({ ...development, ...twilio, TWILIO_DISABLED }).twilio.server).toBe('quiet');
  });
  test.each(['false', 'False', '0', 'no', '', undefined])('%s: not', (TWILIO_DISABLED) => {
    expect(readConfig({ ...development, TWILIO_DISABLED }).twilio.server).toBe('lively');
    expect(readConfig({ ...development, ...twilio, TWILIO_DISABLED }).twilio.server).toBe('twilio');
  });
  test('is ignored in production', () => {
    expect(readConfig({ ...production, TWILIO_DISABLED: 'true' }).twilio.server).toBe('twilio');
  });
  test('another word is refused', () => {
    expect(problemsOf({ ...development, TWILIO_DISABLED: 'maybe' })).toEqual([
      'TWILIO_DISABLED must be one of TRUE, FALSE, 1, 0, YES, NO',
    ]);
  });
});
