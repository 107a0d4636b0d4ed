import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { apiVersion } from './messages.ts';
import type { RequestKind } from './scenario.ts';
import { send } from './send.ts';
import { refuse, refuseWithStatus, type TwilioError } from './twilio-error.ts';
import type { World } from './world.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    kind?: RequestKind;
  }
}

type Addressed = { Params: { accountSid: string; sid?: string }; Body: URLSearchParams | undefined };

/** Twilio's Messages API over HTTP. Whatever is wrong with a request, the answer is JSON of Twilio's shape. */
export function addRoutes(app: FastifyInstance, world: () => World): void {
  app.setErrorHandler((error: FastifyError, request, reply) => turnAway(world(), request, reply, refusalFor(error)));
  app.setNotFoundHandler((request, reply) => turnAway(world(), request, reply, notFound(request)));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<string>('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
    done(null, new URLSearchParams(body)),
  );
  app.register(async (account) => addAccountRoutes(account, world), { prefix: `/${apiVersion}/Accounts/:accountSid` });
}

function addAccountRoutes(account: FastifyInstance, world: () => World): void {
  // Credentials are looked at before anything else, the body included; then whether the account in the path is theirs.
  account.addHook<Addressed>('onRequest', (request, reply, next) => {
    const { api, load } = world();
    if (!api.knows(...credentialsIn(request))) {
      reply.header('www-authenticate', 'Basic realm="Twilio API"');
      return turnAway(world(), request, reply, refuse(20003));
    }
    if (!api.owns(request.params.accountSid)) return turnAway(world(), request, reply, notFound(request));
    load.begin();
    reply.raw.once('close', load.end);
    next();
  });

  const serve = (kind: RequestKind) => ({
    config: { kind },
    handler: (request: FastifyRequest<Addressed>, reply: FastifyReply) => {
      const { accountSid, sid = '' } = request.params;
      const form = kind === 'list' ? queryIn(request) : (request.body ?? new URLSearchParams());
      send(reply, world().exchange.serve({ kind, accountSid, sid, form }), world().time);
    },
  });

  const oneMessage = '/Messages/:sid(^[^.]+).json';
  account.post('/Messages.json', serve('create'));
  account.get('/Messages.json', serve('list'));
  account.get(oneMessage, serve('fetch'));
  account.post(oneMessage, serve('update'));
  account.delete(oneMessage, serve('delete'));
}

function turnAway({ exchange, time }: World, request: FastifyRequest, reply: FastifyReply, error: TwilioError): void {
  const { kind } = request.routeOptions.config;
  const entry = kind === undefined ? { kind: 'other' as const, asked: `${request.method} ${request.url}` } : { kind };
  send(reply, exchange.refuse(entry, error), time);
}

function queryIn(request: FastifyRequest): URLSearchParams {
  const { url } = request;
  return new URLSearchParams(url.includes('?') ? url.slice(url.indexOf('?') + 1) : '');
}

/** The same few credentials come with every request. */
let lastHeader: string | undefined;
let lastCredentials: [user: string, password: string] = ['', ''];

function credentialsIn(request: FastifyRequest): [user: string, password: string] {
  const { authorization = '' } = request.headers;
  if (authorization === lastHeader) return lastCredentials;
  const [, encoded = ''] = /^Basic\s+(\S+)$/i.exec(authorization) ?? [];
  const [user = '', ...password] = Buffer.from(encoded, 'base64').toString('utf8').split(':');
  [lastHeader, lastCredentials] = [authorization, [user, password.join(':')]];
  return lastCredentials;
}

function notFound(request: { url: string }): TwilioError {
  return refuse(20404, request.url.split('?')[0]);
}

function refusalFor({ statusCode = 500, message }: FastifyError): TwilioError {
  if (statusCode === 415) return refuseWithStatus(415, 'The content type must be application/x-www-form-urlencoded.');
  return statusCode < 500 ? refuseWithStatus(statusCode, message) : refuse(20500);
}
