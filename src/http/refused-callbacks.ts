import type { FastifyBaseLogger } from 'fastify';
import type { Diagnosis, SignatureFault } from '../twilio/signature-doctor.ts';

/** Why a callback was refused: what the metric counts. `not examined` = there were too many at once to look at each. */
export type RefusedFor = SignatureFault | 'missing' | 'malformed' | 'another account' | 'not examined';

export type RefusedCallbacks = {
  /** It has no signature, or none that Twilio could have made. */
  unsigned(log: FastifyBaseLogger, reason: 'missing' | 'malformed'): void;
  /** It has a wrong one; `examine` finds out why, and is only called when there is time for it. */
  wronglySigned(log: FastifyBaseLogger, examine: () => Diagnosis): void;
  /** It is well signed, but about another account. */
  ofAnotherAccount(log: FastifyBaseLogger): void;
};

/** One line, and one examination, a second of each kind: a flood of forgeries must cost little. */
const EVERY_MS = 1_000;

const WRONG = 'a callback with a wrong signature was refused';

/** Counts every refused callback, and tells the log of a few; `times` in a line = how many since the line before. */
export function watchRefusedCallbacks(deps: {
  readonly count: (reason: RefusedFor) => void;
  readonly nowMs: () => number;
}): RefusedCallbacks {
  const isTimeFor = {
    missing: everySoOften(deps.nowMs),
    malformed: everySoOften(deps.nowMs),
    wrong: everySoOften(deps.nowMs),
    foreign: everySoOften(deps.nowMs),
  };
  return {
    unsigned(log, reason) {
      deps.count(reason);
      const times = isTimeFor[reason]();
      if (times !== null) log.warn({ reason, times, finding: unsigned[reason] }, WRONG);
    },
    wronglySigned(log, examine) {
      const times = isTimeFor.wrong();
      if (times === null) return deps.count('not examined');
      const { fault, inWords } = examine();
      deps.count(fault);
      log.warn({ reason: fault, times, finding: inWords }, WRONG);
    },
    ofAnotherAccount(log) {
      const reason = 'another account';
      deps.count(reason);
      const times = isTimeFor.foreign();
      if (times !== null)
        log.warn({ reason, times }, 'a callback was refused: well signed, but TWILIO_ACCOUNT_SID is another');
    },
  };
}

const unsigned = {
  missing: 'it has none',
  malformed: 'it is none that Twilio makes, 28 characters of base64',
} as const;

/** At most once every so often: how many asked since, this one included; else null. */
function everySoOften(nowMs: () => number): () => number | null {
  let last = Number.NEGATIVE_INFINITY;
  let times = 0;
  return () => {
    times += 1;
    if (nowMs() - last < EVERY_MS) return null;
    const told = times;
    [last, times] = [nowMs(), 0];
    return told;
  };
}

const SLICE_MS = 10_000;
const RECENT_MS = 15 * 60_000;

/** How many were refused in the last quarter of an hour, to ten seconds; `nowMs` is the time since 1970. */
export function countRecentlyRefused(nowMs: () => number) {
  const slices = new Map<number, { unsigned: number; wrong: number }>();
  const forgetOld = () => {
    for (const start of slices.keys()) if (start <= nowMs() - RECENT_MS) slices.delete(start);
  };
  return {
    add(reason: RefusedFor): void {
      const start = Math.floor(nowMs() / SLICE_MS) * SLICE_MS;
      if (!slices.has(start)) forgetOld();
      const slice = slices.get(start) ?? { unsigned: 0, wrong: 0 };
      slice[reason === 'missing' || reason === 'malformed' ? 'unsigned' : 'wrong'] += 1;
      slices.set(start, slice);
    },
    read() {
      forgetOld();
      const sum = (kind: 'unsigned' | 'wrong') => slices.values().reduce((total, slice) => total + slice[kind], 0);
      const first = [...slices].find(([, { wrong }]) => wrong > 0)?.[0];
      return {
        unsigned: sum('unsigned'),
        wrong: sum('wrong'),
        first: first === undefined ? null : new Date(first),
      };
    },
  };
}
