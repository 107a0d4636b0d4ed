import type { Socket } from 'node:net';
import type { HttpApp } from './app-type.ts';

/** A POST is answered within 14 s; what is still open after that is a request that never came whole. */
const CUT_AFTER_MS = 14_500;

/**
 * Lets the server close as soon as the requests in flight are answered. Node's own closing waits for every open socket,
 * also for one on which nothing was ever sent, as browsers and load balancers keep them.
 */
export function closePromptly(app: HttpApp): void {
  const withoutRequest = new Set<Socket>();
  let isClosing = false;

  app.server.on('connection', (socket: Socket) => {
    withoutRequest.add(socket);
    socket.once('close', () => withoutRequest.delete(socket));
  });
  app.server.on('request', ({ socket }, response) => {
    withoutRequest.delete(socket);
    response.once('close', () => {
      if (!socket.destroyed) withoutRequest.add(socket);
    });
  });
  app.addHook('preClose', async () => {
    isClosing = true;
    for (const socket of withoutRequest) socket.destroy();
    setTimeout(() => app.server.closeAllConnections(), CUT_AFTER_MS).unref();
  });
  app.addHook('onSend', async (_request, reply) => {
    if (isClosing) reply.header('connection', 'close');
  });
}
