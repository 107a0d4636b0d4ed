import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import { CannotStart } from '../errors.ts';
import { parseMoment, showMoment } from './duration.ts';
import { acceptedRows } from './judge.ts';
import { readScenario } from './read-scenario.ts';
import type { World } from './world.ts';

export type Reset = () => void;
type Query = { Querystring: { kind?: string; receiver?: string } };

/** What there is, in words; whoever asks for anything else is told. */
const addresses = {
  'GET state': 'counts, clock, seed and scenario',
  'GET journal': 'every request and callback as a line of JSON; ?kind=create keeps one kind',
  'GET accepted': 'the accepted texts of each receiver; ?receiver=%2B447700900123 keeps one',
  'GET duplicates': 'callers’ ids (m in the callback URL) that were accepted more than once',
  'GET unredacted': 'messages that still have their text',
  'GET callbacks': 'the latest 10,000 tries of callbacks, with their forms',
  'GET load': 'peak concurrency, and requests per minute',
  'GET clock': 'simulated time',
  'POST clock': '{"advance":"10m"} drives a driven clock (--speed 0), and answers when all that was due has happened',
  'POST scenario': 'a scenario, JSON or YAML, takes the place of the current one; its moments count from now',
  'POST reset': 'everything as at the start',
} as const;

/**
 * The control plane, for tests and for the curious. It asks for no credentials: the simulator listens on this machine alone, and
 * what it holds is made up.
 */
export function addControl(app: FastifyInstance, world: () => World, reset: Reset): void {
  app.register(async (control) => addControlRoutes(control, world, reset), { prefix: '/_simulator' });
}

function addControlRoutes(control: FastifyInstance, world: () => World, reset: Reset): void {
  // YAML has too many content types to name, and curl sends a fifth one.
  control.removeAllContentTypeParsers();
  control.addContentTypeParser<string>('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  control.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) =>
    refuse(reply, error instanceof CannotStart ? 400 : (error.statusCode ?? 500), error.message),
  );
  control.setNotFoundHandler((_request, reply) => {
    reply.code(404).send({ error: 'There is no such address here.', addresses });
  });

  control.get('/', (_request, reply) => reply.send({ addresses }));
  control.get('/state', (_request, reply) => reply.send(stateOf(world())));
  control.get<Query>('/journal', ({ query }, reply) =>
    reply.type('application/x-ndjson').send(Readable.from(world().journal.lines(query.kind))),
  );
  control.get<Query>('/accepted', ({ query }, reply) => reply.send(world().judge.accepted(query.receiver)));
  control.get('/duplicates', (_request, reply) => reply.send(world().judge.duplicates()));
  control.get('/unredacted', (_request, reply) => reply.send(world().judge.unredacted()));
  control.get('/callbacks', (_request, reply) => reply.send(world().tries.list()));
  control.get('/load', (_request, reply) => reply.send(world().judge.load()));
  control.get('/clock', (_request, reply) => reply.send(clockOf(world())));
  control.post<{ Body?: string }>('/clock', async ({ body }, reply) => {
    const { time } = world();
    const ms = readAdvance(body ?? '');
    if (typeof ms === 'string') return refuse(reply, 400, ms);
    if (!time.isDriven) return refuse(reply, 409, 'This clock runs by itself: start the simulator with --speed 0.');
    await time.advance(ms);
    return reply.send(clockOf(world()));
  });
  control.post<{ Body?: string }>('/scenario', ({ body }, reply) => {
    world().useScenario(readScenario(body ?? ''));
    return reply.send(world().scenario());
  });
  control.post('/reset', (_request, reply) => {
    reset();
    return reply.send(stateOf(world()));
  });
}

function refuse(reply: FastifyReply, status: number, error: string): FastifyReply {
  return reply.code(status).send({ error });
}

/** Milliseconds, or what is wrong. */
function readAdvance(body: string): number | string {
  const wanted = 'Say how far, as {"advance":"10m"}: 500ms, 90s, 10m, 1h or "01:30".';
  const read = z.strictObject({ advance: z.string() }).safeParse(parseJson(body));
  return read.success ? (parseMoment(read.data.advance) ?? wanted) : wanted;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function clockOf({ time }: World) {
  return {
    now: new Date(time.now()).toISOString(),
    elapsed: showMoment(time.elapsed()),
    isDriven: time.isDriven,
    eventsPending: time.pending(),
  };
}

function stateOf(world: World) {
  return {
    scenario: world.scenario().about ?? (world.scenario().rules.length === 0 ? 'none' : 'without a name'),
    seed: world.seed,
    clock: clockOf(world),
    inFlight: world.load.inFlight(),
    journalEntries: world.journal.count(),
    messages: Object.fromEntries(countStatuses(world)),
  };
}

function countStatuses({ store }: World): Map<string, number> {
  const rows = acceptedRows(store);
  const byStatus = [...Map.groupBy(rows, ({ message }) => message.status)];
  return new Map<string, number>([
    ['accepted', rows.length],
    ...byStatus.map(([s, of]): [string, number] => [`now ${s}`, of.length]),
  ]);
}
