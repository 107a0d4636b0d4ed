import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export type DatabaseProxy = {
  /** The database's address by way of the proxy. */
  readonly url: string;
  /** Breaks every connection and refuses new ones. */
  cut(): Promise<void>;
  mend(): Promise<void>;
};

/** Stands between the service and its PostgreSQL, so that a test can take the database away and give it back. */
export async function startDatabaseProxy(databaseUrl: string): Promise<DatabaseProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let server = await listen(0);
  const { port } = server.address() as AddressInfo;

  function listen(onPort: number): Promise<Server> {
    const opened = createServer((near) => {
      const far = connect(Number(target.port || 5432), target.hostname.replace(/^\[|\]$/g, ''));
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(one);
        one.pipe(other);
        one.on('error', () => {});
        one.on('close', () => {
          sockets.delete(one);
          other.destroy();
        });
      }
    });
    return new Promise((resolve) => opened.listen(onPort, '127.0.0.1', () => resolve(opened)));
  }

  const proxied = new URL(databaseUrl);
  proxied.host = `127.0.0.1:${port}`;
  return {
    url: proxied.href,
    cut: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    mend: async () => {
      server = await listen(port);
    },
  };
}
