import { randomUUID } from 'node:crypto';
import Fastify, { type FastifyBaseLogger, type FastifyRequest, LogController } from 'fastify';
import { validatorCompiler } from 'fastify-type-provider-zod';
import { Refusal } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { HttpApp } from './app-type.ts';
import { auditRoute, type NoteAudit } from './audit.ts';
import { answerBrokenRequests } from './broken-requests.ts';
import { type BulkUpdateRouteDeps, bulkUpdateRoutes } from './bulk-update.ts';
import { CALLBACK_PATH, type CallbackDeps, callbackRoute } from './callback.ts';
import type { SendMessageDeps } from './carry-out.ts';
import { type ChecksDeps, checksRoute } from './checks.ts';
import { closePromptly } from './closing.ts';
import { type ConsoleDeps, consoleRoutes } from './console.ts';
import { countsRoute } from './counts.ts';
import { deliveryTimesRoute } from './delivery-times.ts';
import { errorRoutes } from './error-counts.ts';
import { tagAnswers } from './etag.ts';
import { explanationRoute } from './explanation.ts';
import { type HealthDeps, healthRoutes, runningRoute } from './health.ts';
import { type IdentityDeps, identifyCallers } from './identity.ts';
import { type LimitsDeps, limitRequests } from './limits.ts';
import { type ListDeps, listMessagesRoute } from './list-messages.ts';
import { messageHistoryRoutes } from './message-history.ts';
import { type MessageDeps, messageRoutes } from './messages.ts';
import { describeApi } from './openapi.ts';
import { type PollDeps, pollRoute } from './poll.ts';
import { answerError, answerRefusal } from './problem.ts';
import { redactionReportRoute } from './redaction-report.ts';
import { searchRoute } from './search.ts';
import { headersWithoutRoute, limitCaching, protectAnswers } from './security-headers.ts';
import { sendAgainRoute } from './send-again.ts';
import { sendMessageRoute } from './send-message.ts';
import { sessionRoutes } from './session.ts';
import { tenantsRoute } from './tenants.ts';

export type ServerDeps = {
  readonly identity: IdentityDeps;
  readonly note: NoteAudit;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly isProduction: boolean;
  readonly limits: LimitsDeps;
  readonly sendMessage: SendMessageDeps;
  readonly lists: ListDeps;
  readonly callbacks: CallbackDeps;
  readonly checks: ChecksDeps;
  readonly erase: MessageDeps['erase'];
  readonly poll: PollDeps['poll'];
  readonly bulkUpdate: BulkUpdateRouteDeps;
  readonly health: HealthDeps;
  readonly console: ConsoleDeps;
};

const MAX_BODY_BYTES = 64 * 1024;
const HEADERS_WITHIN_MS = 10_000;
const REQUEST_WITHIN_MS = 15_000;
const KEEP_ALIVE_MS = 72_000;
/** Node looks for connections past their time only so often. */
const CHECK_CONNECTIONS_EVERY_MS = 1_000;

/** The index of the API: each group of routes on a line. */
export async function buildServer(deps: ServerDeps): Promise<HttpApp> {
  const app = openHttp(deps);
  identifyCallers(app, deps.identity);
  limitRequests(app, deps.limits);
  const refuseOtherMethods = watchAddresses(app);
  await tagAnswers(app);
  limitCaching(app);
  await describeApi(app, { version: deps.health.version.version, isProduction: deps.isProduction });

  const { db, clock } = deps.sendMessage;
  sendMessageRoute(app, deps.sendMessage);
  listMessagesRoute(app, deps.lists);
  searchRoute(app, deps.lists);
  tenantsRoute(app, db);
  messageRoutes(app, { db, erase: deps.erase, note: deps.note });
  messageHistoryRoutes(app, db);
  explanationRoute(app, { db });
  sendAgainRoute(app, deps.sendMessage);
  pollRoute(app, { db, poll: deps.poll, note: deps.note });
  await app.register((scope: HttpApp) => callbackRoute(scope, deps.callbacks));
  await app.register((scope: HttpApp) => bulkUpdateRoutes(scope, deps.bulkUpdate));
  countsRoute(app, { db, clock });
  errorRoutes(app, { db });
  deliveryTimesRoute(app, { db });
  redactionReportRoute(app, { db, clock });
  checksRoute(app, deps.checks);
  auditRoute(app, { db, note: deps.note });
  sessionRoutes(app, { db, identity: deps.identity, isSecure: deps.isProduction });
  await app.register((scope: HttpApp) => consoleRoutes(scope, deps.console));
  healthRoutes(app, deps.health);
  refuseOtherMethods();
  return app;
}

