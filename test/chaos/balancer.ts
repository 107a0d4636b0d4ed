import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A load balancer as in front of any deployment: sends each request to the next replica that says it is ready
 * (`/healthcheck`), over kept-alive connections, and repeats nothing. A request that breaks is answered 502, one for which
 * nobody is ready 503 without `Retry-After`: no answers of the service.
 */
export type Balancer = {
  readonly url: string;
  add(baseUrl: string): void;
  remove(baseUrl: string): void;
  /** How many are ready. */
  ready(): number;
  close(): Promise<void>;
};

const CHECK_EVERY_MS = 100;
/** A busy machine is slow to answer, and no less ready for it. */
const CHECK_WITHIN_MS = 2_000;

export async function startBalancer(): Promise<Balancer> {
  const ready = new Map<string, boolean>();
  const agent = new Agent({ keepAlive: true, maxSockets: 1000 });
  let next = 0;

  const server = createServer((incoming, answer) => {
    const targets = [...ready].filter(([, isReady]) => isReady).map(([baseUrl]) => baseUrl);
    next += 1;
    const target = targets[next % targets.length];
    if (target === undefined) {
      incoming.resume();
      answer.writeHead(503).end('no replica is ready');
      return;
    }
    forward(agent, target, incoming, answer);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // One look at a time: a slow one that still saw it ready must not come after the one that saw it stop.
  const underWay = new Set<string>();
  const look = async (baseUrl: string) => {
    if (underWay.has(baseUrl)) return;
    underWay.add(baseUrl);
    const isReady = await check(baseUrl);
    underWay.delete(baseUrl);
    if (ready.has(baseUrl)) ready.set(baseUrl, isReady);
  };
  const checking = setInterval(() => {
    for (const baseUrl of ready.keys()) void look(baseUrl);
  }, CHECK_EVERY_MS);

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    add: (baseUrl) => ready.set(baseUrl, false),
    remove: (baseUrl) => ready.delete(baseUrl),
    ready: () => [...ready.values()].filter(Boolean).length,
    close: async () => {
      clearInterval(checking);
      agent.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function check(baseUrl: string): Promise<boolean> {
  const answer = await fetch(`${baseUrl}/healthcheck`, { signal: AbortSignal.timeout(CHECK_WITHIN_MS) }).catch(
    () => null,
  );
  await answer?.arrayBuffer().catch(() => {});
  return answer?.status === 200;
}

function forward(agent: Agent, target: string, incoming: IncomingMessage, answer: ServerResponse): void {
  const { hostname, port } = new URL(target);
  const onward = request(
    { agent, hostname, port, method: incoming.method, path: incoming.url, headers: incoming.headers },
    (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
      response.on('error', () => answer.destroy());
    },
  );
  onward.on('error', () => {
    if (answer.headersSent) answer.destroy();
    else answer.writeHead(502).end('the replica broke off');
  });
  answer.on('close', () => onward.destroy());
  incoming.pipe(onward);
}
