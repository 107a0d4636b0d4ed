import { setTimeout as pause } from 'node:timers/promises';
import { type Fate, taken } from './fates.ts';
import type { Scene } from './scene.ts';

/** A moment at which something dies, and what must have become of the message when all is over. */
export type KillPoint = {
  /** As issue and table number it; variants have a letter. */
  readonly id: string;
  readonly name: string;
  /** What dies, and where. */
  readonly inWords: string;
  readonly endState: string;
  /** What its receivers meet at Twilio; taken at once unless it says otherwise. */
  readonly fate: Fate;
  /** Is somebody there to answer Twilio's callbacks? Without them only Twilio's log can tell. */
  readonly isCalledBack: boolean;
  /** How many other runs it stands for where runs go on at once: by the processes that it starts. */
  readonly weight: number;
  /** Plays one run; answers in what the end differs from what it must be. */
  readonly play: (scene: Scene) => Promise<string[]>;
};

type Essentials = Pick<KillPoint, 'id' | 'name' | 'inWords' | 'endState' | 'play'>;

export function killPoint(point: Essentials & Partial<KillPoint>): KillPoint {
  return { fate: taken, isCalledBack: false, weight: 1, ...point };
}

/** What a run found not to be as it must. */
export type Findings = {
  readonly list: readonly string[];
  /** `deviation` says what is the case instead. */
  must(holds: boolean, deviation: string): void;
};

export function createFindings(): Findings {
  const list: string[] = [];
  return {
    list,
    must: (holds, deviation) => {
      if (!holds) list.push(deviation);
    },
  };
}

/** A run's parts take seconds, a dead claimer's turn ten; on a busy machine more. G2 allows five minutes. */
const PATIENCE_MS = 60_000;

export class NeverCame extends Error {
  override name = 'NeverCame';
}

/** The caller was answered before the moment came: the sender had given up on its own. */
export class MissedMoment extends Error {
  override name = 'MissedMoment';
}

/** Waits for something that happens between processes, with a bound. */
export async function until<T>(what: string, probe: () => Promise<T | null | false>, withinMs = PATIENCE_MS) {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    const found = await probe();
    if (found !== null && found !== false) return found;
    if (performance.now() > giveUpAt) throw new NeverCame(`${what}: not within ${withinMs / 1000} s`);
    await pause(50);
  }
}

/** The same for a promise that nobody may ever resolve. */
export async function inTime<T>(what: string, promise: Promise<T>, withinMs = PATIENCE_MS): Promise<T> {
  const over = new AbortController();
  const tooLate = pause(withinMs, undefined, { signal: over.signal }).then(() => {
    throw new NeverCame(`${what}: not within ${withinMs / 1000} s`);
  });
  tooLate.catch(() => {});
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    over.abort();
  }
}
