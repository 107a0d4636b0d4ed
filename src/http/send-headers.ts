import type { IncomingMessage } from 'node:http';
import { Refusal } from '../errors.ts';

/** The headers of a POST that ask for more than the Python service knew. */

/** https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/: 1 to 255 printable ASCII characters, once. */
export function readIdempotencyKey(request: IncomingMessage): string | null {
  const given = request.headersDistinct['idempotency-key'];
  if (given === undefined) return null;
  const [key = '', ...more] = given;
  if (more.length === 0 && /^[\x20-\x7e]{1,255}$/.test(key)) return key;
  throw new Refusal('bad request', 'idempotency-key: must come once, with 1 to 255 printable ASCII characters.');
}

/** RFC 7240: a preference that is not known is not obeyed, and is no error. */
export function asksForAsync(request: IncomingMessage): boolean {
  const preferences = (request.headersDistinct.prefer ?? []).join(',').split(',');
  return preferences.some((preference) => preference.split(/[;=]/, 1)[0]?.trim().toLowerCase() === 'respond-async');
}
