import { getExpectedTwilioSignature, validateRequest } from 'twilio';
import { describe, expect, test } from 'vitest';
import { isSigned, sign, signedPartOf, urlsTwilioMaySign } from '../../src/twilio/signature.ts';

const token = '12345';
const url = 'https://example.com/myapp.php?foo=1&bar=2';
const fields = {
  CallSid: 'CA1234567890ABCDE',
  Caller: '+14158675310',
  From: '+14158675310',
  Digits: '1234',
  To: '+18005551212',
};

describe('the signature', () => {
  test("of Twilio's own example is Twilio's", () => {
    expect(sign(token, url, new URLSearchParams(fields))).toBe('L/OH5YylLD5NRKLltdqwSvS0BnU=');
  });

  test("passes Twilio's validator, and Twilio's passes ours", () => {
    const samples = [
      fields,
      {},
      { Body: 'Grüße 🙂 & + =', MessageStatus: 'delivered', MessageSid: 'SM1' },
      { A: '', a: '' },
    ];
    for (const sample of samples) {
      const form = new URLSearchParams(sample);
      expect(validateRequest(token, sign(token, url, form), url, sample)).toBe(true);
      expect(isSigned(getExpectedTwilioSignature(token, url, sample), form, [url], [token])).toBe(true);
    }
  });

  test('counts the distinct values of a repeated name, sorted, as Twilio does', () => {
    const form = new URLSearchParams('MediaUrl=b&MediaUrl=a&MediaUrl=b');
    expect(sign(token, url, form)).toBe(getExpectedTwilioSignature(token, url, { MediaUrl: ['b', 'a', 'b'] }));
  });

  test('of a flipped character, another field, URL or token is not accepted', () => {
    const form = new URLSearchParams(fields);
    const good = sign(token, url, form);
    const flipped = good.replace('L', 'M');
    expect(isSigned(good, form, [url], [token])).toBe(true);
    expect(isSigned(flipped, form, [url], [token])).toBe(false);
    expect(isSigned(good, new URLSearchParams({ ...fields, To: '+18005551213' }), [url], [token])).toBe(false);
    expect(isSigned(good, form, [`${url}&`], [token])).toBe(false);
    expect(isSigned(good, form, [url], ['54321'])).toBe(false);
    expect(isSigned('', form, [url], [token])).toBe(false);
    expect(isSigned(good, form, [url], [])).toBe(false);
  });

  test('of the secondary token is accepted while tokens are rotated', () => {
    const form = new URLSearchParams(fields);
    expect(isSigned(sign('new', url, form), form, [url], ['old', 'new'])).toBe(true);
  });
});

describe('the URL that Twilio signs', () => {
  test('has no fragment, user or password, but keeps its port and query', () => {
    expect(signedPartOf('https://me:secret@example.com:8443/a?b=c#rc=5')).toBe('https://example.com:8443/a?b=c');
    expect(signedPartOf('http://example.com/a@b?c=@')).toBe('http://example.com/a@b?c=@');
  });

  test('is the configured one with the query that arrived, byte for byte', () => {
    expect(urlsTwilioMaySign('https://example.com/cb#rc=5', 'm=a%2Fb&a=1')).toContain(
      'https://example.com/cb?m=a%2Fb&a=1',
    );
  });

  test('is tried with and without an explicit port', () => {
    const urls = urlsTwilioMaySign('https://example.com:8443/cb', '');
    expect(urls).toContain('https://example.com:8443/cb');
    expect(urls).toContain('https://example.com/cb');
    expect(urlsTwilioMaySign('https://example.com/cb', '')).toContain('https://example.com:443/cb');
  });

  test('is tried with and without the slash of an empty path', () => {
    expect(urlsTwilioMaySign('http://dummy-callback-url', '')).toContain('http://dummy-callback-url');
    expect(urlsTwilioMaySign('http://dummy-callback-url', 'm=1')).toContain('http://dummy-callback-url/?m=1');
  });

  test('never takes over another path', () => {
    for (const tried of urlsTwilioMaySign('https://example.com/cb', 'x=1')) {
      expect(new URL(tried).pathname + new URL(tried).search).toBe('/cb?x=1');
    }
  });
});
