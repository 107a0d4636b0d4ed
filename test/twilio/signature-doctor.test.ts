import { describe, expect, test } from 'vitest';
import { isSigned, sign, urlsTwilioMaySign } from '../../src/twilio/signature.ts';
import { examineSignature, type RefusedSignature } from '../../src/twilio/signature-doctor.ts';

const token = 'the-canary-token';
const query = 'm=90422bdb-077e-4c62-8dfe-315ba3cea0ce&a=1';
const fields = 'MessageStatus=sent&MessageSid=SM1&To=%2B447700900123&Body=canary';
const path = '/dhos/v1/sms/callback';
const url = `https://sms.example${path}`;

const refused: Omit<RefusedSignature, 'signature'> = {
  body: fields,
  target: `${path}?${query}`,
  callbackUrl: url,
  authTokens: ['another token', token],
  apiKeySecret: 'canary-secret',
  listenerPorts: [5000, 5001],
};
const signed = (over: string, { by = token, form = fields } = {}) => sign(by, over, new URLSearchParams(form));

function diagnose(signature: string, more: Partial<RefusedSignature> = {}) {
  const options = { ...refused, ...more, signature };
  const rawQuery = options.target.split('?').slice(1).join('?');
  // Else there would be nothing to explain.
  const urls = urlsTwilioMaySign(options.callbackUrl, rawQuery);
  expect(isSigned(signature, new URLSearchParams(options.body), urls, options.authTokens)).toBe(false);
  return examineSignature(options);
}

describe('A signature over a variant of the configured URL', () => {
  test.each<[string, string, string, string]>([
    [url, `http://sms.example${path}?${query}`, 'scheme', 'with http instead of https'],
    [`http://sms.example${path}`, `${url}?${query}`, 'scheme', 'with https instead of http'],
    [`HTTPS://sms.example${path}`, `http://sms.example${path}?${query}`, 'scheme', 'with http instead of https'],
    [url, `https://sms.example:5000${path}?${query}`, 'port', 'with port 5000'],
    [url, `https://sms.example:5001${path}?${query}`, 'port', 'with port 5001'],
    [url, `https://sms.example:80${path}?${query}`, 'port', 'with port 80'],
    [`https://sms.example:8443${path}`, `https://sms.example:443${path}?${query}`, 'port', 'with port 443'],
    [url, `${url}/?${query}`, 'slash', 'with a slash at the end of the path'],
    [`${url}/`, `${url}?${query}`, 'slash', 'without the slash at the end of the path'],
    [url, url, 'query', 'without the query'],
    [`${url}?key=1`, `${url}?key=1`, 'query', 'with the query of TWILIO_CALL_BACK_URL instead of the one that arrived'],
    ['https://sms.example/twilio', `${url}?${query}`, 'path', 'with the path at which it arrived'],
    [
      `https://me:canary@sms.example${path}`,
      `https://me:canary@sms.example${path}?${query}`,
      'user',
      'with the user and password of TWILIO_CALL_BACK_URL',
    ],
  ])('%s, signed over %s: %s', (callbackUrl, over, fault, inWords) => {
    expect(diagnose(signed(over), { callbackUrl })).toEqual({ fault, inWords: `it would match ${inWords}` });
  });

  test('a proxy that takes the query away leaves the one of the configured URL to be tried', () => {
    const found = diagnose(signed(`${url}?key=1`), { callbackUrl: `${url}?key=1`, target: path });
    expect(found.fault).toBe('query');
  });

  test('of a configured URL without a path the slash makes no difference', () => {
    const bare = { callbackUrl: 'https://sms.example' };
    expect(diagnose(signed(`http://sms.example/?${query}`), bare).fault).toBe('scheme');
    expect(diagnose(signed(`http://sms.example?${query}`), bare).fault).toBe('scheme');
  });

  test('the port of the scheme may be written where the scheme is the other one, as it may where it is right', () => {
    expect(diagnose(signed(`http://sms.example:80${path}?${query}`)).fault).toBe('scheme');
    expect(diagnose(signed(`http://sms.example:443${path}?${query}`)).inWords).toBe(
      'it would match with http instead of https and with port 443',
    );
  });

  test('by either of the tokens is found', () => {
    const over = `http://sms.example${path}?${query}`;
    for (const by of refused.authTokens) expect(diagnose(signed(over, { by })).fault).toBe('scheme');
  });
});

