import type { FastifyRequest } from 'fastify';
import type { RequestLimits } from '../config-limits.ts';
import { Refusal } from '../errors.ts';
import type { HttpApp } from './app-type.ts';
import { makePlaces } from './places.ts';
import { makeRateLimit } from './rate-limit.ts';
import { type Rule, refusalOf } from './refused.ts';
import { problems } from './schemas.ts';

export type LimitsDeps = RequestLimits & { readonly countRefused: (rule: Rule) => void };

/** Longer than any that the service itself makes: a cursor has up to 10,000 characters. */
const LONGEST_ADDRESS = 12 * 1024;
const MOST_HEADERS = 100;
const BUSY_RETRY_AFTER_S = 5;

/** Whoever watches the service must see it also when it is flooded. */
const watched = new Set(['/running', '/healthcheck', '/metrics', '/version']);
const CALLBACK = '/dhos/v1/sms/callback';

/**
 * How much is taken at once: long addresses and many headers, the rate of each caller, requests at work. All of it is decided
 * before a body is read.
 */
export function limitRequests(app: HttpApp, deps: LimitsDeps): void {
  app.server.maxConnections = deps.mostConnections;
  // Node would leave out, without a word, what is over its own limit: perhaps the Idempotency-Key. So they are counted below.
  app.server.maxHeadersCount = 0;
  documentLimits(app);
  app.addHook('onRequest', async ({ raw }) => {
    if ((raw.url ?? '').length > LONGEST_ADDRESS) {
      throw new Refusal('address too long', 'The address is longer than 12 KiB.');
    }
    if (raw.rawHeaders.length / 2 > MOST_HEADERS) {
      throw new Refusal('too many headers', `There are more than ${MOST_HEADERS} headers.`);
    }
  });
  if (deps.rate !== null) limitRate(app, deps.rate, deps.countRefused);
  boundWork(app, deps);
}

function limitRate(app: HttpApp, rate: NonNullable<RequestLimits['rate']>, countRefused: LimitsDeps['countRefused']) {
  const waitOf = makeRateLimit(rate, () => performance.now());
  app.addHook('onRequest', async (request) => {
    const route = request.routeOptions.url ?? '';
    if (watched.has(route) || route === CALLBACK) return;
    const waitS = waitOf(callerOf(request));
    if (waitS === null) return;
    countRefused('rate limit');
    throw refusalOf('rate limit', waitS);
  });
}

/** A key; where nobody has one, a tenant as the headers name it, whoever it is that sends them; without both, the client's address. */
function callerOf({ caller, headers, ip }: FastifyRequest): string {
  if (caller.kind === 'key') return `key ${caller.id}`;
  const words = [headers['x-trustomer'], headers['x-product']];
  const isTenant = words.every((word) => typeof word === 'string' && word.length <= 250);
  return isTenant ? words.join('/').toLowerCase() : ip;
}

/**
 * Requests at work hold memory and wait for PostgreSQL and Twilio, so there is a bound; above it they are refused at once. One that
 * still sends its body holds no place: a slow client keeps nobody out. Callbacks have places of their own: a flood of
 * either leaves the other alone.
 */
function boundWork(app: HttpApp, { mostInFlight, countRefused }: LimitsDeps): void {
  const places = { callbacks: makePlaces(), others: makePlaces() };
  const placesOf = (request: FastifyRequest) =>
    request.routeOptions.url === CALLBACK ? places.callbacks : places.others;
  const refuseWhenFull = async (request: FastifyRequest) => {
    if (watched.has(request.routeOptions.url ?? '') || placesOf(request).taken() < mostInFlight) return;
    countRefused('busy');
    throw refusalOf('busy', BUSY_RETRY_AFTER_S);
  };
  app.addHook('onRequest', refuseWhenFull);
  app.addHook('preValidation', async (request, reply) => {
    // Many may have sent their bodies meanwhile.
    await refuseWhenFull(request);
    placesOf(request).take(request.raw.socket, reply.raw);
  });
}

/** Every address that can be refused says so in the document. */
function documentLimits(app: HttpApp): void {
  app.addHook('onRoute', ({ url, schema }) => {
    if (schema?.hide === true || schema?.response === undefined || watched.has(url)) return;
    const more = url === CALLBACK ? problems(503) : problems(429, 503);
    schema.response = { ...more, ...schema.response };
  });
}
