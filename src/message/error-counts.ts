import type { Db } from '../db/db.ts';

/** Of one tenant on one UTC day, with one code. */
export type ErrorCount = {
  readonly trustomerCode: string;
  readonly productName: string;
  readonly day: string;
  readonly code: string;
  readonly count: number;
};

export type ErrorCountFilter = {
  /** RFC 3339, with a zone, both themselves included. */
  readonly start: string;
  readonly end: string;
  /** Null = every one. */
  readonly trustomerCode: string | null;
  readonly productName: string | null;
  readonly errorCode: string | null;
};

/** Old clients may give a word of their own in the place of a code: it is counted, and not repeated. */
const CODE_OR_OTHER = "CASE WHEN error_code ~ '^[0-9]{1,6}$' THEN error_code ELSE 'other' END";

/**
 * What went wrong, deleted messages left out. Tenants and their codes are found in the index message_by_error by leaps from one to
 * the next; read are the rows that have a code and no others.
 */
export async function countErrors(db: Db, filter: ErrorCountFilter): Promise<ErrorCount[]> {
  const { rows } = await db.query<Omit<ErrorCount, 'count'> & { count: string }>({
    name: 'count-errors',
    text: `
      WITH RECURSIVE period AS (
        SELECT $1::timestamptz AT TIME ZONE 'utc' AS first, $2::timestamptz AT TIME ZONE 'utc' AS last
      ), trust AS (
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
      ), kind AS (
        SELECT tenant.*, of_tenant.error_code
        FROM tenant, LATERAL (${codeAfter('tenant', '$5::varchar IS NULL OR error_code = $5')}) of_tenant
        UNION ALL
        SELECT trustomer_code, product_name, following.error_code
        FROM kind, LATERAL (${codeAfter('kind', 'error_code > kind.error_code')}) following
        WHERE $5::varchar IS NULL
      ), counted AS (
        SELECT kind.*, count.day, count.count
        FROM kind CROSS JOIN period CROSS JOIN LATERAL (
          SELECT created::date AS day, count(*) AS count FROM message
          WHERE ${isOfTenant('kind')} AND message.error_code = kind.error_code AND deleted IS NULL
            AND created >= period.first AND created <= period.last
          GROUP BY 1
        ) count
      )
      SELECT trustomer_code AS "trustomerCode", product_name AS "productName", to_char(day, 'YYYY-MM-DD') AS day,
        ${CODE_OR_OTHER} AS code, sum(count) AS count
      FROM counted GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`,
    values: [filter.start, filter.end, filter.trustomerCode, filter.productName, filter.errorCode],
  });
  return rows.map((row) => ({ ...row, count: Number(row.count) }));
}

const hasCode = 'error_code IS NOT NULL';

function trustAfter(condition: string): string {
  return `SELECT trustomer_code FROM message WHERE ${hasCode} AND (${condition}) ORDER BY trustomer_code LIMIT 1`;
}

function productAfter(trust: string, condition: string): string {
  return `
    SELECT product_name FROM message
    WHERE message.trustomer_code = ${trust}.trustomer_code AND ${hasCode} AND (${condition}) ORDER BY product_name LIMIT 1`;
}

function codeAfter(kind: string, condition: string): string {
  return `SELECT error_code FROM message WHERE ${isOfTenant(kind)} AND ${hasCode} AND (${condition}) ORDER BY error_code LIMIT 1`;
}

function isOfTenant(kind: string): string {
  return `message.trustomer_code = ${kind}.trustomer_code AND message.product_name = ${kind}.product_name`;
}
