import { setTimeout as delay } from 'node:timers/promises';
import type { Db } from '../db/db.ts';
import { countOthers, listOthers, reseal, type StoredText } from './sealed-texts.ts';
import { type Sealing, type Stored, TextSealed } from './sealing.ts';

export type Resealing = {
  /** Opens nothing by itself: see sealed-texts.ts. */
  readonly db: Db;
  readonly sealing: Sealing;
  /** Stores them in clear instead of with the first key. */
  readonly isOpening: boolean;
};

export type Resealed = {
  /** How many there were at the beginning. */
  readonly total: number;
  readonly done: number;
  /** Texts whose key is missing, or that are damaged, by the id of the key; they stay as they are. */
  readonly unopened: Readonly<Record<string, number>>;
  /** Texts that still have another key at the end, those among them. */
  readonly left: number;
};

const BATCH = 200;
/** As retention does: three quarters of the time are others' alone. */
const PAUSE_FACTOR = 3;
/** Rows that were held, or written meanwhile by a replica that has the new key not yet, are found by another walk. */
const WALKS = 5;

/**
 * Gives every text the key that is written with now, in batches of a commit each, while the service runs. Whoever ends it in the
 * middle leaves whole batches, and the next run does the rest: where it stands is in the rows.
 */
export async function resealAll(deps: Resealing, tell: (progress: Resealed) => void): Promise<Resealed> {
  const { db, sealing, isOpening } = deps;
  const keyId = isOpening ? null : sealing.keyId;
  const total = await countOthers(db, keyId);
  let [done, left] = [0, total];
  let unopened: Record<string, number> = {};
  for (let walk = 0; walk < WALKS && left > 0; walk += 1) {
    unopened = {};
    for (let after = ''; ; ) {
      const began = performance.now();
      const batch = await listOthers(db, { keyId, after, limit: BATCH });
      done += await reseal(
        db,
        batch.flatMap((before) => newlySealed(deps, before, unopened)),
      );
      tell({ total, done, unopened, left });
      after = batch.at(-1)?.uuid ?? after;
      if (batch.length < BATCH) break;
      await delay((performance.now() - began) * PAUSE_FACTOR);
    }
    left = await countOthers(db, keyId);
    if (left === sum(unopened)) break;
  }
  return { total, done, unopened, left };
}

function newlySealed(
  { sealing, isOpening }: Resealing,
  before: StoredText,
  unopened: Record<string, number>,
): { before: StoredText; after: Stored }[] {
  try {
    const text = sealing.open(before.uuid, before);
    return [{ before, after: isOpening ? { content: text, keyId: null } : sealing.seal(before.uuid, text) }];
  } catch (error) {
    if (!(error instanceof TextSealed)) throw error;
    unopened[error.code] = (unopened[error.code] ?? 0) + 1;
    return [];
  }
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, count) => all + count, 0);
}
