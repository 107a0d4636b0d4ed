import type { FastifyRequest, RouteOptions } from 'fastify';
import { Refusal } from '../errors.ts';
import type { Tenant } from '../message/message.ts';
import type { Authenticate } from '../tenant/authenticate.ts';
import { anyone, type Caller, may, reachOf, type Scope } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';

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
  readonly countRefused: (reason: 'unknown' | 'scope' | 'tenant') => void;
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
    const caller = await deps.authenticate(request.headers.authorization);
    if (caller === null) {
      deps.countRefused('unknown');
      throw unknown(request);
    }
    const refused = refusalFor(caller, scope, isForAllTenants, request);
    if (refused !== null) {
      deps.countRefused(refused.reason);
      throw new Refusal('forbidden', refused.detail);
    }
    request.caller = caller;
  });
}

function scopeOf({ url, config }: RouteOptions): Scope | 'open' {
  if (openToAll.test(url)) return 'open';
  if (config?.scope === undefined) throw new Error(`The route ${url} declares no scope.`);
  return config.scope;
}

/** https://www.rfc-editor.org/rfc/rfc6750#section-3 */
function unknown({ headers }: FastifyRequest): Refusal {
  const isGiven = headers.authorization !== undefined;
  return new Refusal(
    'unauthenticated',
    isGiven
      ? 'Authorization: is not a key that is good here. It may have been revoked, or have expired.'
      : 'Authorization: is missing. Send an API key: Bearer, a space, the key.',
    { challenge: isGiven ? 'Bearer error="invalid_token"' : 'Bearer' },
  );
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
