import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How many requests are at work. */
export type Places = {
  taken(): number;
  /** Until its response is closed. */
  take(socket: Socket, response: ServerResponse): void;
};

/**
 * A response that waits behind another one of its connection (pipelining) is never told that its client went away. So the connection
 * counts as well: what its requests still hold when it closes is given back.
 */
export function makePlaces(): Places {
  const heldBy = new WeakMap<Socket, number>();
  let taken = 0;

  function change(socket: Socket, by: number): void {
    heldBy.set(socket, (heldBy.get(socket) ?? 0) + by);
    taken += by;
  }

  return {
    taken: () => taken,
    take: (socket, response) => {
      if (socket.destroyed) return;
      if (!heldBy.has(socket)) socket.once('close', () => change(socket, -(heldBy.get(socket) ?? 0)));
      change(socket, 1);
      response.once('close', () => {
        if ((heldBy.get(socket) ?? 0) > 0) change(socket, -1);
      });
    },
  };
}
