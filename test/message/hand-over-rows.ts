import { type Db, utcNow } from '../../src/db/db.ts';

/** A message as its row and its attempts tell it. */
export type Row = {
  readonly uuid: string;
  readonly status: string;
  readonly sid: string | null;
  readonly step: string | null;
  readonly hasDue: boolean;
  readonly isDue: boolean;
  /** Neither its own time limit nor the day is over. */
  readonly isInTime: boolean;
  readonly epoch: number;
  readonly attempts: number;
  readonly unresolved: boolean;
  readonly textHash: string;
  readonly isDeleted: boolean;
  readonly isExpired: boolean;
  readonly tries: readonly { readonly n: number; readonly outcome: string | null; readonly isClosed: boolean }[];
  /** Everything that the row holds, to see whether anything has changed. */
  readonly whole: string;
};

export async function readRows(db: Db): Promise<Map<string, Row>> {
  const { rows } = await db.query<Row>({
    name: 'read-rows',
    text: `
      SELECT uuid, status, twilio_sid AS sid, step, due IS NOT NULL AS "hasDue", (due <= ${utcNow}) IS TRUE AS "isDue",
        coalesce(valid_until, created + interval '24 hours') > ${utcNow} AS "isInTime", epoch, attempts, unresolved,
        text_hash AS "textHash", deleted IS NOT NULL AS "isDeleted", (error_message LIKE '%: expired.') IS TRUE AS "isExpired",
        (SELECT coalesce(json_agg(json_build_object('n', n, 'outcome', outcome, 'isClosed', closed IS NOT NULL) ORDER BY n), '[]')
         FROM attempt WHERE message_uuid = uuid) AS tries,
        to_jsonb(message)::text AS whole
      FROM message`,
  });
  return new Map(rows.map((row) => [row.uuid, row]));
}

/** Where a message is on its way. */
export type Place = 'new' | 'waiting' | 'open' | 'handed over' | 'refused' | 'expired' | 'cancelled' | 'unconfirmed';

export function placeOf(row: Row | undefined): Place {
  if (row === undefined) return 'new';
  if (row.sid !== null) return 'handed over';
  if (row.status === 'accepted') return row.step === 'send' ? 'waiting' : 'open';
  if (row.status === 'error') return row.isExpired ? 'expired' : 'refused';
  return row.status === 'canceled' ? 'cancelled' : 'unconfirmed';
}

/** What is wrong with a row as it stands, whatever led to it. */
export function flawsOf(row: Row, all: readonly Row[]): string[] {
  const flaws: string[] = [];
  const demand = (isGood: boolean, flaw: string) => {
    if (!isGood) flaws.push(`${flaw}: ${row.whole} ${JSON.stringify(row.tries)}`);
  };
  const place = placeOf(row);
  const isLookedAfter = row.step === 'resolve';
  demand(row.hasDue === (row.step !== null), 'a step has a time, and nothing else has');
  demand(row.attempts === row.tries.length, 'the licences that were counted are those that were given out');
  demand(
    row.tries.every(({ n }, at) => n === at + 1),
    'licences are numbered without a gap',
  );
  demand(row.unresolved === isLookedAfter, 'what Twilio may or may not have is looked after, and nothing else');
  if (place === 'open') demand(isLookedAfter, 'an open message is resolved some day');
  if (place === 'waiting') {
    const isProved = row.tries.every(({ outcome }) => outcome !== null && PROVED.has(outcome));
    demand(isProved, 'one that waits to be sent is provably not at Twilio');
  }
  if (place === 'handed over')
    demand([null, 'verify', 'look back', 'poll', 'redact'].includes(row.step), 'a SID is the end of sending');
  if (['refused', 'expired', 'cancelled', 'unconfirmed'].includes(place)) {
    demand(row.step === null, 'an end is an end');
  }
  const twins = all.filter(
    ({ uuid, unresolved, textHash }) => uuid !== row.uuid && unresolved && textHash === row.textHash,
  );
  if (row.unresolved) demand(twins.length === 0, 'of identical texts one at a time is open');
  return flaws;
}

/** An attempt that ended so was not processed: the next one may begin (G3). */
export const PROVED: ReadonlySet<string> = new Set(['refused', 'not processed', 'absent']);

/** Lets time pass for everything that is recorded. */
export async function letPass(db: Db, ms: number): Promise<void> {
  await db.query({
    name: 'let-pass',
    text: `
      WITH moved AS (
        UPDATE attempt SET started = started - $1::bigint * interval '1 ms', deadline = deadline - $1::bigint * interval '1 ms'
      )
      UPDATE message SET due = due - $1::bigint * interval '1 ms', created = created - $1::bigint * interval '1 ms',
        valid_until = valid_until - $1::bigint * interval '1 ms'`,
    values: [ms],
  });
}

export async function forgetAll(db: Db): Promise<void> {
  await db.query({
    name: 'forget-all',
    text: `WITH a AS (DELETE FROM attempt), c AS (DELETE FROM callback), e AS (DELETE FROM event),
           d AS (DELETE FROM duplicate_handover), k AS (DELETE FROM idempotency_key) DELETE FROM message`,
  });
}
