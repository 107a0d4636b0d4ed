import { setTimeout as pause } from 'node:timers/promises';
import { fractionOf } from '../../src/simulator/draw.ts';
import { type PlannedMessage, planMessage, sender } from './plan.ts';

/** What came back on one request, as far as the service answers for it. */
export type Answer =
  /** The connection broke, nothing came in time, or the balancer answered itself: the client knows nothing. */
  | { readonly kind: 'none' }
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly uuid: string | null;
      readonly sid: string | null;
      /** It says when to ask again. */
      readonly asksToRepeat: boolean;
    };

/** All that one client went through with one message; the last answer is the one that it went away with. */
export type Story = { readonly planned: PlannedMessage; readonly answers: readonly Answer[] };

export type ClientOptions = {
  readonly baseUrl: string;
  readonly seed: number;
  readonly messages: number;
  /** From the beginning of one message to the beginning of the next, unless all clients are waiting. */
  readonly everyMs: number;
  readonly clients: number;
  /** Clients of the original have no key and repeat after every failure. */
  readonly repeatsBlindly: boolean;
  /** Resolves when there is somebody to ask. What is asked of nobody would prove nothing. */
  readonly somebodyReady: () => Promise<void>;
  readonly onDone: (done: number) => void;
};

const path = '/dhos/v1/sms';
/** The platform's clients give up then. */
const REQUEST_TIMEOUT_MS = 15_000;
/** Nobody stays longer with one message. */
const PATIENCE_MS = 20_000;
/** Nor does anybody repeat blindly for ever. */
const BLIND_TRIES = 4;
/** Between two tries. Shorter than `Retry-After` asks for: who comes back too early must not be harmed either. */
const PAUSE_MS = { least: 300, most: 1_000 };

/** Sends all messages of the plan, so many at a time, and tells what the clients went through. */
export async function sendAll(options: ClientOptions): Promise<Story[]> {
  const stories: Story[] = [];
  const began = performance.now();
  let next = 0;
  const work = async () => {
    while (next < options.messages) {
      const planned = planMessage(options.seed, next++);
      await pause(Math.max(0, began + planned.n * options.everyMs - performance.now()));
      stories.push({ planned, answers: await sendUntilAnswered(planned, options) });
      options.onDone(stories.length);
    }
  };
  await Promise.all(Array.from({ length: options.clients }, work));
  return stories;
}

async function sendUntilAnswered(planned: PlannedMessage, options: ClientOptions): Promise<Answer[]> {
  const answers: Answer[] = [];
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (;;) {
    await options.somebodyReady();
    const answer = await post(options.baseUrl, planned);
    answers.push(answer);
    const isPatient = performance.now() < giveUpAt && !(options.repeatsBlindly && answers.length >= BLIND_TRIES);
    if (!isPatient || !mayRepeat(answer, planned, options.repeatsBlindly)) return answers;
    const fraction = fractionOf(options.seed, 'pause', planned.n, answers.length);
    await pause(PAUSE_MS.least + fraction * (PAUSE_MS.most - PAUSE_MS.least));
  }
}

/**
 * A client with a key asks until somebody answers. One without a key never repeats what may have been sent; it repeats the same
 * words when the service itself says that they were not and will not be.
 */
function mayRepeat(answer: Answer, { key }: PlannedMessage, repeatsBlindly: boolean): boolean {
  if (answer.kind === 'none') return key !== null || repeatsBlindly;
  if (repeatsBlindly) return answer.status >= 500;
  return answer.asksToRepeat && [409, 429, 503].includes(answer.status);
}

/** Asks once. */
export async function post(baseUrl: string, { receiver, content, isAsync, key }: PlannedMessage): Promise<Answer> {
  const headers = {
    'content-type': 'application/json',
    'x-trustomer': 'ouh',
    'x-product': 'gdm',
    ...(isAsync && { prefer: 'respond-async' }),
    ...(key !== null && { 'idempotency-key': key }),
  };
  try {
    const response = await fetch(baseUrl + path, {
      method: 'POST',
      headers,
      body: JSON.stringify({ sender, receiver, content }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    return readAnswer(response, await response.text());
  } catch {
    return { kind: 'none' };
  }
}

function readAnswer(response: Response, text: string): Answer {
  // What the balancer says itself is no JSON, and promises nothing.
  if (!/json/.test(response.headers.get('content-type') ?? '')) return { kind: 'none' };
  const body: { uuid?: string; twilio_sid?: string } = JSON.parse(text);
  return {
    kind: 'answer',
    status: response.status,
    uuid: response.headers.get('x-message-id') ?? body.uuid ?? null,
    sid: body.twilio_sid ?? null,
    asksToRepeat: response.headers.has('retry-after'),
  };
}
