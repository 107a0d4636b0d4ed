/**
 * What a message's status may do, written a second time from GUARANTEES.md (G4, G5) and CONTRACT.md ("Statuses"), in words and
 * not in SQL: the tests drive the real statements and this beside them.
 */

/** G5: "accepted, scheduled < queued < sending < sent < terminal < read"; `error` and `unconfirmed` yield to any evidence. */
const order = [
  ['error', 'unconfirmed'],
  ['accepted', 'scheduled'],
  ['queued'],
  ['sending'],
  ['sent'],
  ['delivered', 'undelivered', 'failed', 'canceled'],
  ['read'],
];
export const words = order.flat();
const ours = ['error', 'unconfirmed'];
export const twilioWords = words.filter((word) => !ours.includes(word));
/** Words that no table knows: old rows hold some, and Twilio may add some. */
export const strangeWords = ['partially_delivered', 'Delivered', 'receiving'];
const ends = order[5] ?? [];
export const isEnd = (word: string | null) => word !== null && ends.includes(word);
const isFinal = (word: string | null) => isEnd(word) || word === 'read';

/** A row without a status, or with a word that nobody knows, is at the very beginning. */
export function rankOf(word: string | null): number {
  return Math.max(
    0,
    order.findIndex((same) => same.includes(word ?? '')),
  );
}

export type Source = 'answer' | 'callback' | 'list' | 'fetch';
export const sources: readonly Source[] = ['answer', 'callback', 'list', 'fetch'];

export type Row = {
  readonly uuid: string;
  status: string | null;
  sid: string | null;
  code: string | null;
  dateSent: string | null;
  /** The quiet simulator's `sent`. */
  isPlaceholder: boolean;
  /** Two ends were named: a fetch is to decide. */
  isContested: boolean;
};

/** What is kept of a callback. */
export type Kept = {
  readonly uuid: string | null;
  readonly sid: string;
  readonly word: string;
  readonly before: string | null;
  readonly after: string | null;
};
/** What the history tells beside callbacks and attempts. */
export type Told = { readonly kind: string; readonly before: string | null; readonly after: string | null };

export type World = {
  readonly row: Row;
  /** SIDs that were proved to be second copies. */
  readonly seconds: Set<string>;
  readonly callbacks: Kept[];
  /** Callbacks that nobody could join to a message yet, by their place above. */
  readonly waiting: Map<number, Word>;
  readonly told: Told[];
};

type Word = {
  readonly sid: string;
  readonly word: string;
  readonly code: string | null;
  readonly dateSent: string | null;
};
export type Step =
  | ({ readonly kind: 'answer' | 'list' | 'fetch' } & Word)
  | ({ readonly kind: 'callback'; readonly bearsOurId: boolean } & Word)
  /** Kept callbacks are joined to the message whose SID has become known. */
  | { readonly kind: 'join' }
  /** Twilio is asked which of two ends is true. */
  | ({ readonly kind: 'verify' } & Word)
  | { readonly kind: 'refused' | 'put back' | 'unknown'; readonly n: number; readonly code: string | null }
  | { readonly kind: 'settled'; readonly outcome: 'sent' | 'not-sent' };

export function take(world: World, step: Step): void {
  const { row } = world;
  switch (step.kind) {
    case 'answer':
    case 'list':
    case 'fetch':
      hear(world, step.kind, step);
      return;
    case 'callback':
      takeCallback(world, step);
      return;
    case 'join':
      join(world);
      return;
    case 'verify':
      if (!row.isContested) return;
      hear(world, 'fetch', { ...step, sid: row.sid ?? step.sid });
      row.isContested = false;
      return;
    case 'refused':
      // Only a message that nobody has heard of since: Twilio's word, whenever it came, wins.
      if (row.status !== 'accepted' || row.sid !== null || step.n !== 1) return;
      Object.assign(row, { status: 'error', code: step.code });
      return;
    case 'settled':
      if (row.status !== 'unconfirmed') return;
      row.status = step.outcome === 'sent' ? 'sent' : 'error';
      world.told.push({ kind: 'settled', before: 'unconfirmed', after: row.status });
      return;
    case 'put back':
    case 'unknown':
      return;
    default:
      step satisfies never;
  }
}

