import type { TwilioMessage } from '../twilio/outcome.ts';

/** The text that is looked for in Twilio's log, and when its first attempt began. */
export type Wanted = { readonly sender: string; readonly content: string; readonly since: Date };

/** What the log says about a text. */
export type LogReading =
  /** Twilio has it: every copy, the oldest first. */
  | { readonly kind: 'found'; readonly copies: readonly TwilioMessage[] }
  | { readonly kind: 'nothing' }
  /** There is a message that could be ours and cannot be told: its text was emptied, or its number hidden. */
  | { readonly kind: 'proves nothing' };

/** Twilio's dates have no milliseconds, and its clock may differ from ours by some seconds (GUARANTEES.md, evidence). */
const GRAIN_MS = 1_000;
const SKEW_MS = 5_000;

/** A message created before this moment is older than the attempt. */
export function beginOfLog(since: Date): Date {
  return new Date(since.getTime() - GRAIN_MS - SKEW_MS);
}

/**
 * Reads a complete list of the messages to one number. Ours is one from the same sender with the same text, created since
 * the attempt began, that belongs to no other message of ours and is no refused create.
 */
export function readLog(list: readonly TwilioMessage[], wanted: Wanted, taken: ReadonlySet<string>): LogReading {
  const begin = beginOfLog(wanted.since);
  const candidates = list.filter((message) => {
    // Without a date it cannot be ruled out.
    const isOld = message.dateCreated !== null && new Date(message.dateCreated) < begin;
    return !isOld && !taken.has(message.sid) && isFrom(message, wanted.sender) && !isRefusedCreate(message);
  });
  const copies = candidates.filter(({ body }) => body !== null && body.trim() === wanted.content.trim());
  if (copies.length > 0) return { kind: 'found', copies: copies.toSorted(byAge) };
  return candidates.some(({ body }) => body === null || body === '') ? { kind: 'proves nothing' } : { kind: 'nothing' };
}

/** Account-level redaction masks numbers in lists: a search by number finds nothing then, whatever there is (TWILIO.md 18). */
export function hidesNumbers(list: readonly TwilioMessage[]): boolean {
  return list.some(({ to }) => to !== null && !/^(whatsapp:|messenger:)?\+?[0-9]+$/.test(to));
}

/** The SIDs of a list, to be asked about in our table. */
export function sidsIn(list: readonly TwilioMessage[]): string[] {
  return list.map(({ sid }) => sid);
}

/** With a messaging service Twilio chooses the number, and may not have chosen it yet. Without any sender it cannot be ruled out. */
function isFrom(message: TwilioMessage, sender: string): boolean {
  if (message.from === null && message.messagingServiceSid === null) return true;
  return message.from === sender || message.messagingServiceSid === sender;
}

/** Twilio lists creates that it refused as failed messages (TWILIO.md 15); their codes are of the API, 2xxxx, not of carriers. */
function isRefusedCreate({ status, errorCode }: TwilioMessage): boolean {
  return status === 'failed' && errorCode?.startsWith('2') === true;
}

function byAge(a: TwilioMessage, b: TwilioMessage): number {
  return (a.dateCreated ?? '').localeCompare(b.dateCreated ?? '');
}
