import type { Db, Statement } from '../db/db.ts';
import type { Stream } from '../db/streams.ts';
import { emptiedNumber } from './emptyings.ts';
import type { KeyedHash } from './keyed-hash.ts';
import type { Message, Tenant } from './message.ts';
import { columns } from './messages.ts';
import { toE164 } from './phone-number.ts';

/** Which of a tenant's messages, as a caller asks for them; null = whatever it is. */
type Filters = {
  readonly status: string | null;
  readonly errorCode: string | null;
  /** RFC 3339, with a zone, both themselves included. */
  readonly createdAfter: string | null;
  readonly createdBefore: string | null;
  /** The receiver's text as stored, or what stands in its place once it is emptied: `receiversAs`. */
  readonly receivers: readonly string[] | null;
  /** All that stand for one number, however it was spelled: `receiversAlike`. */
  readonly receiversAlike: readonly string[] | null;
  readonly twilioSid: string | null;
};

/** The place of a message in the list, to the microsecond, in PostgreSQL's own words: a Date would round it. */
export type Position = { readonly created: string; readonly uuid: string };

export type List = Filters & {
  readonly tenant: Tenant;
  /** Only what comes after this place. */
  readonly after: Position | null;
};

export type Listed = Message & { readonly place: string };

/** The first `limit` messages of a list, newest first. */
export async function listMessages(db: Db, list: List, limit: number): Promise<Listed[]> {
  const { rows } = await db.query<Listed>(select(`${columns}, created::text AS place`, list, { limit }));
  return rows;
}

/** All of a list, or its first `limit`, in batches. */
export function streamMessages(
  stream: Stream,
  list: List,
  limit: number | null,
): AsyncGenerator<Message[], void, void> {
  return stream.batches<Message>(select(columns, list, { limit }));
}

/** The place of a list's message number `limit`, if there is one and there are more after it. */
export async function findPlace(stream: Stream, list: List, limit: number): Promise<Position | null> {
  const [last, next] = await stream.query<{ created: string; uuid: string }>(
    select('created::text AS created, uuid', list, { limit: 2, offset: limit - 1 }),
  );
  return last !== undefined && next !== undefined ? last : null;
}

/**
 * Never with a name: the best plan depends on how many rows a filter lets through, so PostgreSQL makes one each time.
 * Indexes: message_by_tenant has the order, and serves tenant, range and place; ix_message_receiver and message_by_number
 * a number, message_twilio_sid a SID, message_by_status and message_by_error rare words of status and error codes.
 */
function select(what: string, list: List, { limit, offset }: { limit: number | null; offset?: number }): Statement {
  const values: unknown[] = [];
  const conditions = ['deleted IS NULL'];
  const value = (given: unknown) => `$${values.push(given)}`;
  const where = (given: unknown, condition: (parameter: string) => string) => {
    if (given !== null) conditions.push(condition(value(given)));
  };
  where(list.tenant.trustomerCode, (p) => `trustomer_code = ${p}`);
  where(list.tenant.productName, (p) => `product_name = ${p}`);
  where(list.status, (p) => `status = ${p}`);
  where(list.errorCode, (p) => `error_code = ${p}`);
  where(list.createdAfter, (p) => `created >= ${p}::timestamptz AT TIME ZONE 'utc'`);
  where(list.createdBefore, (p) => `created <= ${p}::timestamptz AT TIME ZONE 'utc'`);
  where(list.receivers, (p) => `receiver = ANY(${p}::varchar[])`);
  if (list.receiversAlike !== null) conditions.push(isNumber(list.receiversAlike, value));
  where(list.twilioSid, (p) => `twilio_sid = ${p}`);
  if (list.after !== null) {
    const created = `${value(list.after.created)}::timestamp`;
    // Said this way round the first half is found in the index; uuid decides between rows of one microsecond.
    conditions.push(`created <= ${created} AND (created < ${created} OR uuid > ${value(list.after.uuid)})`);
  }
  const text = `
    SELECT ${what} FROM message
    WHERE ${conditions.join(' AND ')}
    ORDER BY created DESC, uuid
    LIMIT ${value(limit)}${offset === undefined ? '' : ` OFFSET ${value(offset)}`}`;
  return { text, values };
}

/** `receivers`: all that can stand for one number. message_by_number has the last four characters in front, so they are said. */
export function isNumber(receivers: readonly string[], value: (given: unknown) => string): string {
  const whole = `${value(receivers)}::varchar[]`;
  const ends = `${value(receivers.map((receiver) => receiver.slice(-4)))}::text[]`;
  return `(receiver = ANY(${whole}) OR (right(receiver_e164, 4) = ANY(${ends}) AND receiver_e164 = ANY(${whole})))`;
}

/** What `receiver` of a message holds that was sent to exactly this text: the text, or once it is emptied its hash. */
export function receiversAs(spelling: string, countryCode: string, hash: KeyedHash): string[] {
  const number = toE164(spelling, countryCode, 'parsed');
  return [spelling, emptiedNumber({ receiver: spelling, receiver_e164: number }, hash, countryCode)];
}

/** What `receiver` or `receiver_e164` of a message to this number can hold, however it was spelled. Null: it is no number. */
export function receiversAlike(spelling: string, countryCode: string, hash: KeyedHash): string[] | null {
  const number = toE164(spelling, countryCode, 'parsed');
  if (number === null) return null;
  const emptied = emptiedNumber({ receiver: spelling, receiver_e164: number }, hash, countryCode);
  return [...new Set([spelling, number, emptied])];
}
