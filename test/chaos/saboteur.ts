import { setTimeout as pause } from 'node:timers/promises';
import { fractionOf } from '../../src/simulator/draw.ts';
import type { Fleet } from './fleet.ts';

export type Damage = { kills: number; freezes: number; crashes: number };

export type Saboteur = {
  readonly done: Readonly<Damage>;
  /** PostgreSQL dies and recovers, beside everything else that goes on. */
  crashPostgres(): void;
  /** Nothing more is broken; resolves when all that was broken is whole again, and rejects if something is not. */
  end(): Promise<void>;
  /** Nothing more is broken, and nothing is under way any more. */
  stop(): Promise<void>;
};

/** Between two blows at the replicas. */
const PAUSE_MS = { least: 1_500, most: 2_500 };
/** So often it is a SIGSTOP instead of a SIGKILL: short of the call's deadline, and far beyond its lease. */
const FREEZE = 0.2;
const FROZEN_MS = { least: 1_000, most: 7_000 };

/** Kills a replica about every two seconds, and now and then only stops one for a while. Seed and round decide which. */
export function letLoose(seed: number, fleet: Fleet, crash: () => Promise<void>): Saboteur {
  const done = { kills: 0, freezes: 0, crashes: 0 };
  const ending = new AbortController();
  const underWay = new Set<Promise<void>>();
  let failure: unknown;

  function follow(work: Promise<void>): void {
    const followed = work
      .catch((error) => {
        failure ??= error;
      })
      .finally(() => underWay.delete(followed));
    underWay.add(followed);
  }

  function strike(round: number): void {
    const draw = (name: string) => fractionOf(seed, 'saboteur', round, name);
    const place = Math.floor(draw('place') * fleet.size);
    if (draw('kind') < FREEZE) {
      done.freezes += 1;
      follow(fleet.freeze(place, quiet(between(FROZEN_MS, draw('length')), ending.signal)));
    } else {
      done.kills += 1;
      follow(fleet.replace(place));
    }
  }

  async function work(): Promise<void> {
    for (let round = 1; !ending.signal.aborted; round++) {
      await quiet(between(PAUSE_MS, fractionOf(seed, 'saboteur', round, 'pause')), ending.signal);
      if (!ending.signal.aborted) strike(round);
    }
  }

  const working = work();

  async function stop(): Promise<void> {
    ending.abort();
    await working;
    while (underWay.size > 0) await Promise.all(underWay);
  }

  return {
    done,
    stop,
    crashPostgres: () => {
      done.crashes += 1;
      follow(crash());
    },
    end: async () => {
      await stop();
      if (failure !== undefined) throw failure;
      await fleet.ready(fleet.size);
    },
  };
}

function between({ least, most }: { least: number; most: number }, fraction: number): number {
  return least + fraction * (most - least);
}

/** A pause that the end cuts short. */
function quiet(ms: number, signal: AbortSignal): Promise<unknown> {
  return pause(ms, undefined, { signal }).catch(() => {});
}
