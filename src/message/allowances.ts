import type { LimitsConfig } from '../config-limits.ts';
import { type Db, type Tx, utcNow } from '../db/db.ts';
import type { Tenant } from './message.ts';
import type { Order } from './orders.ts';
import { nameOf } from './permitted.ts';

/** How much of a tenant's day, and of a number's patience, is used up: counted from the messages themselves. */

/** What a tenant has sent in this UTC day, by the database's clock. */
export type Today = { readonly used: number; readonly untilMidnightS: number };

/** Longer than any transaction that records lives: no row with an older `created` can still turn up. */
const SETTLED_AFTER_S = 60;
const MOST_TENANTS = 10_000;

/**
 * Counts every message that was recorded today, deleted ones too, but `error`: those were not sent and never will be, and their
 * callers may ask again. What was counted up to a minute ago does not change, so it is remembered for each tenant, and a count
 * reads the rows of the last minute, and today's errors in an index.
 */
export function makeDailyCount(): (db: Db | Tx, tenant: Tenant) => Promise<Today> {
  const settled = new Map<string, { until: Date; count: number }>();
  return async (db, tenant) => {
    const known = settled.get(nameOf(tenant));
    const { rows } = await db.query<Today & { until: Date; count: number }>({
      text: `
        WITH day AS (
          SELECT today, greatest(today, ${utcNow} - ${SETTLED_AFTER_S} * interval '1 s') AS until,
                 CASE WHEN $3::timestamp >= today THEN $3::timestamp ELSE today END AS since,
                 CASE WHEN $3::timestamp >= today THEN $4::int ELSE 0 END AS before
          FROM date_trunc('day', ${utcNow}) AS today
        ), fresh AS (
          SELECT count(*)::int AS total, (count(*) FILTER (WHERE created < (SELECT until FROM day)))::int AS settled
          FROM message WHERE trustomer_code = $1 AND product_name = $2 AND created >= (SELECT since FROM day)
        ), unsent AS (
          SELECT count(*)::int AS total FROM message
          WHERE trustomer_code = $1 AND product_name = $2 AND status = 'error' AND deleted IS NULL
            AND created >= (SELECT today FROM day)
        )
        SELECT day.before + fresh.total - unsent.total AS used, day.until, day.before + fresh.settled AS count,
               ceil(extract(epoch FROM today + interval '1 day' - ${utcNow}))::int AS "untilMidnightS"
        FROM day, fresh, unsent`,
      values: [tenant.trustomerCode, tenant.productName, known?.until ?? null, known?.count ?? 0],
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
        WHERE receiver_e164 = $1 AND text_hash = $2 AND trustomer_code = $3 AND product_name = $4
          AND created > ${utcNow} - $5::int * interval '1 s'
          AND status <> 'error' AND NOT (status = 'canceled' AND twilio_sid IS NULL)
      )
      SELECT greatest(1, ceil(extract(epoch FROM created + $5::int * interval '1 s' - ${utcNow})))::int AS "waitS"
      FROM alike ORDER BY created DESC OFFSET $6::int - 1 LIMIT 1`,
    values: [request.to, textHash, tenant.trustomerCode, tenant.productName, windowS, most],
  });
  return rows[0]?.waitS ?? null;
}
