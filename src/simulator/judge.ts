import { callerIdIn } from './caller-id.ts';
import type { Load, LoadReport } from './load.ts';
import type { MessageStore } from './message-store.ts';
import type { Message, MessageStatus } from './messages.ts';

/** One text that was accepted, with every message made of it. */
type AcceptedText = { readonly text: string; readonly sids: readonly string[]; readonly count: number };
/** A caller's id (`m` in its callback URL) for which more than one message was accepted. */
type Duplicate = { readonly m: string; readonly sids: readonly string[]; readonly attempts: readonly string[] };
type Unredacted = { readonly sid: string; readonly to: string; readonly status: MessageStatus };

/**
 * Says what really happened: of everything accepted, also of what was accepted late or behind an answer that never arrived, and
 * also of what was deleted since. Refused creates do not count as accepted.
 */
export type Judge = {
  /** By receiver, in the order in which each was first written to. Texts are named by hashText. */
  accepted(receiver?: string): { receiver: string; texts: AcceptedText[] }[];
  duplicates(): Duplicate[];
  /** What still has its text, deleted messages not included. */
  unredacted(): Unredacted[];
  load(): LoadReport;
};

export function createJudge(store: MessageStore, load: Load): Judge {
  const messages = (): Message[] => acceptedRows(store).map(({ message }) => message);

  function accepted(receiver?: string) {
    const asked = receiver === undefined ? messages() : messages().filter(({ to }) => to === receiver);
    return [...Map.groupBy(asked, ({ to }) => to)].map(([to, theirs]) => ({ receiver: to, texts: textsOf(theirs) }));
  }

  function duplicates(): Duplicate[] {
    const byCaller = Map.groupBy(messages(), ({ statusCallback }) => callerIdIn(statusCallback).m);
    return [...byCaller].flatMap(([m, theirs]) => {
      if (m === undefined || theirs.length < 2) return [];
      const attempts = theirs.map(({ statusCallback }) => callerIdIn(statusCallback).a ?? '');
      return [{ m, sids: theirs.map(({ sid }) => sid), attempts }];
    });
  }

  function unredacted(): Unredacted[] {
    const rows = acceptedRows(store).filter(({ isDeleted, message }) => !isDeleted && message.body !== '');
    return rows.map(({ message: { sid, to, status } }) => ({ sid, to, status }));
  }

  return { accepted, duplicates, unredacted, load: load.report };
}

export function acceptedRows(store: MessageStore) {
  return store.oldestFirst().filter(({ message }) => message.refusal === null);
}

function textsOf(messages: readonly Message[]): AcceptedText[] {
  return [...Map.groupBy(messages, ({ textHash }) => textHash)].map(([text, same]) => ({
    text,
    sids: same.map(({ sid }) => sid),
    count: same.length,
  }));
}
