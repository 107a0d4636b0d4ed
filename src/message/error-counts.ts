import type { Db } from '../db/db.ts';

export type ErrorCountFilter = {
  /** RFC 3339, with a zone, both themselves included. */
  readonly start: string;
  readonly end: string;
  /** Null = every one. */
  readonly trustomerCode: string | null;
  readonly productName: string | null;
  readonly errorCode: string | null;
};

export type ErrorCounts = {
  /** By UTC day and code, in the order of both. */
  readonly days: readonly { readonly day: string; readonly code: string; readonly count: number }[];
  /** Whom they hit, the most first. */
  readonly tenants: readonly { readonly trustomerCode: string; readonly productName: string; readonly count: number }[];
};

type Row = { day: string | null; code: string; trustomerCode: string; productName: string; count: number };

/**
 * What went wrong, deleted messages left out. Rows that have a code are few and are found in the index message_by_error, which holds no
 * others: to read all of it is faster than to leap from tenant to tenant and from code to code. The statement has no name, so that it is
 * planned for what was asked: a plan for every filter alike reads the whole table.
 */
export async function countErrors(db: Db, filter: ErrorCountFilter): Promise<ErrorCounts> {
  const values: string[] = [filter.start, filter.end];
  const only = (column: string, value: string | null) =>
    value === null ? '' : ` AND ${column} = $${values.push(value)}`;
  const asked =
    only('trustomer_code', filter.trustomerCode) +
    only('product_name', filter.productName) +
    only('error_code', filter.errorCode);
  const { rows } = await db.query<Row>({
    text: `
      SELECT to_char(day, 'YYYY-MM-DD') AS day, code, trustomer_code AS "trustomerCode", product_name AS "productName", count
      FROM (
        SELECT created::date AS day, error_code AS code, trustomer_code, product_name, count(*)::int AS count
        FROM message
        WHERE error_code IS NOT NULL AND deleted IS NULL
          AND created >= $1::timestamptz AT TIME ZONE 'utc' AND created <= $2::timestamptz AT TIME ZONE 'utc'${asked}
        GROUP BY GROUPING SETS ((day, code), (trustomer_code, product_name))
      ) counted ORDER BY day, code, count DESC, trustomer_code, product_name`,
    values,
  });
  return {
    days: rows.flatMap(({ day, code, count }) => (day === null ? [] : [{ day, code: codeOrOther(code), count }])),
    tenants: rows.flatMap(({ day, trustomerCode, productName, count }) =>
      day === null ? [{ trustomerCode, productName, count }] : [],
    ),
  };
}

/** Old clients may give a word of their own in the place of a code: it is counted, and not repeated. */
function codeOrOther(code: string): string {
  return /^\d{1,6}$/.test(code) ? code : 'other';
}
