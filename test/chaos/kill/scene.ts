import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { hashText } from '../../../src/simulator/draw.ts';
import { execute, withDatabase } from '../../support/postgres.ts';
import { type Balancer, startBalancer } from '../balancer.ts';
import { type PostgresProxy, startPostgresProxy } from '../postgres-proxy.ts';
import type { Replica, Stage } from '../stage.ts';
import { startTwilioProxy, type TwilioProxy } from '../twilio-proxy.ts';
import type { Fate } from './fates.ts';

/** What one client wants, and repeats with the same key until it has an answer. */
export type Order = {
  readonly receiver: string;
  readonly content: string;
  readonly key: string;
  readonly isAsync: boolean;
};

export type Answer = { readonly status: number; readonly headers: Headers; readonly json: Record<string, unknown> };

/** One run of a kill point: a database of its own, proxies of its own, and the simulator that all runs share. */
export type Scene = {
  /** from 1 */
  readonly run: number;
  readonly runs: number;
  readonly postgres: PostgresProxy;
  readonly twilio: TwilioProxy;
  readonly database: pg.Pool;
  /** Numbered from 0: the same number is the same order, with the same key. */
  order(options?: { readonly number?: number; readonly isAsync?: boolean }): Order;
  /** A replica whose every byte to PostgreSQL and Twilio passes the proxies. */
  startWatched(env?: Record<string, string>): Promise<Replica>;
  /** A replica that knows of no proxy. */
  startFresh(env?: Record<string, string>): Promise<Replica>;
  /** kill -9, and it is gone. */
  kill(replica: Replica): Promise<void>;
  /** How often Twilio was asked to create this text, and what it made of it: read from the simulator. */
  atTwilio(order: Order): Promise<{ readonly creates: number; readonly sids: readonly string[] }>;
  /** How often somebody has looked for this receiver's messages in Twilio's log, in this run and before the text was last created. */
  looksBeforeCreate(order: Order): Promise<number>;
  /** The same, over the whole run. */
  looks(order: Order): Promise<number>;
  /** What the replicas of this run have printed. */
  output(): string;
  close(): Promise<void>;
};

export type SceneOptions = {
  readonly run: number;
  readonly runs: number;
  readonly fate: Fate;
  readonly isCalledBack: boolean;
  /** Tells this run from every other one on the stage. */
  readonly serial: number;
};

/**
 * Times so short that a run takes seconds: the call's deadline, and the wait before the first look. The service
 * itself waits at least a second between its two looks.
 */
const times = { TWILIO_TIMEOUT_MS: '1500', SETTLE_MS: '500' };

/** So many receivers has a run. */
const RECEIVERS = 5;

