import type { FastifyReply } from 'fastify';
import type { Db } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { makeApiKey } from '../tenant/api-key.ts';
import { scopes } from '../tenant/caller.ts';
import { endSession, openSession } from '../tenant/sessions.ts';
import type { HttpApp } from './app-type.ts';
import { callerOf, type IdentityDeps, unknownCaller } from './identity.ts';
import { answer, noContent, noQuery, problems } from './schemas.ts';
import { callerOfCookie, refuseOtherSites, sessionCookie } from './session-cookie.ts';
import { describeSession, session, signIn } from './session-schemas.ts';

export type SessionDeps = {
  readonly db: Db;
  readonly identity: Pick<IdentityDeps, 'authenticate' | 'countRefused'>;
  /** Cookies over TLS only. */
  readonly isSecure: boolean;
};

const RETRY_AFTER_S = 60;

const path = '/dhos/v1/session';
const open = { scope: 'open' } as const;

/** Signing in to the console, and out of it. */
export function sessionRoutes(app: HttpApp, deps: SessionDeps): void {
  signInRoute(app, deps);
  whoAmIRoute(app, deps);
  signOutRoute(app, deps);
}

function signInRoute(app: HttpApp, { db, identity, isSecure }: SessionDeps): void {
  app.post(
    path,
    {
      config: open,
      schema: {
        summary: 'Sign in to the console with an API key',
        description:
          'Sets the cookie `polaris_session` for 12 hours, or as long as the key is good. Whoever sends it is the key, may do what ' +
          'the key may, and has to send `X-Polaris-Console: 1` with every change. Programs show the key itself instead.',
        tags: ['system'],
        querystring: noQuery,
        body: signIn,
        response: { 200: answer('Signed in', session), ...problems(400, 401, 403, 409, 503) },
      },
    },
    async (request, reply) => {
      if (identity.authenticate === null) throw nothingToSignInTo();
      refuseOtherSites(request);
      const caller = await identity.authenticate(`Bearer ${request.body.key}`);
      // Nor does a session open another, or it would last for ever.
      const isKey = caller?.kind === 'key' && caller.session === undefined;
      const made = isKey ? await signInAs(db, caller.id) : null;
      if (!isKey || made === null) {
        identity.countRefused('unknown');
        throw new Refusal('unauthenticated', 'key: is not a key that is good here.', { challenge: 'Bearer' });
      }
      reply.header('set-cookie', sessionCookie(made.text, Math.floor(made.leftS), isSecure));
      return describeSession(caller, made.expires);
    },
  );
}

/** Null: its key has just been revoked. */
async function signInAs(db: Db, keyId: string) {
  const { id, hash, text } = makeApiKey();
  const opened = await openSession(db, { id, hash, keyId });
  if (opened === 'no such key') return null;
  if (opened === 'too many') {
    throw new Refusal('unavailable', 'Too many are signed in to the console. Nothing was done: try again later.', {
      retryAfterS: RETRY_AFTER_S,
    });
  }
  return { text, ...opened };
}

function whoAmIRoute(app: HttpApp, { identity }: SessionDeps): void {
  app.get(
    path,
    {
      config: open,
      schema: {
        summary: 'Who asks, and what they may do',
        tags: ['system'],
        querystring: noQuery,
        response: { 200: answer('By session, or by key', session), ...problems(400, 401, 403, 503) },
      },
    },
    async (request) => {
      if (identity.authenticate === null) return { authentication: 'none' as const, scopes: [...scopes] };
      const caller = await callerOf(request, identity.authenticate);
      if (caller?.kind !== 'key') throw unknownCaller(request);
      return describeSession(caller, caller.session?.expires);
    },
  );
}

function signOutRoute(app: HttpApp, { db, identity, isSecure }: SessionDeps): void {
  app.delete(
    path,
    {
      config: open,
      schema: {
        summary: 'Sign out of the console',
        description:
          'The session of the cookie opens nothing any more after 5 s, and the cookie goes. Without a session nothing happens.',
        tags: ['system'],
        querystring: noQuery,
        response: { 204: noContent('Signed out'), ...problems(400, 403, 503) },
      },
    },
    async (request, reply: FastifyReply) => {
      const caller = identity.authenticate === null ? null : await callerOfCookie(request, identity.authenticate);
      if (caller !== null) await endSession(db, caller.session.id);
      return reply
        .header('set-cookie', sessionCookie('', 0, isSecure))
        .code(204)
        .send();
    },
  );
}

function nothingToSignInTo(): Refusal {
  return new Refusal(
    'conflict',
    'There is nothing to sign in to: AUTH_MODE is none, and whoever asks may do everything.',
  );
}
