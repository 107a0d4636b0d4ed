import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * The signature Twilio puts into `X-Twilio-Signature`: base64 of HMAC-SHA1, keyed with the account's auth token, over the
 * URL followed by every form field, name and value, in the order of the names. Of a name that comes more than once, the
 * distinct values count, sorted.
 * Source: https://www.twilio.com/docs/usage/security#validating-requests
 */
export function sign(authToken: string, url: string, form: URLSearchParams): string {
  return signText(authToken, url + fieldsInOrder(form));
}

/** Every field of the form as Twilio appends it to the URL. */
export function fieldsInOrder(form: URLSearchParams): string {
  const valuesByName = new Map<string, Set<string>>();
  for (const [name, value] of form) {
    const values = valuesByName.get(name);
    if (values === undefined) valuesByName.set(name, new Set([value]));
    else values.add(value);
  }
  const names = [...valuesByName.keys()].sort();
  return names.flatMap((name) => [...(valuesByName.get(name) ?? [])].sort().map((value) => name + value)).join('');
}

/** Does the signature belong to the form, for any of these URLs and tokens? Compares in constant time. */
export function isSigned(
  signature: string,
  form: URLSearchParams,
  urls: readonly string[],
  authTokens: readonly string[],
): boolean {
  const fields = fieldsInOrder(form);
  return authTokens.some((authToken) => urls.some((url) => isSignatureOf(signature, authToken, url + fields)));
}

/** Is it the signature of this text? Compares in constant time. */
export function isSignatureOf(signature: string, authToken: string, text: string): boolean {
  const [given, expected] = [Buffer.from(signature), Buffer.from(signText(authToken, text))];
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function signText(authToken: string, text: string): string {
  return createHmac('sha1', authToken).update(text, 'utf8').digest('base64');
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
  const query = rawQuery === '' ? '' : `?${rawQuery}`;
  const parts = splitUrl(callbackUrl);
  if (parts === null) return [(signedPartOf(callbackUrl).split('?', 1)[0] ?? '') + query];
  const { scheme, host, path } = parts;
  const paths = path === '' || path === '/' ? ['', '/'] : [path];
  return portsTwilioMaySign(parts).flatMap((port) => paths.map((end) => `${scheme}://${host}${port}${end}${query}`));
}

/** The parts of a callback URL, byte for byte; `port` has its colon, `path` its slash; both may be empty. */
export type UrlParts = {
  readonly scheme: string;
  readonly host: string;
  readonly port: string;
  readonly path: string;
  readonly query: string;
};

/** Null for what is no address of the web. */
export function splitUrl(callbackUrl: string): UrlParts | null {
  const [base = '', ...query] = signedPartOf(callbackUrl).split('?');
  const match = /^(https?):\/\/([^/]*?)(:\d+)?(\/.*)?$/i.exec(base);
  if (match === null) return null;
  const [, scheme = '', host = '', port = '', path = ''] = match;
  return { scheme, host, port, path, query: query.join('?') };
}

/** An explicit port is kept or left out, and that of the scheme may be written. */
export function portsTwilioMaySign({ scheme, port }: Pick<UrlParts, 'scheme' | 'port'>): string[] {
  const defaultPort = scheme.toLowerCase() === 'https' ? ':443' : ':80';
  return [...new Set([port, '', port || defaultPort])];
}

export function withoutFragment(url: string): string {
  const [beforeFragment = ''] = url.split('#', 1);
  return beforeFragment;
}
