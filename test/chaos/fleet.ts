import type { Run } from '../support/process.ts';
import type { Balancer } from './balancer.ts';

export type Fleet = {
  readonly size: number;
  /** kill -9, and a new one in its place; resolves when that one listens. */
  replace(place: number): Promise<void>;
  /** SIGSTOP, and SIGCONT when this resolves. */
  freeze(place: number, until: Promise<unknown>): Promise<void>;
  /** Everything printed by all replicas that there have been. */
  output(): string;
  /** Resolves when so many are there and the balancer has found them ready. */
  ready(count: number): Promise<void>;
  close(): Promise<void>;
};

type Replica = Run & { readonly baseUrl: string };

/** A replica that finds no database ends; whoever runs it starts it again. */
const START_TRIES = 10;
const READY_WITHIN_MS = 30_000;

/** So many replicas behind a balancer, with a name for each place: 0, 1, … */
export async function startFleet(balancer: Balancer, size: number, start: () => Promise<Replica>): Promise<Fleet> {
  const history: Replica[] = [];
  const places: (Replica | null)[] = await Promise.all(Array.from({ length: size }, open));

  async function open(): Promise<Replica> {
    for (let tries = 1; ; tries++) {
      try {
        const replica = await start();
        history.push(replica);
        balancer.add(replica.baseUrl);
        return replica;
      } catch (error) {
        if (tries === START_TRIES) throw error;
      }
    }
  }

  async function replace(place: number): Promise<void> {
    const replica = places[place];
    if (replica == null) return;
    places[place] = null;
    replica.child.kill('SIGKILL');
    await replica.ended;
    balancer.remove(replica.baseUrl);
    places[place] = await open();
  }

  async function freeze(place: number, until: Promise<unknown>): Promise<void> {
    const child = places[place]?.child;
    child?.kill('SIGSTOP');
    await until;
    // In vain if it was killed meanwhile.
    child?.kill('SIGCONT');
  }

  async function ready(count: number): Promise<void> {
    const giveUpAt = performance.now() + READY_WITHIN_MS;
    while (balancer.ready() < count) {
      if (performance.now() > giveUpAt) throw new Error(`only ${balancer.ready()} of ${size} replicas are ready`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async function close(): Promise<void> {
    for (const { child } of history) child.kill('SIGKILL');
    await Promise.all(history.map(({ ended }) => ended));
  }

  return { size, replace, freeze, ready, close, output: () => history.map((run) => run.output()).join('') };
}