describe('A signature over the right URL', () => {
  const right = `${url}?${query}`;

  test('without the fields, as Twilio signs JSON', () => {
    expect(diagnose(signed(right, { form: '' }))).toEqual({
      fault: 'fields',
      inWords: 'it would match without the fields of the form, as Twilio signs JSON',
    });
  });

  test('over the body as it came', () => {
    expect(diagnose(sign(token, right + fields, new URLSearchParams())).fault).toBe('fields');
  });

  test('with the secret of the API key', () => {
    expect(diagnose(signed(right, { by: 'canary-secret' }))).toEqual({
      fault: 'token',
      inWords: 'it would match with TWILIO_API_KEY_SECRET instead of an auth token',
    });
    expect(diagnose(signed(right, { by: 'canary-secret' }), { apiKeySecret: null }).fault).toBe('nothing matches');
  });

  test('with a token that is configured with a space or a line end around it', () => {
    expect(diagnose(signed(right), { authTokens: [`${token}\n`] })).toEqual({
      fault: 'token',
      inWords: 'it would match without the spaces around the auth token',
    });
  });
});

describe('Several differences at once', () => {
  test.each([
    [`http://sms.example:5000${path}?${query}`, ['http', 'port 5000']],
    [`http://sms.example${path}/?${query}`, ['http', 'slash']],
    [`${url}/`, ['slash', 'query']],
    [`http://sms.example:5001${path}/`, ['http', 'port 5001', 'slash', 'query']],
  ])('%s is told in as many words', (over, words) => {
    const { fault, inWords } = diagnose(signed(over));
    expect(fault).toBe('several');
    expect(inWords.split(' and ')).toEqual(words.map((word) => expect.stringContaining(word)));
  });

  test('a rarer one together with scheme and slash', () => {
    const over = `http://sms.example${path}/?${query}`;
    expect(diagnose(signed(over, { by: 'canary-secret' })).inWords).toBe(
      'it would match with TWILIO_API_KEY_SECRET instead of an auth token and with http instead of https and with a slash at the end of the path',
    );
  });
});

describe('Nothing matches', () => {
  const right = `${url}?${query}`;
  test.each([
    ['another token', signed(right, { by: 'a stranger’s' })],
    ['an empty token', signed(right, { by: '' })],
    ['a field changed on the way', signed(right, { form: fields.replace('sent', 'failed') })],
    ['another host', signed(`https://other.example${path}?${query}`)],
    ['another query', signed(`${url}?m=1&a=1`)],
    ['another path', signed(`https://sms.example/other?${query}`)],
    ['no signature at all', ''],
    ['far too much', 'A'.repeat(10_000)],
    ['no ASCII', 'é'.repeat(28)],
  ])('%s', (_what, signature) => {
    expect(diagnose(signature)).toEqual({
      fault: 'nothing matches',
      inWords:
        'no variant of TWILIO_CALL_BACK_URL would match: signed with another token, altered on the way, or forged',
    });
  });

  test('a configured address that is none', () => {
    expect(diagnose(signed(right), { callbackUrl: 'nonsense' }).fault).toBe('nothing matches');
  });
});

test('what it says holds no token, host, path, query, field, user or password', () => {
  const callbackUrl = `https://me:canary@sms.example:8443${path}?key=canary`;
  for (const scheme of ['http', 'https']) {
    for (const user of ['', 'me:canary@']) {
      for (const port of ['', ':8443', ':5000']) {
        for (const end of ['', '/']) {
          for (const search of ['', `?${query}`, '?key=canary']) {
            const over = `${scheme}://${user}sms.example${port}${path}${end}${search}`;
            const { inWords } = examineSignature({ ...refused, callbackUrl, signature: signed(over) });
            expect(inWords).not.toMatch(/canary|example|dhos|m=|a=|90422|7700|me:|SM1/);
          }
        }
      }
    }
  }
});

test('the largest callback takes less than half a second of a core', () => {
  const body = Array.from({ length: 200 }, (_, n) => `f${n}=${'x'.repeat(75)}`).join('&');
  const callbackUrl = `https://me:canary@sms.example:8443/twilio?key=1`;
  const before = process.threadCpuUsage();
  expect(diagnose(signed('https://other.example'), { body, callbackUrl }).fault).toBe('nothing matches');
  expect(process.threadCpuUsage(before).user).toBeLessThan(500_000);
});
