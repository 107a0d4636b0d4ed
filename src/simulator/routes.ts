import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { MessagesApi } from './api.ts';
import { maskNumber, type Tell } from './events.ts';
import { apiVersion, type TwilioMessage } from './messages.ts';
import { errorBody, isRefused, refuse, refuseWithStatus, type TwilioError } from './twilio-error.ts';

type Account = { Params: { accountSid: string } };
type OneMessage = { Params: { accountSid: string; sid: string } };
type Form = { Body: URLSearchParams | undefined };

type Answer = (reply: FastifyReply, outcome: TwilioMessage | TwilioError, status?: number) => FastifyReply;

/** Twilio's Messages API over HTTP. Whatever goes wrong, the answer is JSON of Twilio's shape. */
export function addRoutes(app: FastifyInstance, api: MessagesApi, tell: Tell): void {
  const answer: Answer = (reply, outcome, status = 200) => {
    if (!isRefused(outcome)) return reply.code(status).send(outcome);
    tell({ kind: 'refused', code: outcome.code, to: maskNumber(receiverIn(reply.request.body)) });
    if (outcome.retryAfterS !== undefined) reply.header('retry-after', outcome.retryAfterS);
    return reply.code(outcome.status).send(errorBody(outcome));
  };

  app.setErrorHandler((error: FastifyError, _request, reply) => answer(reply, refusalFor(error)));
  app.setNotFoundHandler((request, reply) => answer(reply, notFound(request)));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<string>('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
    done(null, new URLSearchParams(body)),
  );
  const prefix = `/${apiVersion}/Accounts/:accountSid`;
  app.register(async (account) => addAccountRoutes(account, api, answer), { prefix });
}

/** Credentials are looked at before anything else, the body included; then whether the account in the path is theirs. */
function addAccountRoutes(account: FastifyInstance, api: MessagesApi, answer: Answer): void {
  account.addHook<Account>('onRequest', async (request, reply) => {
    if (!api.knows(...credentialsIn(request))) {
      return answer(reply.header('www-authenticate', 'Basic realm="Twilio API"'), refuse(20003));
    }
    if (!api.owns(request.params.accountSid)) return answer(reply, notFound(request));
  });

  account.post<Account & Form>('/Messages.json', (request, reply) =>
    answer(reply, api.create(request.params.accountSid, request.body ?? new URLSearchParams()), 201),
  );

  const oneMessage = '/Messages/:sid(^[^.]+).json';

  account.get<OneMessage>(oneMessage, (request, reply) =>
    answer(reply, api.fetch(request.params.accountSid, request.params.sid) ?? notFound(request)),
  );

  account.post<OneMessage & Form>(oneMessage, (request, reply) => {
    const { accountSid, sid } = request.params;
    return answer(reply, api.update(accountSid, sid, request.body ?? new URLSearchParams()) ?? notFound(request));
  });
}

function receiverIn(body: unknown): string {
  return body instanceof URLSearchParams ? (body.get('To') ?? '') : '';
}

function credentialsIn(request: FastifyRequest): [user: string, password: string] {
  const [, encoded = ''] = /^Basic\s+(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  const [user = '', ...password] = Buffer.from(encoded, 'base64').toString('utf8').split(':');
  return [user, password.join(':')];
}

function notFound(request: { url: string }): TwilioError {
  return refuse(20404, request.url.split('?')[0]);
}

function refusalFor({ statusCode = 500, message }: FastifyError): TwilioError {
  if (statusCode === 415) return refuseWithStatus(415, 'The content type must be application/x-www-form-urlencoded.');
  return statusCode < 500 ? refuseWithStatus(statusCode, message) : refuse(20500);
}
