import type { Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import type { PageOutcome, TwilioClient } from '../twilio/client.ts';
import { type Ended, forEachAtTwilio, type Worked } from '../twilio/for-each.ts';
import type { TwilioMessage } from '../twilio/outcome.ts';
import { evidenceOf } from './evidence.ts';
import { FETCHES_A_PAGE, PAGE, reachOfList } from './list-reach.ts';
import {
  countSince,
  listOpen,
  type OpenMessage,
  type OpenPlace,
  type Polled,
  recordPolled,
  type ToPoll,
  takeUp,
} from './open-messages.ts';
import { type EvidenceRecorded, recordEvidences, type Said } from './outcomes.ts';

export type ReconcileDeps = {
  readonly db: Db;
  readonly twilio: TwilioClient;
  readonly log: Log;
  readonly isQuiet: boolean;
  /** Of what Twilio said of single messages; recordings share commits. */
  readonly record: (said: Said) => Promise<EvidenceRecorded>;
  readonly onAsked: (how: 'list' | 'fetch', result: 'changed' | 'no news' | 'gone' | 'failed', count: number) => void;
  readonly onSilent: (count: number) => void;
  /** Aborted when the service stops. */
  readonly stopping: AbortSignal;
};

/** How far asking about some messages has come. */
export type Reconciled = { total: number; asked: number; changed: number; gone: number; failed: number };

/** Messages are taken in hand so many at a time, the newest first; the list of Twilio is read for all of them at once. */
const SLICE = 50_000;
const TAKE_UP_AT_ONCE = 2_000;
const RECORD_AT_ONCE = 500;
/** Twilio is asked on while what it said is being recorded, but not so far ahead that a slow database fills the memory. */
const PAGES_AHEAD = 4;
const FETCHED_AHEAD = 100;
/** Twilio's dates have no milliseconds, and its clock may differ from ours by some seconds. */
const SKEW_MS = 6_000;

/**
 * The bulk update: asks Twilio about every message of the last 7 days whose end we do not know. What Twilio says is committed
 * as it comes, so one failure harms no other; when Twilio as a whole does not answer, the rest is left for the next time.
 */
export async function reconcile(deps: ReconcileDeps, onProgress: (so: Reconciled) => void): Promise<Reconciled> {
  const counts: Reconciled = { total: 0, asked: 0, changed: 0, gone: 0, failed: 0 };
  while ((await takeUp(deps.db, TAKE_UP_AT_ONCE)) > 0);
  for (let last: OpenPlace | null = null; ; ) {
    const open: (OpenMessage & OpenPlace)[] = await listOpen(deps.db, last, SLICE);
    counts.total += open.length;
    const { isComplete } = await askAbout(deps, open, counts, onProgress);
    last = open.at(-1) ?? null;
    if (!isComplete || open.length < SLICE) return counts;
  }
}

/** Messages that have been quiet for long (open-messages.ts, claimToPoll): asked about, and put off when there is no news. */
export async function pollQuiet(deps: ReconcileDeps, quiet: readonly ToPoll[]): Promise<Ended> {
  const counts: Reconciled = { total: quiet.length, asked: 0, changed: 0, gone: 0, failed: 0 };
  const { answered, ...ended } = await askAbout(deps, quiet, counts, () => {});
  const polled = quiet.map(({ uuid, epoch }): Polled => ({ uuid, epoch, result: answered.get(uuid) ?? 'failed' }));
  const silent = await recordPolled(deps.db, polled);
  deps.onSilent(silent);
  deps.log.info({ ...counts, silent }, 'quiet messages were polled');
  return ended;
}

/** `answered`: what became of each message that Twilio told of. */
type Asked = Ended & { readonly answered: ReadonlyMap<string, 'no news' | 'gone'> };

/** First Twilio's list, as long as that saves requests, then by SID those that it did not show. */
async function askAbout(
  deps: ReconcileDeps,
  open: readonly OpenMessage[],
  counts: Reconciled,
  onProgress: (so: Reconciled) => void,
): Promise<Asked> {
  const answered = new Map<string, 'no news' | 'gone'>();
  // An old database may hold a SID twice.
  const left = Map.groupBy(open, ({ twilioSid }) => twilioSid);
  const round: Round = { deps, left, answered, counts, onProgress, recordings: new Set() };
  onProgress(counts);
  await readList(round, open);
  await recorded(round, 0);
  const ended = await forEachAtTwilio([...left.values()].flat(), deps.stopping, (message) => fetchOne(round, message));
  await recorded(round, 0);
  return { answered, ...ended };
}

type Round = {
  readonly deps: ReconcileDeps;
  readonly left: Map<string, readonly OpenMessage[]>;
  readonly answered: Map<string, 'no news' | 'gone'>;
  readonly counts: Reconciled;
  readonly onProgress: (so: Reconciled) => void;
  /** Under way; none of them rejects. */
  readonly recordings: Set<Promise<void>>;
};

/** Begins a recording, and does not wait for it. */
function record({ recordings }: Round, recording: Promise<void>): void {
  const one = recording.finally(() => recordings.delete(one));
  recordings.add(one);
}

/** Waits until no more than so many recordings are under way. */
async function recorded({ recordings }: Round, atMost: number): Promise<void> {
  while (recordings.size > atMost) await Promise.race(recordings);
}

/** Newest first, as far back as that saves fetches (list-reach.ts). */
async function readList(round: Round, open: readonly OpenMessage[]): Promise<void> {
  const { deps, left } = round;
  const reach = await reachOfList(open, (moment) => countSince(deps.db, moment));
  if (reach === null) return;
  let next: string | null = null;
  let wanted = reach.wanted;
  let pagesLeft = Math.ceil(reach.ours / PAGE);
  let listed = 0;
  for (
    let pages = 0;
    wanted > FETCHES_A_PAGE * pagesLeft && pages < reach.mostPages && !deps.stopping.aborted;
    pages += 1
  ) {
    const page = await readPage(deps, next);
    if (page?.kind !== 'page') {
      deps.log.warn({ reason: page?.reason }, "Twilio's list could not be read: messages are asked about one by one");
      break;
    }
    const shown = page.messages.flatMap((message) => take(left, message));
    await recorded(round, PAGES_AHEAD - 1);
    record(round, recordShown(round, shown));
    wanted -= shown.length;
    listed += page.messages.length;
    const reached = Date.parse(page.messages.at(-1)?.dateCreated ?? '');
    next = page.next;
    if (next === null || !(reached >= reach.until.getTime() - SKEW_MS)) break;
    // Messages of others in the same account fill pages, too: as many for each of ours as so far.
    const newer = await countSince(deps.db, new Date(reached));
    pagesLeft = Math.max(1, Math.ceil(((reach.ours - newer) * (listed / Math.max(1, newer))) / PAGE));
  }
}

/** Null: the service is stopping. */
async function readPage({ twilio, stopping }: ReconcileDeps, next: string | null): Promise<PageOutcome | null> {
  let page: PageOutcome | null = null;
  await forEachAtTwilio([next], stopping, async (address) => {
    page = await twilio.page(address);
    return tooMany(page) ?? 'done';
  });
  return page;
}

function tooMany(outcome: { tooManyRetryAfterS?: number } | { kind: string }): Worked | null {
  return 'tooManyRetryAfterS' in outcome && outcome.tooManyRetryAfterS !== undefined
    ? { tooManyRetryAfterS: outcome.tooManyRetryAfterS }
    : null;
}

type Shown = { readonly message: OpenMessage; readonly said: TwilioMessage };

/** The messages of ours that this one of Twilio's is, if they are still to be asked about. */
function take(left: Map<string, readonly OpenMessage[]>, said: TwilioMessage): Shown[] {
  const messages = left.get(said.sid) ?? [];
  left.delete(said.sid);
  return messages.map((message) => ({ message, said }));
}

async function recordShown(round: Round, shown: readonly Shown[]): Promise<void> {
  const { deps } = round;
  for (let at = 0; at < shown.length; at += RECORD_AT_ONCE) {
    const some = shown.slice(at, at + RECORD_AT_ONCE);
    try {
      const recorded = await recordEvidences(
        deps.db,
        some.map(({ message, said }) => saidOf(deps, message, said, 'list')),
      );
      for (const [n, { message }] of some.entries()) count(round, message, 'list', recorded[n]?.isChanged === true);
    } catch {
      // One that PostgreSQL refuses takes no other along.
      await Promise.all(some.map(({ message, said }) => recordOne(round, message, said, 'list')));
    }
    round.counts.asked += some.length;
    round.onProgress(round.counts);
  }
}

async function recordOne(
  round: Round,
  message: OpenMessage,
  said: TwilioMessage,
  source: 'list' | 'fetch',
): Promise<void> {
  const { deps, counts } = round;
  try {
    const { isChanged } = await deps.record(saidOf(deps, message, said, source));
    count(round, message, source, isChanged);
  } catch (error) {
    counts.failed += 1;
    deps.onAsked(source, 'failed', 1);
    deps.log.warn({ err: error, messageId: message.uuid }, 'what Twilio said of this message was not recorded');
  }
}

function count({ deps, counts, answered }: Round, { uuid }: OpenMessage, source: 'list' | 'fetch', isChanged: boolean) {
  answered.set(uuid, 'no news');
  if (isChanged) counts.changed += 1;
  deps.onAsked(source, isChanged ? 'changed' : 'no news', 1);
}

function saidOf(deps: ReconcileDeps, message: OpenMessage, said: TwilioMessage, source: 'list' | 'fetch'): Said {
  const evidence = evidenceOf({ ...said, sid: message.twilioSid }, source, deps.isQuiet);
  return { uuid: message.uuid, attempt: null, evidence };
}

async function fetchOne(round: Round, message: OpenMessage): Promise<Worked> {
  const { deps, counts } = round;
  const { uuid } = message;
  const fetched = await deps.twilio.fetch(message.twilioSid);
  const again = tooMany(fetched);
  if (again !== null) return again;
  counts.asked += 1;
  round.onProgress(counts);
  switch (fetched.kind) {
    case 'found':
      await recorded(round, FETCHED_AHEAD - 1);
      record(round, recordOne(round, message, fetched.message, 'fetch'));
      return 'done';
    case 'gone':
      counts.gone += 1;
      round.answered.set(uuid, 'gone');
      deps.onAsked('fetch', 'gone', 1);
      deps.log.warn({ messageId: uuid }, 'Twilio no longer has this message');
      return 'done';
    case 'failed':
      counts.failed += 1;
      deps.onAsked('fetch', 'failed', 1);
      deps.log.warn({ messageId: uuid, reason: fetched.reason }, 'Twilio did not tell about this message');
      return fetched.isGeneral ? 'general failure' : 'done';
    default:
      return fetched satisfies never;
  }
}
