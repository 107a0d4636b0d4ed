import type { Db } from '../db/db.ts';

/**
 * Counts by UTC day and status, both ends included, without deleted messages; null = every trust or product.
 *
 * Every row is counted, none is read: they are counted in the index message_by_status, where those of one kind (tenant and
 * status) stand in the order of their times. The kinds are found by leaps from one to the next. Where a kind has many rows
 * a day, counting from midnight to midnight is twice as fast as sorting each row into its day; where it has few, looking
 * each day up costs more than the rows.
 */
export async function countByDayAndStatus(
  db: Db,
  filter: { start: string; end: string; trustomerCode: string | null; productName: string | null },
): Promise<{ day: string; status: string; count: number }[]> {
  const { rows } = await db.query<{ day: string; status: string; count: string }>({
    name: 'count-by-day',
    text: `
      WITH RECURSIVE period AS (
        SELECT *, first::date AS first_day, last::date - first::date + 1 AS days, first + (last - first) / 2 AS middle
        FROM (SELECT $1::timestamptz AT TIME ZONE 'utc' AS first, $2::timestamptz AT TIME ZONE 'utc' AS last) asked
      ), ${tenantsAsked}, kind AS (
        SELECT tenant.*, of_tenant.status FROM tenant, LATERAL (${statusAfter('tenant', 'status IS NOT NULL')}) of_tenant
        UNION ALL
        SELECT trustomer_code, product_name, following.status
        FROM kind, LATERAL (${statusAfter('kind', 'status > kind.status')}) following
      ), counted AS (
        ${countOf('kind', 'kind.status', 'message.status = kind.status')}
        UNION ALL
        ${countOf('tenant', 'NULL', 'message.status IS NULL')}
      )
      SELECT to_char(day::timestamp, 'YYYY-MM-DD') AS day, coalesce(status, 'null') AS status, sum(count) AS count
      FROM counted GROUP BY day, coalesce(status, 'null') HAVING sum(count) > 0 ORDER BY day, coalesce(status, 'null')`,
    values: [filter.start, filter.end, filter.trustomerCode, filter.productName],
  });
  return rows.map((row) => ({ ...row, count: Number(row.count) }));
}

/** The tenants that have messages, as $3 (trust) and $4 (product) narrow them, by leaps from one to the next: CTEs of a WITH RECURSIVE. */
export const tenantsAsked = `
  trust AS (
    (${trustAfter('$3::varchar IS NULL OR trustomer_code = $3')})
    UNION ALL
    SELECT following.* FROM trust, LATERAL (${trustAfter('trustomer_code > trust.trustomer_code')}) following
    WHERE $3::varchar IS NULL
  ), tenant AS (
    SELECT trust.*, of_trust.product_name
    FROM trust, LATERAL (${productAfter('trust', '$4::varchar IS NULL OR product_name = $4')}) of_trust
    UNION ALL
    SELECT tenant.trustomer_code, following.product_name
    FROM tenant, LATERAL (${productAfter('tenant', 'product_name > tenant.product_name')}) following
    WHERE $4::varchar IS NULL
  )`;

/**
 * More rows than this in the middle day, and looking each day up is repaid, as long as there are no more days than that.
 * Either way counts the same; measured in docs/decisions/0012-counts-from-an-index.md.
 */
const MANY_ROWS_A_DAY = 100;
const MANY_DAYS = 1000;

function trustAfter(condition: string): string {
  return `
    SELECT trustomer_code FROM message WHERE deleted IS NULL AND (${condition}) ORDER BY trustomer_code LIMIT 1`;
}

function productAfter(trust: string, condition: string): string {
  return `
    SELECT product_name FROM message
    WHERE message.trustomer_code = ${trust}.trustomer_code AND deleted IS NULL AND (${condition})
    ORDER BY product_name LIMIT 1`;
}

function statusAfter(kind: string, condition: string): string {
  return `SELECT status FROM message WHERE ${isOfTenant(kind)} AND ${condition} ORDER BY status LIMIT 1`;
}

/** Rows of day, status and count for each row of `kind`. */
function countOf(kind: string, status: string, isOfStatus: string): string {
  const isOfKind = `${isOfTenant(kind)} AND ${isOfStatus}`;
  const isAsked = `${isOfKind} AND created >= period.first AND created <= period.last`;
  return `
    SELECT count.day, ${status} AS status, count.count
    FROM ${kind} CROSS JOIN period
    CROSS JOIN LATERAL (
      SELECT period.days <= ${MANY_DAYS} AND EXISTS (
        SELECT FROM message
        WHERE ${isAsked} AND created BETWEEN period.middle - interval '12 hours' AND period.middle + interval '12 hours'
        OFFSET ${MANY_ROWS_A_DAY}
      ) AS are_many OFFSET 0
    ) rows
    CROSS JOIN LATERAL (
      SELECT first_day + n AS day, (
          SELECT count(*) FROM message
          WHERE ${isOfKind} AND created >= greatest((first_day + n)::timestamp, period.first)
            AND created <= least((first_day + n + 1)::timestamp - interval '1 microsecond', period.last)
        ) AS count
      FROM generate_series(0, days - 1) n
      WHERE rows.are_many
      UNION ALL
      SELECT created::date AS day, count(*) AS count FROM message WHERE ${isAsked} AND NOT rows.are_many GROUP BY 1
    ) count`;
}

export function isOfTenant(kind: string): string {
  return `message.trustomer_code = ${kind}.trustomer_code AND message.product_name = ${kind}.product_name
    AND deleted IS NULL`;
}
