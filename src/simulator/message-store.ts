import type { Message } from './messages.ts';

/** A message in its place in Twilio's log. */
export type Row = {
  readonly message: Message;
  /** its place among all, oldest first */
  readonly index: number;
  /** the one before it to the same receiver */
  readonly olderToSame: Row | undefined;
  /** simulated milliseconds since the start */
  readonly addedAt: number;
  isDeleted: boolean;
};

/** Twilio's log. Nothing ever leaves it: what is deleted is only hidden, because the judge still has to count it. */
export type MessageStore = {
  add(message: Message, addedAt: number): void;
  /** undefined for what never was, or is deleted */
  find(sid: string): Row | undefined;
  /** also what is deleted: a page may begin after it */
  place(sid: string): Row | undefined;
  /** Newest first, those before `before` in time (all without it); with `to` only those to that receiver. */
  newestFirst(to: string | null, before?: Row): Generator<Row>;
  oldestFirst(): readonly Row[];
};

export function createMessageStore(): MessageStore {
  const rows: Row[] = [];
  const bySid = new Map<string, Row>();
  const newestByReceiver = new Map<string, Row>();

  function add(message: Message, addedAt: number): void {
    const olderToSame = newestByReceiver.get(message.to);
    const row: Row = { message, index: rows.length, olderToSame, addedAt, isDeleted: false };
    rows.push(row);
    bySid.set(message.sid, row);
    newestByReceiver.set(message.to, row);
  }

  function find(sid: string): Row | undefined {
    const row = bySid.get(sid);
    return row?.isDeleted === true ? undefined : row;
  }

  function* newestFirst(to: string | null, before?: Row): Generator<Row> {
    if (to === null) yield* downFrom(before?.index ?? rows.length);
    else yield* linkedFrom(before === undefined ? newestByReceiver.get(to) : newestBefore(to, before));
  }

  function* downFrom(index: number): Generator<Row> {
    for (let at = index - 1; at >= 0; at--) {
      const row = rows[at];
      if (row !== undefined && !row.isDeleted) yield row;
    }
  }

  function newestBefore(to: string, before: Row): Row | undefined {
    if (before.message.to === to) return before.olderToSame;
    let row = newestByReceiver.get(to);
    while (row !== undefined && row.index >= before.index) row = row.olderToSame;
    return row;
  }

  return { add, find, place: (sid) => bySid.get(sid), newestFirst, oldestFirst: () => rows };
}

function* linkedFrom(newest: Row | undefined): Generator<Row> {
  for (let row = newest; row !== undefined; row = row.olderToSame) if (!row.isDeleted) yield row;
}