/** What Twilio reaches when the paths are separated (CALLBACK_PORT), under the same ground rules. */
export async function buildCallbackServer(
  deps: Pick<ServerDeps, 'log' | 'metrics' | 'limits' | 'callbacks'>,
): Promise<HttpApp> {
  const app = openHttp({ ...deps, isForAnybody: true });
  identifyCallers(app, { authenticate: null, countRefused: () => {}, onRoute: () => {} });
  const refuseOtherMethods = watchAddresses(app);
  limitRequests(app, deps.limits);
  await app.register((scope: HttpApp) => callbackRoute(scope, deps.callbacks));
  runningRoute(app);
  refuseOtherMethods();
  return app;
}

/** The ground rules: sizes, times, ids, the one shape of errors, a line and a metric for each request. */
function openHttp({
  log,
  metrics,
  isForAnybody = false,
}: Pick<ServerDeps, 'log' | 'metrics'> & { readonly isForAnybody?: boolean }): HttpApp {
  const brokenRequests = answerBrokenRequests();
  const app: HttpApp = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_WITHIN_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    http: { headersTimeout: HEADERS_WITHIN_MS, connectionsCheckingInterval: CHECK_CONNECTIONS_EVERY_MS },
    routerOptions: { maxParamLength: 500 },
    genReqId: (request) => requestIdOf(request.headers['x-request-id']),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestID' }),
    clientErrorHandler: brokenRequests.onClientError,
    frameworkErrors: (error, request, reply) => {
      // These never reach the hooks.
      reply.headers({ ...headersWithoutRoute, 'x-request-id': request.id });
      const isTooLong = error.code === 'FST_ERR_MAX_PARAM_LENGTH';
      answerRefusal(reply, isTooLong ? nothingHere() : new Refusal('bad request', 'The address could not be read.'));
    },
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(() => JSON.stringify);
  readStrictJson(app);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((_request, reply) => answerRefusal(reply, nothingHere()));
  brokenRequests.watch(app.server);
  closePromptly(app);
  protectAnswers(app);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  // After onRequest, in which an address says that it does not have the method.
  app.addHook('preParsing', async (request) => {
    if (!request.is404) refuseEncodedBody(request);
  });
  app.addHook('onResponse', async (request, reply) => {
    // The route, not the address: a query can hold a phone number.
    const route = request.routeOptions.url ?? 'none';
    const status = reply.statusCode;
    metrics.requests.observe({ method: request.method, route, status }, reply.elapsedTime / 1000);
    // Anybody can be refused as often as he likes and must not fill the log: refused callbacks are told of by the second.
    const isFlood = (isForAnybody || route === CALLBACK_PATH) && status > 400 && status < 500;
    const level = isFlood ? 'debug' : 'info';
    request.log[level]({ method: request.method, route, status, ms: Math.round(reply.elapsedTime) }, 'request');
  });
  return app;
}

function nothingHere(): Refusal {
  return new Refusal('not found', 'There is nothing at this address.');
}

/** Echoes a caller's id when it is short and printable, so that logs of both sides can be joined. */
function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && /^[\x21-\x7e]{1,128}$/.test(given) ? given : randomUUID();
}

/** UTF-8 or nothing: a lenient decoder would send question marks to a patient. */
function readStrictJson(app: HttpApp): void {
  app.removeAllContentTypeParsers();
  const parseJson = app.getDefaultJsonParser('error', 'error');
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (body.length === 0) return done(null, undefined);
    try {
      parseJson(request, utf8.decode(body as Buffer), done);
    } catch {
      done(new Refusal('bad request', 'The body is not valid UTF-8.'));
    }
  });
}

function refuseEncodedBody(request: FastifyRequest): void {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new Refusal('unsupported media type', 'Compressed bodies are not taken.');
  }
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

/** Remembers every address; the function it returns makes each answer 405 to the methods that it does not have. */
function watchAddresses(app: HttpApp): () => void {
  const addresses = new Set<string>();
  app.addHook('onRoute', ({ url }) => {
    addresses.add(url);
  });
  return () => {
    for (const url of [...addresses]) {
      const allow = methods.filter((method) => app.hasRoute({ url, method }));
      const onRequest = async () => {
        throw new Refusal('method not allowed', `This address knows ${allow.join(', ')}.`, { allow });
      };
      const others = methods.filter((method) => !allow.includes(method));
      const hidden = { exposeHeadRoute: false, schema: { hide: true }, config: { scope: 'open' as const } };
      app.route({ url, method: others, ...hidden, onRequest, handler: onRequest });
    }
  };
}
