import type { FastifyRequest } from 'fastify';
import { Refusal } from '../errors.ts';
import type { Authenticate } from '../tenant/authenticate.ts';
import type { Caller } from '../tenant/caller.ts';

/** A browser's way of saying who asks, and what keeps other sites from using it. docs/decisions/0021-console-sessions.md */

export const SESSION_COOKIE = 'polaris_session';
/** No script reads it, and no request that another site begins carries it. */
const ATTRIBUTES = 'Path=/; HttpOnly; SameSite=Strict';

export type KeyCaller = Extract<Caller, { kind: 'key' }>;
export type SessionCaller = KeyCaller & { readonly session: NonNullable<KeyCaller['session']> };

/** `isSecure`: it is kept by browsers that came over TLS, and never sent without. */
export function sessionCookie(text: string, maxAgeS: number, isSecure: boolean): string {
  return `${SESSION_COOKIE}=${text}; Max-Age=${maxAgeS}; ${ATTRIBUTES}${isSecure ? '; Secure' : ''}`;
}

export function holdsSession({ headers }: FastifyRequest): boolean {
  return sessionOf(headers.cookie) !== null;
}

/** With two of that name nobody knows which one is ours. */
function sessionOf(cookies = ''): string | null {
  const [session = '', second] = cookies
    .split(';')
    .map((cookie) => cookie.trim())
    .filter((cookie) => cookie.startsWith(`${SESSION_COOKIE}=`))
    .map((cookie) => cookie.slice(SESSION_COOKIE.length + 1));
  return session === '' || second !== undefined ? null : session;
}

/** Whom the cookie names; null: nobody. What another site may have caused is refused before anybody is looked up. */
export async function callerOfCookie(
  request: FastifyRequest,
  authenticate: Authenticate,
): Promise<SessionCaller | null> {
  const session = sessionOf(request.headers.cookie);
  if (session === null) return null;
  refuseOtherSites(request);
  refuseUnmarked(request);
  const caller = await authenticate(`Bearer ${session}`);
  return caller?.kind === 'key' && caller.session !== undefined ? { ...caller, session: caller.session } : null;
}

const looksUp = ({ method }: FastifyRequest) => method === 'GET' || method === 'HEAD';

/** Browsers say from where a request comes, and no page can say otherwise; `none` is an address that was typed. */
export function refuseOtherSites(request: FastifyRequest): void {
  const site = request.headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || (site === 'none' && looksUp(request))) return;
  throw new Forged(
    'Sec-Fetch-Site: this request comes from another site. Only the console itself may use its session.',
  );
}

/** Another site's page cannot send this header before it was allowed to (CORS), which nobody is. */
function refuseUnmarked(request: FastifyRequest): void {
  if (looksUp(request) || request.headers['x-polaris-console'] === '1') return;
  throw new Forged('X-Polaris-Console: must be 1 when a session changes something. A program shows its key instead.');
}

/** Perhaps another site's doing. */
export class Forged extends Refusal {
  constructor(detail: string) {
    super('forbidden', detail);
  }
}
