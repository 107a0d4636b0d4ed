import type { Db } from '../db/db.ts';

/** Counts by UTC day and status, both ends included, without deleted messages; null = every trust or product. */
export async function countByDayAndStatus(
  db: Db,
  filter: { start: string; end: string; trustomerCode: string | null; productName: string | null },
): Promise<{ day: string; status: string; count: number }[]> {
  const { rows } = await db.query<{ day: string; status: string; count: string }>({
    text: `
      SELECT to_char(created, 'YYYY-MM-DD') AS day, coalesce(status, 'null') AS status, count(*) AS count
      FROM message
      WHERE created >= $1::timestamptz AT TIME ZONE 'utc' AND created <= $2::timestamptz AT TIME ZONE 'utc'
        AND deleted IS NULL
        AND ($3::varchar IS NULL OR trustomer_code = $3) AND ($4::varchar IS NULL OR product_name = $4)
      GROUP BY 1, 2 ORDER BY 1, 2`,
    values: [filter.start, filter.end, filter.trustomerCode, filter.productName],
  });
  return rows.map((row) => ({ ...row, count: Number(row.count) }));
}