/** What Twilio said about the message of this row, wherever it said it. */
function hear(world: World, source: Source, said: Word, isJoined = false): void {
  const { row, seconds } = world;
  if (row.sid !== null && row.sid !== said.sid) {
    seconds.add(said.sid);
    return;
  }
  const before = { ...row };
  row.sid = said.sid;
  row.dateSent = said.dateSent ?? row.dateSent;
  const isKnown = words.includes(said.word);
  const isOtherEnd = isEnd(said.word) && isEnd(row.status) && said.word !== row.status;
  const isDecided = isOtherEnd && source === 'fetch' && row.isContested;
  const isForward = rankOf(said.word) > rankOf(row.status);
  const isReal = row.isPlaceholder && source === 'callback';
  const moves = isKnown && (isForward || isReal || isDecided);
  if (isOtherEnd && source !== 'fetch') row.isContested = true;
  if (moves) Object.assign(row, { status: said.word, isPlaceholder: false });
  if (isKnown && said.code !== null && said.word === row.status) row.code = said.code;
  // The reason of an end that was not true goes with it.
  else if (moves && (isDecided || ours.includes(before.status ?? ''))) row.code = null;
  if (source === 'answer' || (source === 'callback' && !isJoined)) return;
  if (JSON.stringify(before) === JSON.stringify(row)) return;
  const kind = source === 'list' ? 'found' : source === 'fetch' ? 'fetched' : 'joined';
  world.told.push({ kind, before: before.status, after: row.status });
}

/** By its SID; else by our id, if the message has no SID, or to prove that it was handed over twice; else it is kept. */
function takeCallback(world: World, said: Extract<Step, { kind: 'callback' }>): void {
  const { row, callbacks, waiting } = world;
  const { sid, word, bearsOurId } = said;
  const before = row.status;
  const isMeant = row.sid === sid || (bearsOurId && row.sid === null);
  const isJoined = isMeant || bearsOurId;
  if (isJoined) hear(world, 'callback', { ...said, dateSent: null });
  else waiting.set(callbacks.length, { ...said, dateSent: null });
  callbacks.push({
    uuid: isJoined ? row.uuid : null,
    sid,
    word,
    before: isMeant ? before : null,
    after: isMeant ? row.status : null,
  });
}

function join(world: World): void {
  const { row, callbacks, waiting } = world;
  for (const [at, said] of waiting) {
    const kept = callbacks[at];
    if (kept === undefined || said.sid !== row.sid) continue;
    waiting.delete(at);
    callbacks[at] = { ...kept, uuid: row.uuid };
    hear(world, 'callback', said, true);
  }
}

/** Does a callback, or a look, say now that the text can be emptied at Twilio? */
export const mayBeEmptied = (row: Row) => isFinal(row.status);

/** Every change that a row may show, and every word at which it may stay, per source. */
export function legalTransitions(starts: readonly (string | null)[]): Set<string> {
  const all = sources.flatMap((source) =>
    starts.flatMap((before) => {
      const further = twilioWords.filter((word) => rankOf(word) > rankOf(before));
      const decided = source === 'fetch' && isEnd(before) ? ends.filter((word) => word !== before) : [];
      return [before, ...further, ...decided].map((after) => transition(source, before, after));
    }),
  );
  const ofOurs = [
    transition('refused', 'accepted', 'error'),
    transition('settled', 'unconfirmed', 'sent'),
    transition('settled', 'unconfirmed', 'error'),
  ];
  return new Set([...all, ...ofOurs]);
}

export const transition = (by: string, before: string | null, after: string | null) => `${by}: ${before} → ${after}`;
