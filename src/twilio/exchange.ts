import { type Dispatcher, Pool } from 'undici';

/** One request to Twilio and how it ended. */
export type Exchange =
  /** Not one byte left this process: Twilio certainly did not see it. */
  | { readonly kind: 'not written'; readonly reason: string }
  /** It left, but no complete answer came back. */
  | { readonly kind: 'broken off'; readonly reason: string }
  | {
      readonly kind: 'answered';
      readonly httpStatus: number;
      /** From the header, in seconds; null without one. */
      readonly retryAfterS: number | null;
      readonly body: string;
    };

export type TwilioRequest = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  /** An answer larger than this is not Twilio's. */
  readonly maxAnswerBytes?: number;
};

export type Transport = {
  exchange(request: TwilioRequest): Promise<Exchange>;
  /** Breaks off what is under way. */
  close(): Promise<void>;
};

/** An answer about one message has a few KiB. */
const MAX_ANSWER_BYTES = 256 * 1024;
const KEEP_ALIVE_MS = 20_000;
const CONNECT_WITHIN_MS = 10_000;

/** A keep-alive pool that never repeats a request by itself and tells whether it wrote anything. */
export function openTransport(options: { baseUrl: string; connections: number }): Transport {
  const { origin, pathname } = new URL(options.baseUrl);
  const prefix = pathname.replace(/\/$/, '');
  const pool = new Pool(origin, {
    connections: options.connections,
    pipelining: 1,
    // Over HTTP/2 undici sends a request again by itself when a stream is refused or the connection goes away.
    allowH2: false,
    // One deadline rules the whole exchange, see below.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: CONNECT_WITHIN_MS },
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  return {
    exchange: (request) =>
      new Promise((resolve) => {
        pool.dispatch(
          {
            method: request.method,
            path: prefix + request.path,
            headers: request.headers,
            body: request.body ?? null,
            // undici repeats requests it thinks idempotent when a kept-alive socket breaks; we decide that ourselves.
            idempotent: false,
          },
          new ExchangeHandler(request, resolve),
        );
      }),
    close: () => pool.destroy(),
  };
}

/**
 * Follows one request. undici calls `onRequestStart` immediately before it writes: an error, or the deadline, ahead of
 * that call is the proof that nothing left.
 */
class ExchangeHandler implements Dispatcher.DispatchHandler {
  readonly #settle: (exchange: Exchange) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #giveUpAt: number;
  readonly #maxBytes: number;
  #controller: Dispatcher.DispatchController | null = null;
  #isPastDeadline = false;
  #httpStatus = 0;
  #retryAfterS: number | null = null;
  #chunks: Buffer[] = [];
  #size = 0;

  constructor({ timeoutMs, maxAnswerBytes = MAX_ANSWER_BYTES }: TwilioRequest, settle: (exchange: Exchange) => void) {
    this.#settle = settle;
    this.#maxBytes = maxAnswerBytes;
    this.#giveUpAt = performance.now() + timeoutMs;
    this.#timer = setTimeout(() => this.#onDeadline(), timeoutMs);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // The clock as well as the timer: in a process that slept (SIGSTOP) a socket may wake up first.
    if (this.#isPastDeadline || performance.now() >= this.#giveUpAt) {
      controller.abort(new Error('the deadline has passed'));
      return;
    }
    this.#controller = controller;
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    httpStatus: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    this.#httpStatus = httpStatus;
    const retryAfter = Number(headers['retry-after'] ?? Number.NaN);
    this.#retryAfterS = Number.isFinite(retryAfter) && retryAfter >= 0 ? retryAfter : null;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#size += chunk.length;
    this.#chunks.push(chunk);
    if (this.#size > this.#maxBytes)
      controller.abort(new Error(`the answer is larger than ${Math.round(this.#maxBytes / 1024)} KiB`));
  }

  onResponseEnd(): void {
    this.#end({
      kind: 'answered',
      httpStatus: this.#httpStatus,
      retryAfterS: this.#retryAfterS,
      body: Buffer.concat(this.#chunks).toString('utf8'),
    });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const reason = reasonOf(error);
    this.#end(this.#controller === null ? { kind: 'not written', reason } : { kind: 'broken off', reason });
  }

  #onDeadline(): void {
    this.#isPastDeadline = true;
    if (this.#controller !== null) {
      this.#controller.abort(new Error('the deadline has passed'));
      return;
    }
    // Still waiting for a connection; should one come, onRequestStart gives the request up before it is written.
    this.#end({ kind: 'not written', reason: 'no connection before the deadline' });
  }

  #end(exchange: Exchange): void {
    clearTimeout(this.#timer);
    this.#settle(exchange);
  }
}

/** A code rather than a message: messages can repeat what was sent. */
function reasonOf(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null;
  return code ?? error.message;
}

export function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
