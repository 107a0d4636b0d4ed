import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A connection broke before the answer was whole: nobody knows whether the request was heard. */
export const BROKEN = -1;

/** `answers[n]` is the HTTP status of request n, BROKEN, or 0 when it was never sent; `ms[n]` how long that took. */
export type Fired = { readonly answers: Int16Array; readonly ms: Float32Array; readonly seconds: number };

const RECONNECT_PAUSE_MS = 20;

/**
 * Sends prepared requests over raw sockets, one at a time on each, as fast as answers come, until all are sent or the time
 * is over. A connection that breaks is opened again and nothing is repeated.
 */
export async function fire(options: {
  readonly port: number;
  readonly connections: number;
  readonly requests: readonly Buffer[];
  readonly forMs: number;
  readonly onAnswer?: (sent: number) => void;
}): Promise<Fired> {
  const { requests, onAnswer } = options;
  const answers = new Int16Array(requests.length);
  const ms = new Float32Array(requests.length);
  const began = performance.now();
  const endAt = began + options.forMs;
  let next = 0;

  const worker = async () => {
    let line: Line | null = null;
    while (next < requests.length && performance.now() < endAt) {
      line ??= await openLine(options.port, endAt);
      if (line === null) return;
      const n = next++;
      const request = requests[n];
      if (request === undefined) break;
      const sentAt = performance.now();
      const { status, isOpen } = await line.exchange(request);
      answers[n] = status;
      ms[n] = performance.now() - sentAt;
      onAnswer?.(next);
      if (!isOpen) line = null;
    }
    line?.close();
  };
  await Promise.all(Array.from({ length: options.connections }, worker));
  return { answers, ms, seconds: (performance.now() - began) / 1000 };
}

type Line = {
  exchange(request: Buffer): Promise<{ status: number; isOpen: boolean }>;
  close(): void;
};

/** Null when nobody listens before the time is over. */
async function openLine(port: number, endAt: number): Promise<Line | null> {
  for (;;) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const isConnected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    if (isConnected) return lineOn(socket);
    if (performance.now() > endAt) return null;
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_PAUSE_MS));
  }
}

function lineOn(socket: Socket): Line {
  let received = '';
  let settle: ((answer: { status: number; isOpen: boolean }) => void) | null = null;
  let isGone = false;
  const end = (answer: { status: number; isOpen: boolean }) => {
    const waiting = settle;
    [settle, received] = [null, ''];
    waiting?.(answer);
  };
  socket.setEncoding('latin1');
  socket.on('error', () => {});
  socket.on('close', () => {
    isGone = true;
    end({ status: BROKEN, isOpen: false });
  });
  socket.on('data', (chunk: string) => {
    received += chunk;
    const answer = readAnswer(received);
    if (answer === null) return;
    if (!answer.isOpen) socket.destroy();
    end(answer);
  });
  return {
    exchange: (request) =>
      new Promise((resolve) => {
        if (isGone) return resolve({ status: BROKEN, isOpen: false });
        settle = resolve;
        socket.write(request);
      }),
    close: () => socket.destroy(),
  };
}

/** Null while it is not whole. The service never answers in chunks here. */
function readAnswer(received: string): { status: number; isOpen: boolean } | null {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const head = received.slice(0, headEnd);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  if (received.length < headEnd + 4 + length) return null;
  return { status: Number(head.slice(9, 12)), isOpen: !/\r\nconnection: *close/i.test(head) };
}
