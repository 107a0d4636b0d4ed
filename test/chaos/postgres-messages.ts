/**
 * As much of PostgreSQL's wire protocol as it takes to see which prepared statement is asked for and when it is committed.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export type WireMessage = {
  /** One letter, '' for the first message of a client. */
  readonly type: string;
  /** The whole message, as it came. */
  readonly bytes: Buffer;
  /** Of Parse and Bind, the name of the prepared statement. */
  readonly statement: string | null;
  /** Of CommandComplete, how many rows it speaks of. */
  readonly rowCount: number;
  /** Of ReadyForQuery: 'I' outside a transaction, 'T' inside, 'E' in a failed one. */
  readonly transactionStatus: string | null;
  /** Of BackendKeyData. */
  readonly backendPid: number | null;
};

/** Returns a function that takes chunks as they come and answers the messages that they complete. */
export function createSplitter(
  start: 'begins with a message without a type' | 'every message has a type',
): (chunk: Buffer) => WireMessage[] {
  let hasTypes = start === 'every message has a type';
  let pending: Buffer = Buffer.alloc(0);
  return (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    const complete: WireMessage[] = [];
    for (;;) {
      const lengthAt = hasTypes ? 1 : 0;
      if (pending.length < lengthAt + 4) return complete;
      const end = lengthAt + pending.readInt32BE(lengthAt);
      if (pending.length < end) return complete;
      complete.push(read(hasTypes ? String.fromCharCode(pending[0] ?? 0) : '', pending.subarray(0, end)));
      pending = pending.subarray(end);
      hasTypes = true;
    }
  };
}

function read(type: string, bytes: Buffer): WireMessage {
  const body = bytes.subarray(5);
  return {
    type,
    bytes,
    statement: statementIn(type, body),
    // `INSERT 0 1`, `UPDATE 3`, `SELECT 1`
    rowCount: type === 'C' ? Number(/ (\d+)$/.exec(textAt(body, 0))?.[1] ?? 0) : 0,
    transactionStatus: type === 'Z' ? String.fromCharCode(body[0] ?? 0) : null,
    backendPid: type === 'K' ? body.readInt32BE(0) : null,
  };
}

/** A client's 'P' is a Parse, which begins with the name; a Bind has the portal's name first. */
function statementIn(type: string, body: Buffer): string | null {
  if (type === 'P') return textAt(body, 0);
  if (type === 'B') return textAt(body, body.indexOf(0) + 1);
  return null;
}

function textAt(body: Buffer, start: number): string {
  return body.toString('utf8', start, body.indexOf(0, start));
}
