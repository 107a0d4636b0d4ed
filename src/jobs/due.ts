import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../log.ts';

/** One kind of work that the rows themselves say is due. */
export type Work<Item> = {
  readonly name: string;
  /** How many more may be begun now. */
  readonly capacity: () => number;
  /** Claims at most so many, in one commit. */
  readonly claim: (limit: number) => Promise<readonly Item[]>;
  readonly run: (item: Item) => Promise<unknown>;
};

export type DueLoop = {
  /** Something has become due in this process: looks at once instead of at the next tick. */
  kick(): void;
  /** Claims nothing more and waits for what is under way. */
  stop(): Promise<void>;
};

/** How late a row may be noticed that another replica wrote, or whose time has come. */
const TICK_MS = 500;
/** Between two claims, so that places that become free together are filled by one commit. */
const GATHER_MS = 5;
/** While the database does not answer. */
const TROUBLE_PAUSE_MS = 1_000;
const LONGEST_TROUBLE_PAUSE_MS = 8_000;

/**
 * Claims what is due and runs it, for as long as the service runs. Every replica does so over the same rows without knowing of
 * the others: a claim is theirs alone. Work that throws has lost its turn only; its row becomes due again.
 */
export function startDueLoop<Item>(work: Work<Item>, log: Log, stopping: AbortSignal): DueLoop {
  const underWay = new Set<Promise<unknown>>();
  let wake: () => void = () => {};
  let isKicked = false;
  /** There was more to do than places. */
  let isBehind = false;

  const kick = () => {
    isKicked = true;
    wake();
  };

  function begin(item: Item): void {
    const running: Promise<unknown> = work
      .run(item)
      .catch((error: unknown) =>
        log.error({ err: error, work: work.name }, 'a piece of work failed and will be due again'),
      )
      .finally(() => {
        underWay.delete(running);
        // A place is free again.
        if (isBehind) kick();
      });
    underWay.add(running);
  }

  async function claimOnce(): Promise<void> {
    const limit = work.capacity();
    isBehind = limit <= 0;
    if (isBehind) return;
    const items = await work.claim(limit);
    isBehind = items.length === limit;
    for (const item of items) begin(item);
  }

  async function pause(ms: number): Promise<void> {
    if (isKicked || stopping.aborted) return;
    const woken = new AbortController();
    wake = () => woken.abort();
    await delay(ms, undefined, { signal: woken.signal }).catch(() => {});
    wake = () => {};
  }

  async function loop(): Promise<void> {
    let troubleMs = TROUBLE_PAUSE_MS;
    while (!stopping.aborted) {
      isKicked = false;
      try {
        await claimOnce();
        troubleMs = TROUBLE_PAUSE_MS;
        await pause(isBehind && work.capacity() > 0 ? 0 : TICK_MS);
        await delay(GATHER_MS);
      } catch (error) {
        log.warn({ err: error, work: work.name }, 'due work could not be claimed');
        isKicked = false;
        await pause(troubleMs);
        troubleMs = Math.min(troubleMs * 2, LONGEST_TROUBLE_PAUSE_MS);
      }
    }
  }

  stopping.addEventListener('abort', kick);
  const looping = loop();
  return {
    kick,
    stop: async () => {
      await looping;
      await Promise.all(underWay);
    },
  };
}
