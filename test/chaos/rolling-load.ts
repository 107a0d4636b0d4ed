import { Pool } from 'undici';
import { fractionOf } from '../../src/simulator/draw.ts';

/** A request that did not get what it should have got. */
type Failure = { readonly kind: Kind; readonly atMs: number; readonly got: string };

export type Load = {
  /** The texts that were posted, and of those the ones that were answered 200, with the message's uuid. */
  readonly posted: ReadonlySet<string>;
  readonly taken: ReadonlyMap<string, string>;
  readonly failures: readonly Failure[];
  readonly sent: Readonly<Record<Kind, number>>;
  readonly latencies: readonly number[];
  /** Sends nothing more and waits for the answers under way. */
  stop(): Promise<void>;
};

type Kind = 'POST' | 'GET' | 'list';

const TICK_MS = 5;
const CONNECTIONS = 500;
/** The platform's clients give up after 15 s. */
const PATIENCE_MS = 15_000;
const tenant = { 'x-trustomer': 'rolling', 'x-product': 'drill' };

/**
 * So many requests a second, however slowly they are answered: of twenty twelve are POSTs of a text that no other has,
 * seven ask for a message that was posted before and one for a list.
 */
export function startLoad({ url, rate, seed }: { url: string; rate: number; seed: number }): Load {
  const pool = new Pool(url, { connections: CONNECTIONS, headersTimeout: PATIENCE_MS, bodyTimeout: PATIENCE_MS });
  const [posted, taken] = [new Set<string>(), new Map<string, string>()];
  const [uuids, failures, latencies] = [[] as string[], [] as Failure[], [] as number[]];
  const sent: Record<Kind, number> = { POST: 0, GET: 0, list: 0 };
  const underWay = new Set<Promise<void>>();
  const began = performance.now();
  let next = 0;

  async function send(n: number): Promise<void> {
    const uuid = uuids[Math.floor(fractionOf(seed, n, 'which') * uuids.length)];
    const kind = kindOf(n, uuid !== undefined);
    sent[kind] += 1;
    const startedAt = performance.now();
    const got = await (kind === 'POST' ? post(n) : kind === 'GET' ? get(uuid ?? '') : list()).catch(describeError);
    latencies.push(performance.now() - startedAt);
    if (got !== 'right') failures.push({ kind, atMs: startedAt - began, got });
  }

  async function post(n: number): Promise<string> {
    const text = `Rolling restarts, seed ${seed}, text ${n}.`;
    const receiver = `+447700900${String(n % 180).padStart(3, '0')}`;
    posted.add(text);
    const { status, body } = await ask('POST', '/dhos/v1/sms', {
      sender: '+447700900001',
      receiver,
      content: text,
    });
    const message = status === 200 ? (JSON.parse(body) as Record<string, string>) : {};
    if (message.content !== text || message.uuid === undefined || message.twilio_sid === undefined) {
      return `${status} ${body.slice(0, 200)}`;
    }
    taken.set(text, message.uuid);
    uuids.push(message.uuid);
    return 'right';
  }

  async function get(uuid: string): Promise<string> {
    const { status, body } = await ask('GET', `/dhos/v1/sms/${uuid}`);
    return status === 200 && JSON.parse(body).uuid === uuid ? 'right' : `${status} ${body.slice(0, 200)}`;
  }

  async function list(): Promise<string> {
    const { status, body } = await ask('GET', '/dhos/v1/sms?limit=10');
    return status === 200 && Array.isArray(JSON.parse(body)) ? 'right' : `${status} ${body.slice(0, 200)}`;
  }

  async function ask(method: 'GET' | 'POST', path: string, body?: object) {
    const headers = { ...tenant, ...(body !== undefined && { 'content-type': 'application/json' }) };
    const answer = await pool.request({
      method,
      path,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
    });
    return { status: answer.statusCode, body: await answer.body.text() };
  }

  const ticking = setInterval(() => {
    for (const due = ((performance.now() - began) / 1000) * rate; next < due; next += 1) {
      const sending = send(next).finally(() => underWay.delete(sending));
      underWay.add(sending);
    }
  }, TICK_MS);

  return {
    posted,
    taken,
    failures,
    sent,
    latencies,
    stop: async () => {
      clearInterval(ticking);
      await Promise.all(underWay);
      await pool.destroy();
    },
  };
}

function kindOf(n: number, isAnyPosted: boolean): Kind {
  const turn = n % 20;
  if (!isAnyPosted || turn < 12) return 'POST';
  return turn < 19 ? 'GET' : 'list';
}

function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error ? `${String(error.code)} ${error.message}` : error.message;
}
