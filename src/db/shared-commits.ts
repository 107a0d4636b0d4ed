import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseUnavailable } from './db.ts';

type Waiting<Item, Result> = {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
};

/** Two commits at once: while PostgreSQL writes one, it works on the other. */
const AT_ONCE = 2;
const TOGETHER = 50;
/** One that waits, for a locked row or a broken connection, keeps the others back no longer than this. */
const HELD_UP_MS = 200;

/**
 * What comes while others are being committed shares the next commit: alone each is recorded at once, and under load a
 * round trip and a commit serve many. `record` is one statement and answers in the order given; a result is passed on
 * after its commit. One that PostgreSQL refuses takes no other along. No two that share a name in `about` go together.
 */
export function shareCommits<Item, Result>(options: {
  readonly record: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly about: (item: Item) => readonly string[];
}): (item: Item) => Promise<Result> {
  let waiting: Waiting<Item, Result>[] = [];
  let underWay = 0;

  function start(): void {
    while (underWay < AT_ONCE && waiting.length > 0) {
      const { together, rest } = choose(waiting);
      waiting = rest;
      underWay += 1;
      Promise.race([record(together), delay(HELD_UP_MS, null, { ref: false })]).finally(() => {
        underWay -= 1;
        start();
      });
    }
  }

  /** The oldest, but no two that may be about one row, for a statement changes a row once. */
  function choose(all: readonly Waiting<Item, Result>[]) {
    const taken = new Set<string>();
    const together: Waiting<Item, Result>[] = [];
    const rest: Waiting<Item, Result>[] = [];
    for (const one of all) {
      const names = options.about(one.item);
      const isFree = together.length < TOGETHER && names.every((name) => !taken.has(name));
      (isFree ? together : rest).push(one);
      // Also of those that wait: what is about one row keeps its order.
      for (const name of names) taken.add(name);
    }
    return { together, rest };
  }

  async function record(together: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await options.record(together.map(({ item }) => item));
      for (const [n, { resolve }] of together.entries()) resolve(results[n] as Result);
    } catch (error) {
      const isOnesFault = together.length > 1 && !(error instanceof DatabaseUnavailable && error.isConnection);
      if (isOnesFault) await Promise.all(together.map((one) => record([one])));
      else for (const { reject } of together) reject(error);
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      start();
    });
}
