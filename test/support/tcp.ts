import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

export type TcpServer = { readonly url: string; readonly requests: string[]; close(): Promise<void> };

/** A server that answers each HTTP request by hand, so that it can break every rule of HTTP. */
export async function startTcpServer(answer: (socket: Socket, request: string) => void): Promise<TcpServer> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    let received = '';
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received += chunk;
      if (!isComplete(received)) return;
      requests.push(received);
      const request = received;
      received = '';
      answer(socket, request);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function isComplete(received: string): boolean {
  const [head, body] = received.split('\r\n\r\n', 2);
  if (head === undefined || body === undefined) return false;
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
  return Buffer.byteLength(body) >= length;
}

export function httpAnswer(status: number, body: string, headers: Record<string, string> = {}): string {
  const all = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return `HTTP/1.1 ${status} X\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** An address where nobody listens. */
export async function closedAddress(): Promise<string> {
  const server = await startTcpServer(() => {});
  await server.close();
  return server.url;
}
