import type { Api } from './document.ts';
import type { Asked } from './requests.ts';
import { violationOf } from './schema-check.ts';

export type Said = {
  readonly status: number;
  readonly contentType: string;
  readonly allow: string | undefined;
  readonly body: string;
};

/**
 * Why an answer is not one that the document has, or null. A method that the document does not have at this address must be
 * answered 405 with `Allow`, an address that it does not have 404; the errors of both have the one shape.
 */
export function faultOf(api: Api, { operation, method, path }: Asked, said: Said): string | null {
  const { status, allow } = said;
  if (status >= 500) return `was answered ${status}: ${said.body.slice(0, 200)}`;
  const at = operationAt(api, path, method) ?? (isAsked(path, operation.path) ? operation : null);
  if (at === null || (at.method !== method && !(method === 'HEAD' && at.method === 'GET')))
    return faultOfUnknown(said, method);
  // One whose GET changes something has no HEAD, and says so (CONTRACT.md: the bulk update).
  if (method === 'HEAD' && at.method === 'GET' && status === 405)
    return allow?.includes('HEAD') === false ? null : 'was answered 405, and Allow does not leave HEAD out';
  const declared = at.answers[status];
  if (declared === undefined)
    return `was answered ${status}, which the document does not have: ${said.body.slice(0, 200)}`;
  const { content } = api.resolve(declared);
  if (content === undefined || method === 'HEAD') return said.body === '' ? null : `was answered ${status} with a body`;
  const [mediaType = ''] = said.contentType.split(';');
  const schema = content[mediaType]?.schema;
  if (schema === undefined) return `was answered ${status} as ${mediaType}, which the document does not have`;
  const value = /[/+]json$/.test(mediaType) ? parse(said.body) : said.body;
  const violation = value === undefined ? 'the body is not JSON' : violationOf(api, schema, value);
  return violation === null ? null : `was answered ${status}, and ${violation}`;
}

/** A spoilt id may lead to another operation's address. */
function operationAt(api: Api, path: string, method: string) {
  const candidates = api.operations.filter((operation) => isAsked(path, operation.path));
  const exact = candidates.filter(({ path: template }) => !template.includes('{'));
  const best = exact.length > 0 ? exact : candidates;
  return (
    best.find((operation) => operation.method === method) ??
    best.find(({ method: its }) => method === 'HEAD' && its === 'GET') ??
    best[0] ??
    null
  );
}

function isAsked(path: string, template: string): boolean {
  const [address = ''] = path.split('?');
  const [given, wanted] = [address.split('/'), template.split('/')];
  return given.length === wanted.length && wanted.every((part, n) => part.startsWith('{') || part === given[n]);
}

function faultOfUnknown({ status, allow, contentType, body }: Said, method: string): string | null {
  if (![400, 404, 405].includes(status)) return `has no such operation, and was answered ${status}`;
  if (status === 405 && allow === undefined) return 'was answered 405 without Allow';
  return method === 'HEAD' || (contentType.startsWith('application/problem+json') && parse(body) !== undefined)
    ? null
    : `was answered ${status} in another shape`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