export async function setScene(stage: Stage, options: SceneOptions): Promise<Scene> {
  const { run, runs, fate, serial } = options;
  const built = new AsyncDisposableStack();
  try {
    const name = `kill_${serial}`;
    const admin = withDatabase(stage.databaseUrl, 'postgres');
    await execute(admin, `CREATE DATABASE ${name} TEMPLATE sms`);
    built.defer(async () => void (await execute(admin, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)));
    const databaseUrl = withDatabase(stage.databaseUrl, name);
    const database = new pg.Pool({ connectionString: databaseUrl, max: 2 });
    database.on('error', () => {});
    built.defer(() => database.end());
    const postgres = await startPostgresProxy(databaseUrl);
    built.defer(() => postgres.close());
    const twilio = await startTwilioProxy(stage.simulator.url);
    built.defer(() => twilio.close());
    const entrance = options.isCalledBack ? await startBalancer() : null;
    if (entrance !== null) built.defer(() => entrance.close());
    const replicas: Replica[] = [];
    const alive = new Set<Replica>();
    const kill = async (replica: Replica) => {
      alive.delete(replica);
      entrance?.remove(replica.baseUrl);
      replica.child.kill('SIGKILL');
      await replica.ended;
    };
    built.defer(async () => void (await Promise.all([...alive].map(kill))));

    const start = async (env: Record<string, string>) => {
      const replica = await stage.startReplica({ LOG_LEVEL: 'INFO', ...times, ...callbackTo(entrance), ...env });
      replicas.push(replica);
      alive.add(replica);
      entrance?.add(replica.baseUrl);
      return replica;
    };
    const keys: string[] = [];
    // Runs have databases of their own and share Twilio: none may find messages of another one at its receivers.
    const receiverOf = (number: number) => fate.receiver(serial * RECEIVERS + (number % RECEIVERS));
    const { journalEntries: journalBefore } = await stage.simulator.ask<{ journalEntries: number }>('state');
    const orderOf = ({ number = 0, isAsync = false } = {}): Order => {
      keys[number] ??= randomUUID();
      return {
        receiver: receiverOf(number),
        content: `Appointment ${serial}-${number}: please be there in time.`,
        key: keys[number],
        isAsync,
      };
    };
    return {
      run,
      runs,
      postgres,
      twilio,
      database,
      order: orderOf,
      startWatched: (env = {}) => start({ DATABASE_URL: postgres.url, TWILIO_BASE_URL: twilio.url, ...env }),
      startFresh: (env = {}) => start({ DATABASE_URL: databaseUrl, ...env }),
      kill,
      atTwilio: (order) => askTwilio(stage, order),
      looksBeforeCreate: (order) => countLooks(stage, order, journalBefore, 'last create'),
      looks: (order) => countLooks(stage, order, journalBefore, 'now'),
      output: () => replicas.map((replica) => `pid ${replica.child.pid}:\n${replica.output()}`).join('\n'),
      close: () => built.disposeAsync(),
    };
  } catch (error) {
    await built.disposeAsync();
    throw error;
  }
}

function callbackTo(entrance: Balancer | null): Record<string, string> {
  return entrance === null ? {} : { TWILIO_CALL_BACK_URL: `${entrance.url}/dhos/v1/sms/callback` };
}

type AcceptedTexts = { receiver: string; texts: { text: string; sids: string[] }[] }[];

async function askTwilio(stage: Stage, { receiver, content }: Order) {
  const hash = hashText(content);
  const accepted = await stage.simulator.ask<AcceptedTexts>(`accepted?receiver=${encodeURIComponent(receiver)}`);
  const texts = accepted.flatMap(({ texts }) => texts).filter(({ text }) => text === hash);
  const creates = await stage.simulator.journal('create');
  return { creates: creates.filter(({ text }) => text === hash).length, sids: texts.flatMap(({ sids }) => sids) };
}

async function countLooks(stage: Stage, order: Order, after: number, until: 'last create' | 'now'): Promise<number> {
  const journal = (await stage.simulator.journal()).slice(after);
  const hash = hashText(order.content);
  const end =
    until === 'now' ? journal.length : journal.findLastIndex(({ text, kind }) => kind === 'create' && text === hash);
  const isLook = ({ kind, asked }: Record<string, unknown>) =>
    kind === 'list' && new URLSearchParams(String(asked)).get('To') === order.receiver;
  return journal.slice(0, end).filter(isLook).length;
}

/** Sends the order to a replica; null when the connection breaks before the answer. */
export async function post(replica: Replica, order: Order): Promise<Answer | null> {
  try {
    const answer = await fetch(`${replica.baseUrl}/dhos/v1/sms`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-trustomer': 'ouh',
        'x-product': 'gdm',
        'idempotency-key': order.key,
        ...(order.isAsync && { prefer: 'respond-async' }),
      },
      body: JSON.stringify({ sender: '+447700900001', receiver: order.receiver, content: order.content }),
    });
    return { status: answer.status, headers: answer.headers, json: (await answer.json()) as Record<string, unknown> };
  } catch (error) {
    // undici's word for every broken connection; anything else is a mistake of ours.
    if (error instanceof TypeError) return null;
    throw error;
  }
}
