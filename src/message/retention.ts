import { setTimeout as delay } from 'node:timers/promises';
import type { Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import {
  emptyKeptCallbacks,
  emptyMessages,
  endOfPart,
  type KeptPosition,
  listToEmpty,
  type Over,
  type What,
  whatIsOver,
} from './emptyings.ts';
import type { KeyedHash } from './keyed-hash.ts';

export type RetentionDeps = {
  readonly db: Db;
  readonly log: Pick<Log, 'info'>;
  readonly hash: KeyedHash;
  readonly countryCode: string;
  /** How long text and number are kept here after `created`; 0 = for good. */
  readonly days: { readonly text: number; readonly number: number };
  /** Aborted when the service stops. */
  readonly stopping: AbortSignal;
  readonly countEmptied: (what: What | 'callback', count: number) => void;
};

export type Emptied = { readonly text: number; readonly number: number; readonly callback: number };

/** How many rows are read to find out which of them are still full; most of them are not, on a walk from the beginning. */
const PART_ROWS = 5_000;
/** A batch grows and shrinks between these, to take about as long as it may: others' commits wait for what it has written. */
const LEAST_BATCH = 10;
const FIRST_BATCH = 50;
const MOST_BATCH = 200;
const BATCH_MS = 40;
/** Between two statements there is a pause of three times what the one before took: three quarters of the time are others' alone. */
const PAUSE_FACTOR = 3;
const LEAST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 3_000;
const KEPT_AT_ONCE = 500;
const TELL_EVERY_MS = 30_000;

/** When the walk began, and up to which `created` all texts and all numbers are empty: moments as texts in UTC. */
export type Progress = { readonly began?: string; readonly text?: string; readonly number?: string };

/**
 * Empties the texts and numbers that have had their days, the oldest first, in small commits of their own, until none is left.
 * It goes on from `progress`, where the last run ended (a message that had to wait holds that place), and once a day from the
 * beginning, for rows that others have inserted with an old `created`; `tell` is told how far it has come. Whoever dies in the
 * middle leaves whole batches. Two at once do no harm, and no good either.
 */
export async function emptyWhatIsOver(
  deps: RetentionDeps,
  progress: Progress,
  tell: (progress: Progress) => void,
): Promise<Emptied> {
  const { isNewDay, now, ...over } = await whatIsOver(deps.db, deps.days, progress.began ?? null);
  const walk = new Walk(deps, over, isNewDay ? { began: now } : progress, tell);
  try {
    for (const what of ['text', 'number'] as const) await walk.through(what);
    await walk.throughKeptCallbacks();
  } catch (error) {
    if (!(error instanceof Stopping)) throw error;
  } finally {
    walk.log('texts and numbers whose days are over were emptied');
  }
  return walk.emptied;
}

class Stopping extends Error {
  override name = 'Stopping';
}

class Walk {
  readonly #deps: RetentionDeps;
  readonly #over: Over;
  readonly emptied = { text: 0, number: 0, callback: 0 };
  readonly #tell: (progress: Progress) => void;
  #progress: Progress;
  #batch = FIRST_BATCH;
  #logged = performance.now();

  constructor(deps: RetentionDeps, over: Over, progress: Progress, tell: (progress: Progress) => void) {
    this.#deps = deps;
    this.#over = over;
    this.#progress = progress;
    this.#tell = tell;
    tell(progress);
  }

  async through(what: What): Promise<void> {
    const upTo = this.#over[what];
    if (upTo === null) return;
    let isHeld = false;
    for (let after: string = this.#progress[what] ?? '-infinity'; ; ) {
      const end: string = await this.#andPause(() => endOfPart(this.#deps.db, { after, upTo, rows: PART_ROWS }));
      const isWhole = await this.#throughPart(what, after, end);
      isHeld ||= !isWhole;
      if (!isHeld) {
        this.#progress = { ...this.#progress, [what]: end };
        this.#tell(this.#progress);
      }
      if (end === upTo) return;
      after = end;
    }
  }

  /** False: some of it had to wait, or others were at work on it. */
  async #throughPart(what: What, after: string, upTo: string): Promise<boolean> {
    const skipped: string[] = [];
    for (;;) {
      const limit = this.#batch;
      const listed = await this.#andPause(() => this.#emptyBatch({ what, after, upTo, skipped, limit }));
      if (listed < limit) return skipped.length === 0;
    }
  }

  /** Answers how many there were; adds to `skipped` those that are still full. */
  async #emptyBatch(part: {
    what: What;
    after: string;
    upTo: string;
    skipped: string[];
    limit: number;
  }): Promise<number> {
    const { db, hash, countryCode } = this.#deps;
    const listed = await listToEmpty(db, { ...part, over: this.#over });
    const ready = listed.filter(({ waits }) => !waits);
    const began = performance.now();
    const done =
      ready.length > 0 ? await emptyMessages(db, ready, { hash, countryCode, actor: 'service', why: 'retention' }) : [];
    this.#fit(performance.now() - began);
    const emptied = new Set(done.map(({ uuid }) => uuid));
    part.skipped.push(...listed.map(({ uuid }) => uuid).filter((uuid) => !emptied.has(uuid)));
    this.#count('text', done.filter(({ isText }) => isText).length);
    this.#count('number', done.filter(({ isNumber }) => isNumber).length);
    return listed.length;
  }

  #fit(tookMs: number): void {
    if (tookMs > BATCH_MS) this.#batch = Math.max(LEAST_BATCH, Math.floor(this.#batch / 2));
    else if (tookMs < BATCH_MS / 2) this.#batch = Math.min(MOST_BATCH, Math.ceil(this.#batch * 1.25));
  }

  async throughKeptCallbacks(): Promise<void> {
    const upTo = [this.#over.text, this.#over.number]
      .filter((moment) => moment !== null)
      .toSorted()
      .at(-1);
    if (upTo === undefined) return;
    for (let after: KeptPosition | null = { sid: '', id: '0' }; after !== null; ) {
      const part: { after: KeptPosition; upTo: string; limit: number } = { after, upTo, limit: KEPT_AT_ONCE };
      const { emptied, next } = await this.#andPause(() => emptyKeptCallbacks(this.#deps.db, part));
      this.#count('callback', emptied);
      after = next;
    }
  }

  /** Does a piece of the work, then makes way for others. */
  async #andPause<T>(work: () => Promise<T>): Promise<T> {
    const { stopping } = this.#deps;
    if (stopping.aborted) throw new Stopping();
    const began = performance.now();
    const result = await work();
    const tookMs = performance.now() - began;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(LEAST_PAUSE_MS, tookMs * PAUSE_FACTOR));
    if (performance.now() - this.#logged > TELL_EVERY_MS) this.log('emptying texts and numbers whose days are over');
    await delay(pauseMs, undefined, { signal: stopping }).catch(() => {});
    return result;
  }

  #count(what: keyof Emptied, count: number): void {
    this.emptied[what] += count;
    if (count > 0) this.#deps.countEmptied(what, count);
  }

  log(message: string): void {
    this.#logged = performance.now();
    const { text, number, callback } = this.emptied;
    if (text + number + callback > 0) this.#deps.log.info({ ...this.emptied, upTo: this.#progress }, message);
  }
}
