import type { FastifyReply, FastifyRequest } from 'fastify';
import type { HttpApp } from './app-type.ts';

/**
 * What browsers are told with every answer, whoever gives it. No Strict-Transport-Security: the service speaks plain HTTP,
 * where RFC 6797 (7.2) forbids it; the proxy that ends TLS sets it. docs/decisions/0020-hardening.md
 */
const always = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
} as const;

const nothingMayRun = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Swagger UI loads its own files and asks this service; its icons are data: addresses. Nothing inline, no eval. */
const swaggerUi =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * The console loads its own files and asks this service. No form of it is ever sent by the browser itself: before its script has come,
 * that would put the key that was typed into an address.
 */
const consolePages =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** For answers that no hook sees: an address that cannot be read, bytes that are no HTTP. */
export const headersWithoutRoute = {
  ...always,
  'content-security-policy': nothingMayRun,
  'cache-control': 'no-store',
} as const;

/** Must be registered before every other hook: one that refuses ends the request. */
export function protectAnswers(app: HttpApp): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...always, 'content-security-policy': policyOf(request.routeOptions.url ?? '') });
  });
}

function policyOf(route: string): string {
  if (/^\/ui(\/|$)/.test(route)) return swaggerUi;
  return /^\/console(\/|$)/.test(route) ? consolePages : nothingMayRun;
}

/** Must be registered after the ETag, on which it depends what a caller's own cache may keep. */
export function limitCaching(app: HttpApp): void {
  app.addHook('onSend', async (request, reply) => {
    if (reply.hasHeader('cache-control')) return;
    reply.header('cache-control', isLookUp(request, reply) ? 'private, no-cache' : 'no-store');
  });
}

/** `private, no-cache`: kept by the caller alone, who asks each time whether it still holds; `no-store` would forbid If-None-Match. */
function isLookUp(request: FastifyRequest, reply: FastifyReply): boolean {
  const isFound = reply.statusCode === 200 || reply.statusCode === 304;
  return isFound && (request.method === 'GET' || request.method === 'HEAD') && reply.hasHeader('etag');
}
