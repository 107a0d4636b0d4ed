import type { LimitsConfig } from '../config-limits.ts';
import { type Db, type Tx, utcNow } from '../db/db.ts';
import type { Tenant } from './message.ts';
import type { Order } from './orders.ts';
import { nameOf } from './permitted.ts';

/** How much of a tenant's day, and of a number's patience, is used up: counted from the messages themselves. */

/** What a tenant has sent in this UTC day, by the database's clock. */
export type Today = { readonly used: number; readonly untilMidnightS: number };

/** Below `close` the answer may be too high, never too low: `error` is taken off only where it matters. */
export type CountToday = (db: Db | Tx, tenant: Tenant, close: number) => Promise<Today>;

/** Longer than any transaction that records lives: no row with an older `created` can still turn up. */
const SETTLED_AFTER_S = 60;
const MOST_TENANTS = 10_000;

// Written out wherever they are compared, not selected once: PostgreSQL then knows how few rows they leave.
const today = `date_trunc('day', ${utcNow})`;
const until = `greatest(${today}, ${utcNow} - ${SETTLED_AFTER_S} * interval '1 s')`;

/**
 * Counts every message that was recorded today, deleted ones too, but `error`: those were not sent and never will be, and their
 * callers may ask again. What was counted up to a minute ago does not change, so it is remembered for each tenant, and a count
 * reads the rows of the last minute, and close to the cap today's errors, in indexes.
 */
export function makeDailyCount(): CountToday {
  const settled = new Map<string, { until: Date; count: number }>();
  return async (db, tenant, close) => {
    const known = settled.get(nameOf(tenant));
    const { rows } = await db.query<Today & { until: Date; count: number }>({
      text: `
        WITH fresh AS (
          SELECT count(*)::int AS total, (count(*) FILTER (WHERE created < ${until}))::int AS settled
          FROM message WHERE trustomer_code = $1 AND product_name = $2 AND created >= greatest(${today}, $3::timestamp)
        ), before AS (
          SELECT CASE WHEN $3::timestamp >= ${today} THEN $4::int ELSE 0 END AS total
        )
        SELECT before.total + fresh.total - CASE WHEN before.total + fresh.total < $5::int THEN 0 ELSE (
                 SELECT count(*)::int FROM message
                 WHERE trustomer_code = $1 AND product_name = $2 AND status = 'error' AND deleted IS NULL
                   AND created >= ${today}) END AS used,
               ${until} AS until, before.total + fresh.settled AS count,
               ceil(extract(epoch FROM ${today} + interval '1 day' - ${utcNow}))::int AS "untilMidnightS"
        FROM before, fresh`,
      values: [tenant.trustomerCode, tenant.productName, known?.until ?? null, known?.count ?? 0, close],
    });
    const [counted] = rows;
    if (counted === undefined) throw new Error('a count gave no row');
    if (settled.size >= MOST_TENANTS) settled.clear();
    settled.set(nameOf(tenant), { until: counted.until, count: counted.count });
    return { used: counted.used, untilMidnightS: counted.untilMidnightS };
  };
}

/** Until the transaction ends, no other one records a message of this tenant that asks here first. */
export async function lockTenant(tx: Tx, tenant: Tenant): Promise<void> {
  await tx.query({ text: 'SELECT pg_advisory_xact_lock(hashtextextended($1, 1))', values: [nameOf(tenant)] });
}

/**
 * In how many seconds this text may go to this number again; null: now. Counted are the tenant's identical texts from the same
 * sender, but what was never sent: `error`, and what was cancelled in time. Who asks holds the lock of the text (`lockText`).
 * message_by_number finds the rows of one number, which are few; an index of its own would cost every write.
 */
export async function recipientWaitS(
  tx: Tx,
  { tenant, request, textHash }: Order,
  { most, windowS }: NonNullable<LimitsConfig['recipient']>,
): Promise<number | null> {
  const { rows } = await tx.query<{ waitS: number }>({
    text: `
      WITH alike AS MATERIALIZED (
        SELECT created FROM message
        WHERE right(receiver_e164, 4) = right($1, 4) AND receiver_e164 = $1 AND text_hash = $2 AND trustomer_code = $3 AND product_name = $4
          AND created > ${utcNow} - $5::int * interval '1 s'
          AND status <> 'error' AND NOT (status = 'canceled' AND twilio_sid IS NULL)
      )
      SELECT greatest(1, ceil(extract(epoch FROM created + $5::int * interval '1 s' - ${utcNow})))::int AS "waitS"
      FROM alike ORDER BY created DESC OFFSET $6::int - 1 LIMIT 1`,
    values: [request.to, textHash, tenant.trustomerCode, tenant.productName, windowS, most],
  });
  return rows[0]?.waitS ?? null;
}
