import type { Operations } from './types.ts';

/** Calls the service's public HTTP API, by the names and types of its OpenAPI document. */

type Operation = keyof Operations;
type Parts<O extends Operation> = Omit<Operations[O], 'answer'>;
export type Answer<O extends Operation> = Operations[O]['answer'];
type Extra = { readonly headers?: Readonly<Record<string, string>>; readonly signal?: AbortSignal };

/** Why a call was not answered as asked. `status` 0: no answer came at all. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  /** Names the call in the service's log. */
  readonly requestId: string | null;
  readonly messageId: string | null;

  constructor(status: number, words: string, ids: { requestId?: string | null; messageId?: string | null } = {}) {
    super(words);
    this.status = status;
    this.requestId = ids.requestId ?? null;
    this.messageId = ids.messageId ?? null;
  }
}

/** An answer is waited for so long: longer than the service takes for a POST (14 s). */
const WITHIN_MS = 16_000;

let onSignedOut: () => void = () => {};
/** Is told when the service says that nobody is signed in any more. */
export function whenSignedOut(tell: () => void): void {
  onSignedOut = tell;
}

/** `api('GET /dhos/v1/sms/{message_id}', { path: { message_id } })`. Fails with an ApiError in words fit to show. */
export async function api<O extends Operation>(operation: O, parts: Parts<O> & Extra): Promise<Answer<O>> {
  const { path, query, body, headers, signal } = parts as {
    path?: Record<string, string>;
    query?: Record<string, unknown>;
    body?: unknown;
  } & Extra;
  const [method = 'GET', template = '/'] = operation.split(' ');
  const response = await ask(addressOf(template, path, query), {
    method,
    headers: {
      accept: 'application/json',
      ...(method !== 'GET' && { 'x-polaris-console': '1' }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal:
      signal === undefined ? AbortSignal.timeout(WITHIN_MS) : AbortSignal.any([signal, AbortSignal.timeout(WITHIN_MS)]),
  });
  if (!response.ok) throw await errorOf(response, operation);
  return (response.status === 204 ? null : await read(response)) as Answer<O>;
}

function addressOf(template: string, path: Record<string, string> = {}, query: Record<string, unknown> = {}): string {
  const address = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ''));
  const given = Object.entries(query).flatMap(([name, value]) => (value == null ? [] : [[name, String(value)]]));
  return given.length === 0 ? address : `${address}?${new URLSearchParams(given)}`;
}

async function ask(address: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(address, { ...init, credentials: 'same-origin', cache: 'no-cache' });
  } catch (error) {
    throw inPlainWords(error, 'The service cannot be reached.');
  }
}

/** An answer may break off, or be none of the service's: something between it and the browser may answer, too. */
async function read(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    throw inPlainWords(error, 'What came back is not an answer of this service, or broke off.');
  }
}

/** An asking that was given up stays what it is: nobody is told of it. */
function inPlainWords(error: unknown, otherwise: string): unknown {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'AbortError') return error;
  return new ApiError(0, name === 'TimeoutError' ? 'The service did not answer in time.' : otherwise);
}

async function errorOf(response: Response, operation: string): Promise<ApiError> {
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401 && !operation.endsWith('/session')) onSignedOut();
  const words = typeof problem.detail === 'string' ? problem.detail : `The service answered ${response.status}.`;
  return new ApiError(response.status, words, {
    requestId: response.headers.get('x-request-id'),
    messageId: response.headers.get('x-message-id'),
  });
}
