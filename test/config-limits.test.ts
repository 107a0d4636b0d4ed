import { describe, expect, test } from 'vitest';
import { readConfig } from '../src/config.ts';
import { development, problemsOf, production, type Variables } from './support/variables.ts';

const limitsOf = (env: Variables) => readConfig({ ...development, ...env }).limits;
const refused = (env: Variables) => problemsOf({ ...development, ...env });

describe('Configuration: limits', () => {
  test('everything that refuses a text is off by default; memory is bounded', () => {
    expect(readConfig(production).limits).toEqual({
      allowedCountries: null,
      allowedSenders: new Map(),
      dailyCap: null,
      dailyCaps: new Map(),
      recipient: null,
      requests: { rate: null, mostInFlight: 1_000, mostConnections: 4_000 },
    });
  });

  test('RATE_LIMIT_PER_S and RATE_LIMIT_BURST', () => {
    expect(limitsOf({ RATE_LIMIT_PER_S: '20' }).requests.rate).toEqual({ perS: 20, burst: 20 });
    expect(limitsOf({ RATE_LIMIT_PER_S: '20', RATE_LIMIT_BURST: '100' }).requests.rate).toEqual({
      perS: 20,
      burst: 100,
    });
    expect(limitsOf({ RATE_LIMIT_PER_S: '0' }).requests.rate).toBe(null);
    expect(refused({ RATE_LIMIT_BURST: '100' })).toEqual(['RATE_LIMIT_BURST needs RATE_LIMIT_PER_S']);
    expect(refused({ RATE_LIMIT_PER_S: '0.5' })).toEqual(['RATE_LIMIT_PER_S must be a whole number from 0 to 1000000']);
  });

  test('MAX_REQUESTS and MAX_CONNECTIONS', () => {
    expect(limitsOf({ MAX_REQUESTS: '10', MAX_CONNECTIONS: '20' }).requests).toMatchObject({
      mostInFlight: 10,
      mostConnections: 20,
    });
    expect(refused({ MAX_REQUESTS: '0', MAX_CONNECTIONS: '0' })).toEqual([
      'MAX_CONNECTIONS must be a whole number from 1 to 100000',
      'MAX_REQUESTS must be a whole number from 1 to 100000',
    ]);
  });

  test('ALLOWED_COUNTRIES, in any case and with spaces', () => {
    expect(limitsOf({ ALLOWED_COUNTRIES: 'gb, IE' }).allowedCountries).toEqual(new Set(['GB', 'IE']));
  });
  test.each(['UK', 'GBR', 'GB,', 'GB IE', '44', '*'])('ALLOWED_COUNTRIES=%s is refused', (ALLOWED_COUNTRIES) => {
    expect(refused({ ALLOWED_COUNTRIES })).toEqual([
      'ALLOWED_COUNTRIES must be countries in two letters, for example GB,IE',
    ]);
  });
  test('ALLOWED_COUNTRIES is never applied under TWILIO_DISABLED', () => {
    expect(limitsOf({ ALLOWED_COUNTRIES: 'GB', TWILIO_DISABLED: 'true' }).allowedCountries).toBe(null);
    expect(
      readConfig({ ...production, ALLOWED_COUNTRIES: 'GB', TWILIO_DISABLED: 'true' }).limits.allowedCountries,
    ).toEqual(new Set(['GB']));
  });

  test('DAILY_CAP for each tenant, and DAILY_CAPS for those that are named', () => {
    const { dailyCap, dailyCaps } = limitsOf({ DAILY_CAP: '1000', DAILY_CAPS: 'OUH/GDM=500, tvh/gdm=2000' });
    expect([dailyCap, dailyCaps]).toEqual([
      1000,
      new Map([
        ['ouh/gdm', 500],
        ['tvh/gdm', 2000],
      ]),
    ]);
    expect(limitsOf({ DAILY_CAP: '0' }).dailyCap).toBe(null);
  });
  test.each(['ouh=500', 'ouh/gdm', 'ouh/gdm=', 'ouh/gdm=0', 'ouh/gdm=many', 'ouh/gdm=1,ouh/gdm=2', '/gdm=1', 'a/b=1,'])(
    'DAILY_CAPS=%s is refused',
    (DAILY_CAPS) => {
      expect(refused({ DAILY_CAPS })).toEqual([
        'DAILY_CAPS must be trust/product=value, once for each, with commas between: ouh/gdm=500,tvh/gdm=1000',
      ]);
    },
  );

  test('ALLOWED_SENDERS, letter by letter', () => {
    expect(limitsOf({ ALLOWED_SENDERS: 'OUH/GDM=+447700900001|Clinic' }).allowedSenders).toEqual(
      new Map([['ouh/gdm', new Set(['+447700900001', 'Clinic'])]]),
    );
  });
  test('a bad ALLOWED_SENDERS is refused without repeating it', () => {
    for (const ALLOWED_SENDERS of ['ouh/gdm=', 'ouh/gdm=a||b', '+447700900001', 'ouh/gdm=a,ouh/gdm=b']) {
      const [said, ...more] = refused({ ALLOWED_SENDERS });
      expect(said).toMatch(/^ALLOWED_SENDERS must be trust\/product=value, once for each/);
      expect(more).toEqual([]);
    }
  });

  test.each([
    ['3/1h', { most: 3, windowS: 3_600 }],
    ['1/30S', { most: 1, windowS: 30 }],
    ['5/90m', { most: 5, windowS: 5_400 }],
    ['10/30d', { most: 10, windowS: 2_592_000 }],
  ])('RECIPIENT_LIMIT=%s', (RECIPIENT_LIMIT, expected) => {
    expect(limitsOf({ RECIPIENT_LIMIT }).recipient).toEqual(expected);
  });
  test.each(['3', '0/1h', '3/0h', '3/1w', '3/31d', '3/h', '-1/1h', '3/1h/1d'])(
    'RECIPIENT_LIMIT=%s is refused',
    (RECIPIENT_LIMIT) => {
      expect(refused({ RECIPIENT_LIMIT })).toEqual([
        'RECIPIENT_LIMIT must be a number and a time of at most 30d, for example 3/1h',
      ]);
    },
  );
  test('RECIPIENT_LIMIT cannot look back farther than texts and numbers are kept', () => {
    expect(limitsOf({ RECIPIENT_LIMIT: '3/1d', NUMBER_RETENTION_DAYS: '1' }).recipient?.windowS).toBe(86_400);
    expect(refused({ RECIPIENT_LIMIT: '3/2d', NUMBER_RETENTION_DAYS: '1' })).toEqual([
      'RECIPIENT_LIMIT must not be longer than CONTENT_RETENTION_DAYS or NUMBER_RETENTION_DAYS',
    ]);
  });
});
