import { Readable } from 'node:stream';

/** How long a reader may take for one piece, and for everything. */
export type Patience = { readonly pieceWithinMs: number; readonly allWithinMs: number };

/** The reader takes too long. */
class SlowReader extends Error {
  override name = 'SlowReader';
}

/**
 * An answer that is made while it is read: the next piece when the last one has gone out. Whatever ends it, the last piece, an
 * error, a reader who goes away or one who is too slow, `more` is ended with it and gives back what it holds.
 */
export function streamedBody(
  first: Buffer,
  more: AsyncGenerator<Buffer, void, void>,
  { pieceWithinMs, allWithinMs }: Patience,
): Readable {
  const giveUp = () => body.destroy(new SlowReader());
  async function* pieces() {
    yield* taken(first);
    for await (const piece of more) yield* taken(piece);
  }
  /** Goes on when the piece is taken: the reader's time counts, the database's does not. */
  function* taken(piece: Buffer) {
    const timer = setTimeout(giveUp, pieceWithinMs);
    try {
      yield piece;
    } finally {
      clearTimeout(timer);
    }
  }
  const body = Readable.from(pieces(), { objectMode: false, highWaterMark: 1 });
  const timer = setTimeout(giveUp, allWithinMs);
  body.once('close', () => {
    clearTimeout(timer);
    // Also when nobody has begun to read: then the generator above never ran and cannot end it.
    void more.return();
  });
  return body;
}
