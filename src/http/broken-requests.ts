import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { problemOf } from './problem.ts';
import { headersWithoutRoute } from './security-headers.ts';

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse };

/**
 * What Node's parser refuses never becomes a request; it gets the same shape of error. Where requests came before it on the
 * same connection (pipelining), their answers go first: the 400 would be read as the answer to the first of them, which may
 * just be sending a text.
 */
export function answerBrokenRequests() {
  const open = new WeakMap<Socket, Set<Exchange>>();
  const isBroken = new WeakSet<Socket>();

  return {
    /** To be called once, before the server listens. */
    watch: (server: Server) => {
      server.on('request', (request, response) => {
        const exchanges = open.get(request.socket) ?? new Set();
        const exchange = { request, response };
        open.set(request.socket, exchanges.add(exchange));
        response.once('close', () => exchanges.delete(exchange));
      });
    },
    onClientError: (error: Error & { code?: string }, socket: Socket) => {
      if (error.code === 'ECONNRESET' || !socket.writable) {
        socket.destroy();
        return;
      }
      if (isBroken.has(socket)) return;
      isBroken.add(socket);
      // A request that has not come whole is the broken one itself.
      const before = [...(open.get(socket) ?? [])].filter(({ request }) => request.complete).at(-1);
      if (before === undefined) endWith(socket, error.code);
      else before.response.once('close', () => endWith(socket, error.code));
    },
  };
}

function endWith(socket: Socket, code = ''): void {
  if (!socket.writable) return;
  const [status, detail] = meanings[code] ?? [400, 'The request is not valid HTTP.'];
  const body = JSON.stringify(problemOf(status, detail));
  const headers = Object.entries(headersWithoutRoute).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(
    `HTTP/1.1 ${status} ${problemOf(status, detail).title}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n${headers.join('')}Connection: close\r\n\r\n${body}`,
  );
}

const meanings: Readonly<Record<string, [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'The headers are larger than 16 KiB.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time.'],
};
