import { execute } from '../support/postgres.ts';

/** The database of the Python service, built from its description in CONTRACT.md. */

export const ORIGINAL_HEAD = 'df31da1209da';

/** Columns of the original's `message` table, by name: type and whether null is allowed. */
export const originalColumns: Readonly<Record<string, string>> = {
  content: 'character varying NOT NULL',
  created: 'timestamp without time zone NOT NULL',
  created_by_: 'character varying NOT NULL',
  date_sent: 'character varying',
  deleted: 'timestamp without time zone',
  error_code: 'character varying',
  error_message: 'character varying',
  modified: 'timestamp without time zone NOT NULL',
  modified_by_: 'character varying NOT NULL',
  product_name: 'character varying NOT NULL',
  receiver: 'character varying NOT NULL',
  redacted: 'timestamp without time zone',
  sender: 'character varying NOT NULL',
  status: 'character varying',
  trustomer_code: 'character varying NOT NULL',
  twilio_sid: 'character varying NOT NULL',
  uuid: 'character varying(36) NOT NULL',
};

export const originalIndexes = ['created', 'product_name', 'receiver', 'redacted', 'status', 'trustomer_code'];

/** The session's zone and date style are odd on purpose: nothing may depend on them. */
export async function buildOriginal(url: string, heads: readonly string[] = [ORIGINAL_HEAD]): Promise<void> {
  const database = new URL(url).pathname.slice(1);
  const columns = Object.entries(originalColumns).map(([name, type]) => `${name} ${type}`);
  await execute(
    url,
    `
    ALTER DATABASE ${database} SET timezone = 'Pacific/Auckland';
    ALTER DATABASE ${database} SET datestyle = 'SQL, DMY';
    CREATE TABLE alembic_version (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY);
    CREATE TABLE message (${columns.join(', ')}, PRIMARY KEY (uuid));
    ${originalIndexes.map((column) => `CREATE INDEX ix_message_${column} ON message (${column});`).join('\n')}
    ${heads.map((head) => `INSERT INTO alembic_version VALUES ('${head}');`).join('\n')}
  `,
  );
}

/**
 * 10,000 messages, half an hour apart and back from now, in every state the Python service left them in. Of ten rows the
 * tenth has the SID of the ninth. The newest 335 are younger than 7 days.
 */
export async function fillOriginal(url: string): Promise<void> {
  await execute(
    url,
    `
    INSERT INTO message
      (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, twilio_sid, date_sent,
       trustomer_code, product_name, error_code, error_message, deleted, redacted)
    SELECT
      md5('uuid' || n)::uuid::text, created, 'unknown', created + interval '1.234567 s', 'unknown',
      CASE n % 4 WHEN 0 THEN 'NHS Größe' ELSE '+447700900001' END,
      (ARRAY['+447700900', '07700 900', '0044 (0)7700-900'])[1 + n % 3] || lpad((n % 1000)::text, 3, '0'),
      (ARRAY['It''s "due"', E'two\\nlines\\ttab', 'Ünïcödé 👩🏽‍⚕️ 你好', E'back\\\\slash $1 %s', ''])[1 + n % 5] || n,
      (ARRAY['delivered', 'sent', NULL, 'queued', 'undelivered', 'failed', 'sending', 'accepted', 'error'])[1 + n % 9],
      'SM' || md5('sid' || CASE WHEN n % 10 = 0 THEN n - 1 ELSE n END),
      CASE WHEN n % 3 > 0 THEN to_char(created, 'YYYY-MM-DD HH24:MI:SS') || '+00:00' END,
      (ARRAY['ouh', 'rbh'])[1 + n % 2], (ARRAY['gdm', 'send'])[1 + n % 7 / 4],
      CASE WHEN n % 9 IN (4, 5) THEN '30005' END, CASE WHEN n % 9 IN (4, 5) THEN 'Unknown destination handset' END,
      CASE WHEN n % 11 = 0 THEN created + interval '1 hour' END,
      CASE WHEN n % 9 IN (0, 4) AND n % 2 = 0 THEN created + interval '2 hours' END
    FROM (
      SELECT n, (now() AT TIME ZONE 'utc') - n * interval '30 minutes' AS created FROM generate_series(1, 10000) n
    ) AS numbered`,
  );
}

/** Every row as one text: the original's columns, byte for byte, and where and by whom the row was last written. */
export async function readOriginalRows(url: string): Promise<Map<string, string>> {
  const names = Object.keys(originalColumns);
  const { rows } = await execute(
    url,
    `SELECT uuid, jsonb_build_array(${names.map((name) => `${name}::text`).join(', ')})::text
        || ' xmin ' || xmin || ' ctid ' || ctid AS whole
     FROM message`,
  );
  return new Map(rows.map((row) => [row.uuid, row.whole]));
}

/** Columns of `message` with their types, as in `originalColumns`, and a default when there is one. */
export async function readColumns(url: string): Promise<Record<string, string>> {
  const { rows } = await execute(
    url,
    `SELECT column_name AS name, data_type || coalesce('(' || character_maximum_length || ')', '')
        || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END
        || coalesce(' DEFAULT ' || column_default, '') AS type
     FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'message' ORDER BY column_name`,
  );
  return Object.fromEntries(rows.map((row) => [row.name, row.type]));
}

/** Definitions of the indexes of `message`. */
export async function readIndexes(url: string): Promise<string[]> {
  const { rows } = await execute(
    url,
    `SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'message' ORDER BY indexdef`,
  );
  return rows.map((row) => row.indexdef);
}

/** Everything that a migration could make or change: tables with their settings, columns, indexes. */
export async function readSchema(url: string): Promise<string[]> {
  const { rows } = await execute(
    url,
    `SELECT format('%s.%s %s %s %s', table_schema, table_name, column_name, data_type, is_nullable) AS line
     FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
     UNION ALL
     SELECT indexdef FROM pg_indexes WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
     UNION ALL
     SELECT format('%s %s', oid::regclass, reloptions) FROM pg_class
     WHERE reloptions IS NOT NULL AND relnamespace = 'public'::regnamespace
     ORDER BY line`,
  );
  return rows.map((row) => row.line);
}
