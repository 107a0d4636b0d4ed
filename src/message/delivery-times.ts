import type { Db } from '../db/db.ts';
import { isOfTenant, tenantsAsked } from './counts.ts';

/** Of how many messages, in seconds from when we knew that Twilio has one to when we knew that the phone has it. */
export type DeliveryTimes = { readonly count: number; readonly medianS: number; readonly p95S: number };

/** So many of the newest ones are looked at, however many there are: the answer must not take longer with every year. */
export const MOST_LOOKED_AT = 5_000;

/**
 * Of the messages that were recorded in a time and delivered, by UTC day and (day null) of all of them; null = every trust or
 * product. What the SQL of others handed over or ended has no such times and is left out; deleted ones are, too.
 *
 * The index message_by_status finds how far back the newest ones reach; only those are opened. A callback can outrun the answer
 * to its create: that is a delivery in no time.
 */
export async function measureDeliveryTimes(
  db: Db,
  filter: { start: string; end: string; trustomerCode: string | null; productName: string | null },
): Promise<(DeliveryTimes & { readonly day: string | null })[]> {
  const { rows } = await db.query<DeliveryTimes & { day: string | null }>({
    name: 'delivery-times',
    text: `
      WITH RECURSIVE period AS (
        SELECT $1::timestamptz AT TIME ZONE 'utc' AS first, $2::timestamptz AT TIME ZONE 'utc' AS last
      ), ${tenantsAsked}, kind AS MATERIALIZED (
        SELECT tenant.*, status FROM tenant, (VALUES ('delivered'), ('read')) arrived (status)
      ), edge AS MATERIALIZED (
        SELECT min(created) AS oldest FROM (
          SELECT newest.created FROM kind, period, LATERAL (${newestOf('created', 'period.first')}) newest
          ORDER BY created DESC LIMIT ${MOST_LOOKED_AT}
        ) looked_at
      ), looked_at AS (
        SELECT newest.* FROM kind, period, edge, LATERAL (${newestOf('created, handed_over, ended', 'edge.oldest')}) newest
        ORDER BY created DESC LIMIT ${MOST_LOOKED_AT}
      ), delivery AS (
        SELECT created::date AS day, extract(epoch FROM greatest(ended - handed_over, interval '0'))::float8 AS seconds
        FROM looked_at WHERE ended IS NOT NULL AND handed_over IS NOT NULL
      )
      SELECT to_char(day::timestamp, 'YYYY-MM-DD') AS day, count(*)::int AS count,
             percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS "medianS",
             percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS "p95S"
      FROM delivery GROUP BY GROUPING SETS ((), (day)) HAVING count(*) > 0 ORDER BY day NULLS FIRST`,
    values: [filter.start, filter.end, filter.trustomerCode, filter.productName],
  });
  return rows;
}

function newestOf(columns: string, first: string): string {
  return `
    SELECT ${columns} FROM message
    WHERE ${isOfTenant('kind')} AND message.status = kind.status AND created >= ${first} AND created <= period.last
    ORDER BY created DESC LIMIT ${MOST_LOOKED_AT}`;
}
