import type { Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import type { TwilioClient } from '../twilio/client.ts';
import type { TwilioMessage } from '../twilio/outcome.ts';
import { type Conclusion, recordChecked, recordLook, type ToResolve } from './due-messages.ts';
import { evidenceOf } from './evidence.ts';
import { hasOpenTwin, sidsOfOthers } from './messages.ts';
import { recordEvidence, SidTaken } from './outcomes.ts';
import { beginOfLog, hidesNumbers, type LogReading, readLog, sidsIn } from './twilio-log.ts';

/** What a look at Twilio's log came to. */
type Look = 'found' | 'nothing' | 'proves nothing' | 'failed' | 'overtaken';

export type ResolveDeps = {
  readonly db: Db;
  readonly twilio: TwilioClient;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly settleMs: number;
  /** Two complete looks showed nothing: is it sent again, or left alone as `unconfirmed` (AMBIGUOUS_SEND)? */
  readonly mayResend: boolean;
  readonly isQuiet: boolean;
  readonly onLook: (look: Look) => void;
  readonly onDuplicate: (uuid: string, twilioSid: string) => void;
  readonly random: () => number;
};

/** So many complete looks must show nothing before a text counts as absent (G3). */
const LOOKS = 2;
const PAGE_SIZE = 100;
const SAMPLE_SIZE = 20;
const LEAST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Nobody knows whether Twilio took this message: its process died, or Twilio's answer was lost. Its deadline and the settle
 * time are over, so Twilio's log is asked (G3). A list that failed or was incomplete proves nothing; what is found is
 * evidence like any other; what two complete looks do not find is sent again, or left as `unconfirmed`.
 */
export async function resolveMessage(deps: ResolveDeps, claim: ToResolve): Promise<void> {
  const look = await lookFor(deps, claim);
  deps.onLook(look);
  deps.log.info({ messageId: claim.uuid, look, looks: claim.looks }, "looked in Twilio's log");
}

/**
 * The message was found absent and sent again, and has its SID. An earlier attempt that Twilio accepted after all, later than
 * the settle time, is looked for once: its callbacks would tell, too, but may be lost. Never silent (G4).
 */
export async function lookBack(deps: ResolveDeps, claim: ToResolve): Promise<void> {
  const { uuid, epoch } = claim;
  const reading = await readTwilioLog(deps, claim);
  // What the log holds of an identical text that is open could be taken for ours.
  if (reading.kind === 'failed' || (await hasOpenTwin(deps.db, uuid))) {
    return recordChecked(deps.db, { uuid, epoch, againAfterMs: nextLookMs(deps) });
  }
  if (reading.kind === 'found') await recordFound(deps, claim, reading.copies);
  return recordChecked(deps.db, { uuid, epoch, againAfterMs: null });
}

async function readTwilioLog(
  deps: ResolveDeps,
  claim: ToResolve,
): Promise<LogReading | { kind: 'failed'; reason: string }> {
  const since = new Date(claim.attempts[0]?.started ?? 0);
  const listed = await deps.twilio.list({ to: claim.to, pageSize: PAGE_SIZE, since: beginOfLog(since) });
  if (listed.kind === 'failed') return { kind: 'failed', reason: listed.reason };
  const { taken, ofOtherTexts } = await sidsOfOthers(deps.db, sidsIn(listed.messages), claim.uuid);
  const wanted = { sender: claim.sender, content: claim.content, since };
  const reading = readLog(listed.messages, wanted, new Set([...taken, ...ofOtherTexts]));
  if (reading.kind !== 'nothing') return reading;
  // The very text, under a SID that stands on the row of another one: that row is wrong, and this text may be at Twilio.
  const misplaced = listed.messages.filter(({ sid }) => ofOtherTexts.has(sid));
  return readLog(misplaced, wanted, new Set()).kind === 'found' ? { kind: 'proves nothing' } : reading;
}

async function lookFor(deps: ResolveDeps, claim: ToResolve): Promise<Look> {
  const reading = await readTwilioLog(deps, claim);
  switch (reading.kind) {
    case 'failed':
      return putOff(deps, claim, reading.reason);
    case 'found':
      return recordFound(deps, claim, reading.copies);
    case 'proves nothing':
      return conclude(deps, claim, 'proves nothing', { kind: 'unconfirmed' });
    case 'nothing':
      return foundNothing(deps, claim);
    default:
      return reading satisfies never;
  }
}

async function foundNothing(deps: ResolveDeps, claim: ToResolve): Promise<Look> {
  const looks = claim.looks + 1;
  if (looks < LOOKS) return conclude(deps, claim, 'nothing', { kind: 'look again', afterMs: nextLookMs(deps), looks });
  if (!deps.mayResend) return conclude(deps, claim, 'nothing', { kind: 'unconfirmed' });
  // Before a second create: can a search by number find anything in this log at all?
  const sample = await deps.twilio.list({ pageSize: SAMPLE_SIZE });
  if (sample.kind === 'failed') return putOff(deps, claim, sample.reason);
  if (hidesNumbers(sample.messages)) return conclude(deps, claim, 'proves nothing', { kind: 'unconfirmed' });
  return conclude(deps, claim, 'nothing', { kind: 'send again' });
}

/** The second look comes a quarter of the settle time after the first, a second at least. */
function nextLookMs({ settleMs }: ResolveDeps): number {
  return Math.max(LEAST_PAUSE_MS, Math.ceil(settleMs / 4));
}

async function putOff(deps: ResolveDeps, claim: ToResolve, reason: string): Promise<Look> {
  const afterMs = Math.ceil(Math.min(LONGEST_PAUSE_MS, nextLookMs(deps)) * (0.5 + deps.random()));
  return conclude(deps, claim, 'failed', { kind: 'look again', afterMs, looks: claim.looks }, reason);
}

async function conclude(
  deps: ResolveDeps,
  claim: ToResolve,
  look: Look,
  conclusion: Conclusion,
  reason?: string,
): Promise<Look> {
  const { uuid, epoch } = claim;
  const details = { look, next: conclusion.kind, ...(reason !== undefined && { reason }) };
  const n = latestAttempt(claim);
  const isRecorded = await recordLook(deps.db, { uuid, epoch, n, conclusion, details, isTold: look !== 'failed' });
  if (isRecorded && conclusion.kind === 'unconfirmed') {
    deps.log.error({ messageId: uuid }, 'it cannot be found out whether Twilio took this message: unconfirmed');
  }
  return isRecorded ? look : 'overtaken';
}

/** The first copy is the message's; each further one is a text that the patient got, or gets, once more (G4). */
async function recordFound(deps: ResolveDeps, claim: ToResolve, copies: readonly TwilioMessage[]): Promise<Look> {
  for (const copy of copies) {
    try {
      const evidence = evidenceOf(copy, 'list', deps.isQuiet);
      const { isDuplicate } = await recordEvidence(deps.db, claim.uuid, evidence, attemptOf(claim, copy));
      if (isDuplicate) deps.onDuplicate(claim.uuid, copy.sid);
    } catch (error) {
      // Since we asked, somebody has recorded this SID as another message's: the next look knows.
      if (!(error instanceof SidTaken)) throw error;
      return putOff(deps, claim, 'the SID has become that of another message');
    }
  }
  return 'found';
}

function latestAttempt({ attempts }: ToResolve): number {
  return attempts.at(-1)?.n ?? 1;
}

/** The latest attempt that had begun when Twilio created it; Twilio's date has no milliseconds. */
function attemptOf(claim: ToResolve, { dateCreated }: TwilioMessage): number {
  const created = dateCreated === null ? Number.POSITIVE_INFINITY : new Date(dateCreated).getTime() + 1_000;
  const begun = claim.attempts.filter(({ started }) => new Date(started).getTime() <= created);
  return begun.at(-1)?.n ?? claim.attempts[0]?.n ?? 1;
}
