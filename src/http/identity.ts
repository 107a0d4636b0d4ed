import type { FastifyRequest, RouteOptions } from 'fastify';
import { Refusal } from '../errors.ts';
import type { Tenant } from '../message/message.ts';
import type { Authenticate } from '../tenant/authenticate.ts';
import { anyone, type Caller, may, reachOf, type Scope } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import { callerOfCookie, Forged, holdsSession } from './session-cookie.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before anything else is done with a request. */
    caller: Caller;
  }
  interface FastifyContextConfig {
    /** What a caller needs to come in here; `open`: nothing. Each route says so, or the service does not start. */
    scope?: Scope | 'open';
    /** It reaches beyond one tenant, so a key of one tenant does not open it. */
    isForAllTenants?: boolean;
  }
}

export type Route = { readonly method: string; readonly url: string; readonly scope: Scope | 'open' };

export type IdentityDeps = {
  /** Null: authentication is off, everybody comes in. */
  readonly authenticate: Authenticate | null;
  readonly countRefused: (reason: 'unknown' | 'scope' | 'tenant' | 'cross-site') => void;
  readonly onRoute: (route: Route) => void;
};

/** For those who watch the service or read about it; nothing here tells of a message. */
const openToAll = /^\/(running|version|healthcheck|metrics|openapi\.(json|yaml)|ui(\/.*)?)$/;

/** Who asks, and may they? Decided for every route alike before its body is read, by what the route declares. */
export function identifyCallers(app: HttpApp, deps: IdentityDeps): void {
  app.addHook('onRoute', (route) => {
    const scope = scopeOf(route);
    for (const method of [route.method].flat()) deps.onRoute({ method, url: route.url, scope });
  });
  app.decorateRequest('caller');
  app.addHook('onRequest', async (request) => {
    request.caller = anyone;
    const { scope = 'open', isForAllTenants = false } = request.routeOptions.config;
    if (deps.authenticate === null || scope === 'open') return;
    const caller = await callerOf(request, deps.authenticate);
    if (caller === null) {
      deps.countRefused('unknown');
      throw unknownCaller(request);
    }
    const refused = refusalFor(caller, scope, isForAllTenants, request);
    if (refused !== null) {
      deps.countRefused(refused.reason);
      throw new Refusal('forbidden', refused.detail);
    }
    request.caller = caller;
  });
  app.addHook('onError', async (_request, _reply, error) => {
    if (error instanceof Forged) deps.countRefused('cross-site');
  });
}

/** By the header, and only without one by the cookie; null: nobody we know. A session is no key, and does not count as one. */
export async function callerOf(request: FastifyRequest, authenticate: Authenticate): Promise<Caller | null> {
  const { authorization } = request.headers;
  if (authorization === undefined) return callerOfCookie(request, authenticate);
  const caller = await authenticate(authorization);
  return caller?.kind === 'key' && caller.session !== undefined ? null : caller;
}

function scopeOf({ url, config }: RouteOptions): Scope | 'open' {
  if (openToAll.test(url)) return 'open';
  if (config?.scope === undefined) throw new Error(`The route ${url} declares no scope.`);
  return config.scope;
}

/** https://www.rfc-editor.org/rfc/rfc6750#section-3 */
export function unknownCaller(request: FastifyRequest): Refusal {
  if (request.headers.authorization !== undefined) {
    const detail = 'Authorization: is not a key that is good here. It may have been revoked, or have expired.';
    return new Refusal('unauthenticated', detail, { challenge: 'Bearer error="invalid_token"' });
  }
  const detail = holdsSession(request)
    ? 'The session has ended: sign in again.'
    : 'Authorization: is missing. Send an API key: Bearer, a space, the key.';
  return new Refusal('unauthenticated', detail, { challenge: 'Bearer' });
}

function refusalFor(caller: Caller, scope: Scope, isForAllTenants: boolean, request: FastifyRequest) {
  if (!may(caller, scope)) return { reason: 'scope', detail: `This needs a key with the scope ${scope}.` } as const;
  const reach = reachOf(caller);
  if (reach === 'all tenants') return null;
  if (isForAllTenants) return { reason: 'tenant', detail: 'This needs a key for all tenants.' } as const;
  return agreesWith(reach, request)
    ? null
    : ({ reason: 'tenant', detail: 'x-trustomer, x-product: are not the tenant of this key.' } as const);
}

/** A key knows its tenant: the headers may be left out. Whatever reads them later finds the key's. */
function agreesWith({ trustomerCode, productName }: Tenant, { headers }: FastifyRequest): boolean {
  const [trust = trustomerCode, product = productName] = [headers['x-trustomer'], headers['x-product']];
  if (!isWord(trust, trustomerCode) || !isWord(product, productName)) return false;
  headers['x-trustomer'] = trustomerCode;
  headers['x-product'] = productName;
  return true;
}

function isWord(given: string | string[], expected: string): boolean {
  return typeof given === 'string' && given.trim().toLowerCase() === expected;
}
