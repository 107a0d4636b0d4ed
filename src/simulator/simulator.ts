import fastify, { type FastifyInstance } from 'fastify';
import type { Clock } from '../clock.ts';
import { CannotStart } from '../errors.ts';
import type { CallbackTried } from './callback-tries.ts';
import { addControl } from './control.ts';
import { createCourier } from './courier.ts';
import type { SimulatorEvent } from './events.ts';
import { openJournalFile } from './journal-file.ts';
import { acceptedRows, type Judge } from './judge.ts';
import { asResource, type TwilioMessage } from './messages.ts';
import { addRoutes } from './routes.ts';
import type { Scenario } from './scenario.ts';
import { errorBody, refuse } from './twilio-error.ts';
import { createWorld, type World } from './world.ts';

/** The account that is used when none is named. Fictional, and meant to look it. */
const defaultAccountSid = `AC${'0'.repeat(24)}51111a70`;
const defaultAuthToken = 'not-a-secret-the-simulator-token';

export type SimulatorOptions = {
  /** 0, the default, lets the operating system choose. */
  readonly port?: number;
  readonly accountSid?: string;
  readonly authToken?: string;
  /** The account's second token: as good for calling as the first; signs where a scenario says so. */
  readonly authTokenSecondary?: string;
  /** secrets by key SID */
  readonly apiKeys?: Readonly<Record<string, string>>;
  /**
   * The same seed gives the same texts the same SIDs, delays and fates. By default it is the scenario's, else random, because a
   * database that outlives the simulator must not meet a SID again.
   */
  readonly seed?: number;
  readonly quiet?: boolean;
  /** What goes wrong; see readScenario and readScenarioFile. */
  readonly scenario?: Scenario;
  /**
   * 1 is real time, 10 ten times as fast, 0 a clock that only {@link Simulator.advance} moves. Timeouts of callbacks are not
   * shortened: their receiver is no faster.
   */
  readonly speed?: number;
  /** Whose dates the messages bear; by default the simulator's own. */
  readonly clock?: Clock;
  /** A file to which the journal is appended as well. */
  readonly journalFile?: string;
  readonly onEvent?: (event: SimulatorEvent) => void;
};

export type Simulator = {
  readonly baseUrl: string;
  readonly accountSid: string;
  readonly authToken: string;
  readonly seed: number;
  /** What really happened. */
  readonly judge: Judge;
  /** Everything accepted so far, oldest first, as Twilio would answer it now. */
  messages(): TwilioMessage[];
  /** The latest 10,000 tries of callbacks that have ended, in the order of their ends. */
  callbacks(): CallbackTried[];
  /** Every request and every callback so far, as lines of JSON. */
  journal(): string;
  /** Resolves when no message has a step or a callback outstanding. A driven clock must be driven meanwhile. */
  settled(): Promise<void>;
  /** Drives a clock of speed 0; resolves when all that was due within these milliseconds has happened. */
  advance(ms: number): Promise<void>;
  useScenario(scenario: Scenario): void;
  /** Everything as at the start: no messages, an empty journal, the first scenario. */
  reset(): void;
  /** Takes no more requests, forgets what is yet to happen, and gives callbacks in flight two seconds to end. */
  stop(): Promise<void>;
};

/** A Twilio on 127.0.0.1. Refuses with {@link CannotStart} when it cannot listen there. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { accountSid = defaultAccountSid, authToken = defaultAuthToken, apiKeys = {} } = options;
  const file = options.journalFile === undefined ? undefined : openJournalFile(options.journalFile);
  const courier = createCourier();
  const begin = () =>
    createWorld({ ...options, accountSid, authToken, apiKeys }, courier, (line) => file?.append(line));
  let world = begin();

  function reset(): void {
    world.end();
    world = begin();
  }

  const app = createServer(() => world);
  addRoutes(app, () => world);
  addControl(app, () => world, reset);
  const baseUrl = await listen(app, options.port ?? 0);

  async function stop(): Promise<void> {
    await app.close();
    world.time.clear();
    await courier.close();
    world.end();
    file?.close();
  }

  return {
    baseUrl,
    accountSid,
    authToken,
    get seed() {
      return world.seed;
    },
    get judge() {
      return world.judge;
    },
    messages: () =>
      acceptedRows(world.store)
        .filter(({ isDeleted }) => !isDeleted)
        .map(({ message }) => asResource(message)),
    callbacks: () => world.tries.list(),
    journal: () => [...world.journal.lines()].join(''),
    settled: () => world.outstanding.none(),
    advance: (ms) => world.time.advance(ms),
    useScenario: (scenario) => world.useScenario(scenario),
    reset,
    stop,
  };
}

function createServer(world: () => World): FastifyInstance {
  return fastify({
    // A create of 1,600 characters is 20 KB at most, percent signs and all.
    bodyLimit: 64 * 1024,
    requestTimeout: 15_000,
    http: { headersTimeout: 10_000 },
    // Clients keep their connections open; stopping does not wait for them.
    forceCloseConnections: true,
    // A path that cannot be decoded: fastify gives up on it before any handler of ours is asked.
    frameworkErrors: (_error, { method, url }, { raw }) => {
      const error = refuse(20404, url);
      world().exchange.refuse({ kind: 'other', asked: `${method} ${url}` }, error);
      raw.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify(errorBody(error)));
    },
  });
}

async function listen(app: FastifyInstance, port: number): Promise<string> {
  try {
    return await app.listen({ port, host: '127.0.0.1' });
  } catch (cause) {
    throw new CannotStart(`The Twilio simulator cannot listen on 127.0.0.1:${port}: ${whyNot(cause)}.`, { cause });
  }
}

function whyNot(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'EADDRINUSE') return 'the port is in use, choose another one';
  if (code === 'EACCES') return 'that port needs more rights, choose one above 1023';
  return cause instanceof Error ? cause.message : String(cause);
}
