import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * The signature Twilio puts into `X-Twilio-Signature`: base64 of HMAC-SHA1, keyed with the account's auth token, over the
 * URL followed by every form field, name and value, in the order of the names. Of a name that comes more than once, the
 * distinct values count, sorted.
 * Source: https://www.twilio.com/docs/usage/security#validating-requests
 */
export function sign(authToken: string, url: string, form: URLSearchParams): string {
  const names = [...new Set(form.keys())].sort();
  const fields = names.flatMap((name) => [...new Set(form.getAll(name))].sort().map((value) => name + value));
  return createHmac('sha1', authToken)
    .update(url + fields.join(''), 'utf8')
    .digest('base64');
}

/** Does the signature belong to the form, for any of these URLs and tokens? Compares in constant time. */
export function isSigned(
  signature: string,
  form: URLSearchParams,
  urls: readonly string[],
  authTokens: readonly string[],
): boolean {
  const given = Buffer.from(signature);
  return authTokens.some((authToken) =>
    urls.some((url) => {
      const expected = Buffer.from(sign(authToken, url, form));
      return given.length === expected.length && timingSafeEqual(given, expected);
    }),
  );
}

/** The part of a callback URL that Twilio signs: no fragment, no user and password. */
export function signedPartOf(callbackUrl: string): string {
  return withoutFragment(callbackUrl).replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?]*@/i, '$1');
}

/**
 * Every spelling under which Twilio may have signed a callback that reached us with `rawQuery` (the bytes after `?`).
 * The configured URL decides, never a Host header: behind a proxy those differ. Only string operations are used, because
 * a URL parser would turn `http://host` into `http://host/`, which has another signature. Twilio's products differ on
 * whether an explicit port is signed, and on the slash of an empty path, so both spellings are offered.
 */
export function urlsTwilioMaySign(callbackUrl: string, rawQuery: string): string[] {
  const [base = ''] = signedPartOf(callbackUrl).split('?', 1);
  const query = rawQuery === '' ? '' : `?${rawQuery}`;
  const match = /^(https?):\/\/([^/]*?)(:\d+)?(\/.*)?$/i.exec(base);
  if (match === null) return [base + query];
  const [, scheme = '', host = '', port = '', path = ''] = match;
  const defaultPort = scheme.toLowerCase() === 'https' ? ':443' : ':80';
  const ports = new Set([port, '', port || defaultPort]);
  const paths = path === '' || path === '/' ? ['', '/'] : [path];
  return [...ports].flatMap((p) => paths.map((end) => `${scheme}://${host}${p}${end}${query}`));
}

export function withoutFragment(url: string): string {
  const [beforeFragment = ''] = url.split('#', 1);
  return beforeFragment;
}
