import { randomInt } from 'node:crypto';
import fastify, { type FastifyInstance } from 'fastify';
import { type Clock, systemClock } from '../clock.ts';
import { CannotStart } from '../errors.ts';
import { type CallbackTried, createCallbacks } from './callbacks.ts';
import type { Happening, SimulatorEvent } from './events.ts';
import { createLivelyApi } from './lively.ts';
import type { TwilioMessage } from './messages.ts';
import { createOutstanding } from './outstanding.ts';
import { createQuietApi } from './quiet.ts';
import { addRoutes } from './routes.ts';
import { createTimers } from './timers.ts';
import { errorBody, refuse } from './twilio-error.ts';

/** The account that is used when none is named. Fictional, and meant to look it. */
const defaultAccountSid = `AC${'0'.repeat(24)}51111a70`;
const defaultAuthToken = 'not-a-secret-the-simulator-token';

export type SimulatorOptions = {
  /** 0, the default, lets the operating system choose. */
  readonly port?: number;
  readonly accountSid?: string;
  readonly authToken?: string;
  /** secrets by key SID */
  readonly apiKeys?: Readonly<Record<string, string>>;
  /**
   * The same seed gives the same texts the same SIDs, delays and fates. By default it is random, because a database that outlives
   * the simulator must not meet a SID again.
   */
  readonly seed?: number;
  readonly quiet?: boolean;
  /** 1 is real time, 10 ten times as fast. Timeouts of callbacks are not shortened: their receiver is no faster. */
  readonly speed?: number;
  readonly clock?: Clock;
  readonly onEvent?: (event: SimulatorEvent) => void;
};

export type Simulator = {
  readonly baseUrl: string;
  readonly accountSid: string;
  readonly authToken: string;
  readonly seed: number;
  /** Everything accepted so far, oldest first, as Twilio would answer it now. */
  messages(): TwilioMessage[];
  /** Every try of a callback that has ended, in the order of their ends. */
  callbacks(): CallbackTried[];
  /** Resolves when no message has a step or a callback outstanding. */
  settled(): Promise<void>;
  /** Takes no more requests, forgets what is yet to happen, and gives callbacks in flight two seconds to end. */
  stop(): Promise<void>;
};

/** A Twilio on 127.0.0.1. Refuses with {@link CannotStart} when it cannot listen there. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { accountSid = defaultAccountSid, authToken = defaultAuthToken, apiKeys = {}, clock = systemClock } = options;
  const seed = options.seed ?? randomInt(2 ** 32);
  const timers = createTimers(options.speed ?? 1);
  const outstanding = createOutstanding();
  const tell = (happening: Happening) => options.onEvent?.({ at: clock.now(), ...happening });

  const tried: CallbackTried[] = [];
  const callbacks = createCallbacks(authToken, (one) => {
    tried.push(one);
    tell(calledBack(one));
  });

  const lively = createLivelyApi({ accountSid, authToken, apiKeys, seed, clock, timers, callbacks, outstanding, tell });
  const app = createServer();
  addRoutes(app, options.quiet === true ? createQuietApi(clock) : lively, tell);
  const baseUrl = await listen(app, options.port ?? 0);

  async function stop(): Promise<void> {
    await app.close();
    timers.clear();
    await callbacks.close();
    outstanding.abandon();
  }

  return {
    baseUrl,
    accountSid,
    authToken,
    seed,
    messages: lively.messages,
    callbacks: () => [...tried],
    settled: outstanding.none,
    stop,
  };
}

function calledBack({ form, attempt, outcome }: CallbackTried): Happening {
  return { kind: 'called back', sid: form.MessageSid ?? '', status: form.MessageStatus ?? '', attempt, outcome };
}

function createServer(): FastifyInstance {
  return fastify({
    // A create of 1,600 characters is 20 KB at most, percent signs and all.
    bodyLimit: 64 * 1024,
    requestTimeout: 15_000,
    http: { headersTimeout: 10_000 },
    // Clients keep their connections open; stopping does not wait for them.
    forceCloseConnections: true,
    // A path that cannot be decoded: fastify gives up on it before any handler of ours is asked.
    frameworkErrors: (_error, { url }, { raw }) =>
      raw.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify(errorBody(refuse(20404, url)))),
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
