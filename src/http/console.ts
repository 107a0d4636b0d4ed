import type { FastifyReply, FastifyRequest } from 'fastify';
import { Refusal, refusals } from '../errors.ts';
import type { HttpApp } from './app-type.ts';
import type { ConsoleFile, ConsoleFiles } from './console-files.ts';
import { chooseEncoding } from './encoding.ts';
import { answerError } from './problem.ts';

export type ConsoleDeps = {
  /** Null: it has not been built. */
  readonly files: ConsoleFiles | null;
  /** Where nobody signs in the console is for the machine it runs on, or for nobody. */
  readonly door: 'open' | 'this machine' | 'closed';
};

/** A year: the name of such a file changes with what it holds. */
const FOR_GOOD = 'public, max-age=31536000, immutable';

/** The pages for operators. They hold nothing of anybody: what they show they ask the API for, as whoever is signed in. */
export function consoleRoutes(app: HttpApp, { files, door }: ConsoleDeps): void {
  const hidden = { config: { scope: 'open' as const }, schema: { hide: true } };
  app.addHook('onRequest', async (request) => {
    const refused = whyNot(door, request);
    if (refused !== null) throw new Refusal('forbidden', refused);
  });
  app.setErrorHandler(tellReader);
  app.get('/console', hidden, async (_request, reply) => reply.redirect('/console/'));
  app.get<{ Params: { '*': string } }>('/console/*', hidden, async (request, reply) => {
    if (files === null)
      throw new Refusal('not found', 'The console is not built: npm run console:build, then start again.');
    const name = request.params['*'];
    const file = findFile(files, name);
    if (file === undefined) throw new Refusal('not found', 'There is nothing at this address.');
    reply.header('cache-control', name.startsWith('assets/') ? FOR_GOOD : 'no-cache');
    return sendFile(request, reply, file);
  });
}

/** The client's own addresses are all the one page; what is no address of ours is nothing. */
function findFile(files: ConsoleFiles, name: string): ConsoleFile | undefined {
  if (files.has(name) || name.startsWith('assets/')) return files.get(name);
  return /[\0\\]|(^|\/)\.{1,2}(\/|$)/.test(name) ? undefined : files.get('index.html');
}

function sendFile(request: FastifyRequest, reply: FastifyReply, { type, plain, encoded }: ConsoleFile): FastifyReply {
  const encoding = chooseEncoding(request.headers['accept-encoding'], [...encoded.keys()]);
  const { bytes, etag } = (encoding === null ? undefined : encoded.get(encoding)) ?? plain;
  if (encoding !== null) reply.header('content-encoding', encoding);
  return reply.headers({ vary: 'accept-encoding', etag }).type(type).send(bytes);
}

const CLOSED = 'The console is closed while nobody signs in: set AUTH_MODE=apikey to open it.';
const OTHER_NAME =
  'While nobody signs in the console is at http://localhost or http://127.0.0.1, and at no other name: set AUTH_MODE=apikey to open it.';

function whyNot(door: ConsoleDeps['door'], { socket, headers }: FastifyRequest): string | null {
  if (door === 'open') return null;
  if (door === 'closed' || !isOfThisMachine(socket.remoteAddress ?? '')) return CLOSED;
  return namesThisMachine(headers.host ?? '') ? null : OTHER_NAME;
}

function isOfThisMachine(address: string): boolean {
  return /^(::1|(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3})$/.test(address);
}

/** A name that another site has pointed at this machine (DNS rebinding) would let its pages in by the browser that runs here. */
function namesThisMachine(host: string): boolean {
  return /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?$/i.test(host);
}

/** A person at a browser reads a sentence, a program the one shape of errors. */
function tellReader(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const isForPerson = request.headers.accept?.includes('text/html') ?? false;
  if (!isForPerson || !(error instanceof Refusal)) return answerError(error, request, reply);
  return reply.code(refusals[error.kind]).type('text/plain; charset=utf-8').send(`${error.message}\n`);
}
