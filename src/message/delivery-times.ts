import type { Db } from '../db/db.ts';
import { isOfTenant, tenantsAsked } from './counts.ts';

/** Of how many messages, in seconds from when we knew that Twilio has one to when we knew that the phone has it. */
export type DeliveryTimes = { readonly count: number; readonly medianS: number; readonly p95S: number };

/** So many of the newest ones of each day are looked at, however many there are: the answer must not take longer with every year. */
export const MOST_A_DAY = 200;
/** Of a longer time, the newest days that have messages. */
export const MOST_DAYS = 92;
/** Of everybody's messages of a day, so many of the newest are read to find those that were delivered. */
export const MOST_READ_A_DAY = 1_000;

type Filter = { start: string; end: string; trustomerCode: string | null; productName: string | null };

/**
 * Of the messages that were recorded in a time and delivered, by UTC day and (day null) of all of them; null = every trust or
 * product. What the SQL of others handed over or ended has no such times and is left out; deleted ones are, too. A callback can outrun
 * the answer to its create: that is a delivery in no time.
 */
export async function measureDeliveryTimes(
  db: Db,
  { start, end, trustomerCode, productName }: Filter,
): Promise<(DeliveryTimes & { readonly day: string | null })[]> {
  const isOfAll = trustomerCode === null && productName === null;
  const { rows } = await db.query<DeliveryTimes & { day: string | null }>({
    name: isOfAll ? 'delivery-times' : 'delivery-times-of-tenants',
    text: `
      WITH RECURSIVE period AS (
        SELECT $1::timestamptz AT TIME ZONE 'utc' AS first, $2::timestamptz AT TIME ZONE 'utc' AS last
      ), ${isOfAll ? ofEverybody : ofTenants}, delivery AS (
        SELECT day, extract(epoch FROM greatest(ended - handed_over, interval '0'))::float8 AS seconds
        FROM looked_at WHERE ended IS NOT NULL AND handed_over IS NOT NULL
      )
      SELECT to_char(day::timestamp, 'YYYY-MM-DD') AS day, count(*)::int AS count,
             percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS "medianS",
             percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS "p95S"
      FROM delivery GROUP BY GROUPING SETS ((), (day)) HAVING count(*) > 0 ORDER BY day NULLS FIRST`,
    values: isOfAll ? [start, end] : [start, end, trustomerCode, productName],
  });
  return rows;
}

/** The newest `MOST_DAYS` days, by leaps from the newest message of one to the newest before it, which `newestUntil` finds. */
function daysBy(newestUntil: (condition: string) => string): string {
  return `
    day AS (
      SELECT 1 AS n, (${newestUntil('created <= period.last')})::date AS day FROM period
      UNION ALL
      SELECT n + 1, (${newestUntil('created < day.day')})::date FROM day, period WHERE day.day IS NOT NULL AND n < ${MOST_DAYS}
    )`;
}

const isOfDay = `created >= greatest(day.day::timestamp, period.first) AND created < day.day::timestamp + interval '1 day'
  AND created <= period.last`;

/** Everybody's: from the newest message of each day on, in the order of their times. */
const ofEverybody = `
  ${daysBy((condition) => `SELECT created FROM message WHERE created >= period.first AND ${condition} ORDER BY created DESC LIMIT 1`)},
  looked_at AS (
    SELECT day.day, newest.* FROM day, period, LATERAL (
      SELECT handed_over, ended FROM (
        SELECT created, status, deleted, handed_over, ended FROM message WHERE ${isOfDay}
        ORDER BY created DESC LIMIT ${MOST_READ_A_DAY}
      ) read
      WHERE status IN ('delivered', 'read') AND deleted IS NULL ORDER BY created DESC LIMIT ${MOST_A_DAY}
    ) newest
  )`;

/** Of some tenants: the index message_by_status finds how far back the newest ones of a day reach; only those are opened. */
const ofTenants = `
  ${tenantsAsked}, kind AS MATERIALIZED (
    SELECT tenant.*, status FROM tenant, (VALUES ('delivered'), ('read')) arrived (status)
  ), ${daysBy(
    (condition) => `SELECT max(newest.created) FROM kind, LATERAL (
      SELECT created FROM message WHERE ${isOfKind()} AND created >= period.first AND ${condition} ORDER BY created DESC LIMIT 1
    ) newest`,
  )}, edge AS MATERIALIZED (
    SELECT day.day, period.last, oldest.created AS first FROM day, period, LATERAL (
      SELECT min(created) AS created FROM (
        SELECT newest.created FROM kind, LATERAL (${newestOf('created', isOfDay)}) newest
        ORDER BY created DESC LIMIT ${MOST_A_DAY}
      ) newest
    ) oldest
  ), looked_at AS (
    SELECT period.day, newest.* FROM edge period, LATERAL (
      SELECT handed_over, ended FROM (
        SELECT newest.* FROM kind, LATERAL (
          ${newestOf('created, handed_over, ended', "created >= period.first AND created < period.day::timestamp + interval '1 day' AND created <= period.last")}
        ) newest
      ) newest ORDER BY created DESC LIMIT ${MOST_A_DAY}
    ) newest
  )`;

function newestOf(columns: string, isAsked: string): string {
  return `SELECT ${columns} FROM message WHERE ${isOfKind()} AND ${isAsked} ORDER BY created DESC LIMIT ${MOST_A_DAY}`;
}

function isOfKind(): string {
  return `${isOfTenant('kind')} AND message.status = kind.status`;
}
