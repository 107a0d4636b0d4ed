import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { showMoment } from './duration.ts';
import type { RequestKind } from './scenario.ts';

/** A request that was answered, or was meant to be. Never holds a text, real time, a host or a port. */
export type RequestEntry = {
  /** `other`: an address that Twilio's Messages API has not; `late create`: the acceptance after the answer */
  readonly kind: RequestKind | 'other' | 'late create';
  readonly to?: string;
  /** names the text: see hashText */
  readonly text?: string;
  readonly sid?: string;
  /** `m` and `a` in the query of the callback URL: whose message, and which attempt, the caller says it is */
  readonly m?: string;
  readonly a?: string;
  /** of a list its query, of an unknown address its method and path */
  readonly asked?: string;
  /** the HTTP status of the answer, also of one that arrived damaged or not at all */
  readonly http?: number;
  /** Twilio's error code */
  readonly code?: number;
  /** the number of the scenario's rule */
  readonly rule?: number;
  readonly fault?: string;
  /** false, or after how many milliseconds, where a rule decided it */
  readonly done?: boolean | number;
  /** where it decided something */
  readonly inFlight?: number;
};

/** One try of a callback, or that there was none. */
type CallbackEntry = {
  readonly kind: 'callback';
  readonly sid: string;
  readonly status: string;
  /** without scheme, host and port */
  readonly url: string;
  readonly attempt?: number;
  /** the HTTP status of the answer, or why there was none */
  readonly outcome: number | string;
  /** the numbers of the scenario's rules, and what they did */
  readonly rules?: readonly number[];
  readonly fault?: string;
};

type Entry = RequestEntry | CallbackEntry;

export type Journal = {
  write(entry: Entry): void;
  /** The entries so far as lines of JSON, each ended by a line break; with `kind` only those of that kind. */
  lines(kind?: string): Generator<string>;
  count(): number;
  /** Takes no more entries. */
  close(): void;
};

/** Entries are packed by the thousand: a hundred thousand messages would not fit into memory otherwise. */
const packedAt = 1_000;

/** `onLine` sees each line as it is written. */
export function createJournal(elapsed: () => number, onLine: (line: string) => void): Journal {
  const packs: Buffer[] = [];
  let recent: string[] = [];
  let count = 0;
  let isClosed = false;

  function write(entry: Entry): void {
    if (isClosed) return;
    count += 1;
    const line = `${JSON.stringify({ n: count, at: showMoment(elapsed()), ...entry })}\n`;
    recent.push(line);
    if (recent.length >= packedAt) pack();
    onLine(line);
  }

  function pack(): void {
    packs.push(deflateRawSync(recent.join(''), { level: 1 }));
    recent = [];
  }

  function* all(): Generator<string> {
    const latest = recent;
    for (const pack of [...packs]) yield* linesIn(inflateRawSync(pack).toString('utf8'));
    yield* latest;
  }

  function* lines(kind?: string): Generator<string> {
    const mark = kind && `"kind":${JSON.stringify(kind)}`;
    for (const line of all()) if (!mark || line.includes(mark)) yield line;
  }

  return {
    write,
    lines,
    count: () => count,
    close: () => {
      isClosed = true;
    },
  };
}

function linesIn(text: string): string[] {
  return text.split(/(?<=\n)/);
}
