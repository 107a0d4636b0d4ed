type Query = (text: string, values?: unknown[]) => Promise<unknown>;

/**
 * A past for the console to show: so many messages over the last days, of a few trusts, most delivered, some not, as days and
 * hours go; a trust that is named twice has twice as many. The same each time, but for the date. Every number is one that is kept
 * for fiction.
 */
export async function seedPast(
  query: Query,
  { messages = 20_000, days = 30, trusts = ['ouh', 'ouh', 'ouh', 'tvh', 'tvh', 'rbh'] } = {},
): Promise<void> {
  // They have had their life: nobody is to take them up.
  await query('ALTER TABLE message DISABLE TRIGGER USER');
  await query(insert, [messages, days, trusts]);
  await query('ALTER TABLE message ENABLE TRIGGER USER');
  await query('ANALYZE message');
}

/** `a`, `b`, `c`: three draws from 0 to 1 for each message, that depend on its number alone. */
const insert = `
  WITH drawn AS (
    SELECT n,
           (hashtext('a' || n)::bigint + 2147483648) / 4294967296.0 AS a,
           (hashtext('b' || n)::bigint + 2147483648) / 4294967296.0 AS b,
           (hashtext('c' || n)::bigint + 2147483648) / 4294967296.0 AS c,
           (hashtext('d' || n)::bigint + 2147483648) / 4294967296.0 AS d
    FROM generate_series(1, $1::int) n
  ), placed AS (
    SELECT *, date_trunc('milliseconds', now() AT TIME ZONE 'utc') - interval '3 minutes'
                - $2::float8 * interval '1 day' * (1 - sqrt(a)) * 0.999 AS created
    FROM drawn
  ), weekdays AS (
    SELECT * FROM placed WHERE extract(isodow FROM created) < 6 OR c < 0.35
  ), fated AS (
    SELECT *, CASE WHEN b < 0.925 THEN 'delivered' WHEN b < 0.955 THEN 'undelivered' WHEN b < 0.961 THEN 'failed'
                   WHEN b < 0.972 THEN 'error' WHEN b < 0.997 THEN 'sent' WHEN b < 0.9985 THEN 'canceled' ELSE 'unconfirmed' END AS status
    FROM weekdays
  ), timed AS (
    SELECT *, created + (0.12 + c * 0.2) * interval '1 second' AS handed_over,
           created + (1.5 + 9 * d * d + CASE WHEN d > 0.97 THEN 60 * c ELSE 0 END) * interval '1 second' AS ended
    FROM fated
  )
  INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, receiver_e164, content, status, twilio_sid,
                       date_sent, trustomer_code, product_name, error_code, redacted, handed_over, ended, attempts)
  SELECT overlay(overlay(overlay(overlay(md5('m' || n) PLACING '-' FROM 9 FOR 0) PLACING '-' FROM 14 FOR 0) PLACING '-' FROM 19 FOR 0)
                 PLACING '-' FROM 24 FOR 0),
         created, 'unknown', ended, 'unknown', '+447700900001',
         '+447700900' || lpad((n % 900 + 50)::text, 3, '0'), '+447700900' || lpad((n % 900 + 50)::text, 3, '0'),
         'Your appointment is on ' || to_char(created + interval '3 days', 'FMDay') || ' at ' || (9 + n % 8) || ':00.',
         status,
         CASE WHEN status NOT IN ('error', 'unconfirmed') THEN 'SM' || md5('s' || n) END,
         CASE WHEN status NOT IN ('error', 'unconfirmed', 'canceled') THEN to_char(handed_over, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') END,
         ($3::varchar[])[n % cardinality($3::varchar[]) + 1], CASE WHEN n % 5 = 0 THEN 'send' ELSE 'gdm' END,
         CASE status WHEN 'undelivered' THEN (ARRAY['30003', '30003', '30003', '30005', '30006', '30007'])[(c * 6)::int % 6 + 1]
                     WHEN 'failed' THEN '30008'
                     WHEN 'error' THEN (ARRAY['21610', '21610', '21211', '21408', '21614'])[(c * 5)::int % 5 + 1] END,
         CASE WHEN status IN ('delivered', 'undelivered', 'failed', 'canceled') THEN ended + interval '0.3 seconds' END,
         CASE WHEN status NOT IN ('error', 'unconfirmed') THEN handed_over END,
         CASE WHEN status IN ('delivered', 'undelivered', 'failed', 'canceled') THEN ended END,
         1
  FROM timed ORDER BY created`;
