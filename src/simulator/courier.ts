import { setTimeout as pause } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { Overrides } from './overrides.ts';

/** What came of one try: the HTTP status of the answer, or why there was none. */
export type CallbackOutcome = number | 'connection failed' | 'timeout';

/** A callback ready to go, the same on each try. */
type Letter = {
  readonly url: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly overrides: Overrides;
};

export type Courier = {
  /** Tries until it is taken or the tries are used up, and tells of each try, counted from 1. Never rejects. */
  carry(letter: Letter, onTried: (attempt: number, outcome: CallbackOutcome) => void): Promise<void>;
  /** Gives what is in flight two seconds to end, then cuts it off. */
  close(): Promise<void>;
};

/**
 * Carries callbacks as Twilio does: over HTTP, retried as the URL's fragment asks, at once and without a pause (Twilio
 * promises none), and lost when the tries are used up. Any answer ends it that no retry policy names. Redirects are
 * not followed. Its timeouts are real time, whatever the simulator's clock says: the receiver is no faster.
 */
export function createCourier(): Courier {
  const agents = new Map<number, Agent>();
  const inFlight = new Set<Promise<void>>();
  let isClosed = false;

  /** undici takes the connect timeout from the agent, so there is one agent for each that was asked for. */
  function agentFor(connectTimeoutMs: number): Agent {
    const agent = agents.get(connectTimeoutMs) ?? new Agent({ connect: { timeout: connectTimeoutMs } });
    agents.set(connectTimeoutMs, agent);
    return agent;
  }

  function carry(letter: Letter, onTried: (attempt: number, outcome: CallbackOutcome) => void): Promise<void> {
    const carrying = tryUntilTaken(letter, onTried).finally(() => inFlight.delete(carrying));
    inFlight.add(carrying);
    return carrying;
  }

  async function tryUntilTaken(
    letter: Letter,
    onTried: (attempt: number, outcome: CallbackOutcome) => void,
  ): Promise<void> {
    const { overrides } = letter;
    const giveUpAt = performance.now() + overrides.totalMs;
    for (let attempt = 1; attempt <= 1 + overrides.retries; attempt++) {
      const leftMs = giveUpAt - performance.now();
      const outcome = await post(
        letter,
        agentFor(overrides.connectTimeoutMs),
        Math.min(leftMs, overrides.readTimeoutMs),
      );
      onTried(attempt, outcome);
      if (isClosed || performance.now() >= giveUpAt || !isRetried(outcome, overrides.policies)) return;
    }
  }

  async function close(): Promise<void> {
    await Promise.race([Promise.all(inFlight), pause(2000, undefined, { ref: false })]);
    isClosed = true;
    await Promise.all([...agents.values()].map((agent) => agent.destroy()));
  }

  return { carry, close };
}

async function post({ url, body, headers }: Letter, dispatcher: Agent, timeoutMs: number): Promise<CallbackOutcome> {
  // undici's own read timeout is late by up to a second. This one counts the connecting, too, which the agent limits.
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), timeoutMs);
  try {
    const answer = await request(url, { method: 'POST', body, headers, dispatcher, signal: patience.signal });
    await answer.body.dump();
    return answer.statusCode;
  } catch {
    return patience.signal.aborted ? 'timeout' : 'connection failed';
  } finally {
    clearTimeout(timer);
  }
}

function isRetried(outcome: CallbackOutcome, policies: ReadonlySet<string>): boolean {
  const policy = policyFor(outcome);
  return policy !== undefined && (policies.has('all') || policies.has(policy));
}

function policyFor(outcome: CallbackOutcome): string | undefined {
  if (outcome === 'connection failed') return 'ct';
  if (outcome === 'timeout') return 'rt';
  if (outcome >= 500) return '5xx';
  if (outcome >= 400) return '4xx';
  return undefined;
}
