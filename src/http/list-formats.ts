import type { Message } from '../message/message.ts';
import type { View } from '../tenant/caller.ts';
import { csvLine } from './csv.ts';
import { message, toWire } from './schemas.ts';

/** How messages are written one after another: `head`, then each row with `between` in between, then `tail`. */
export type ListFormat = {
  readonly contentType: string;
  readonly head: string;
  readonly between: string;
  readonly tail: string;
  readonly row: (message: Message, view: View) => string;
};

/** In the order of the described message. */
const csvColumns = message.keyof().options;

/** By media type, the default first. */
export const listFormats = {
  'application/json': {
    contentType: 'application/json; charset=utf-8',
    head: '[',
    between: ',',
    tail: ']',
    row: (row, view) => JSON.stringify(toWire(row, view)),
  },
  'text/csv': {
    contentType: 'text/csv; charset=utf-8; header=present',
    head: csvLine(csvColumns),
    between: '',
    tail: '',
    row: (row, view) => {
      const wire = toWire(row, view);
      return csvLine(csvColumns.map((column) => wire[column]));
    },
  },
  'application/x-ndjson': {
    contentType: 'application/x-ndjson; charset=utf-8',
    head: '',
    between: '',
    tail: '',
    row: (row, view) => `${JSON.stringify(toWire(row, view))}\n`,
  },
} as const satisfies Record<string, ListFormat>;

export function writeWhole({ head, between, tail, row }: ListFormat, messages: readonly Message[], view: View): string {
  return head + messages.map((message) => row(message, view)).join(between) + tail;
}

/** Large enough that the cost of a piece does not count, small enough that many of them at once do not either. */
const PIECE_CHARACTERS = 65_536;

/** The same text, in pieces, as the batches come. */
export async function* writeInPieces(
  { head, between, tail, row }: ListFormat,
  batches: AsyncIterable<readonly Message[]>,
  view: View,
): AsyncGenerator<Buffer, void, void> {
  let piece = head;
  let isFirst = true;
  for await (const batch of batches) {
    for (const message of batch) {
      piece += isFirst ? row(message, view) : between + row(message, view);
      isFirst = false;
      if (piece.length < PIECE_CHARACTERS) continue;
      yield Buffer.from(piece);
      piece = '';
    }
  }
  yield Buffer.from(piece + tail);
}
