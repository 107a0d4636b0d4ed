import { randomBytes } from 'node:crypto';
import { type Kysely, sql } from 'kysely';
import { CannotStart } from '../../errors.ts';

const ORIGINAL_HEAD = 'df31da1209da';

/**
 * The `message` table of the Python service. On its database (Alembic head df31da1209da) the table is adopted as it
 * stands, no row is read or rewritten; on an empty database it is created alike.
 * `installation` remembers which of the two happened: rows older than 7 days at a take-over are history, neither polled
 * nor redacted, or the first start would call Twilio for years of messages.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const isTakenOver = await recogniseOriginal(db);
  if (!isTakenOver) await createOriginalTable(db);
  await sql`
    CREATE TABLE installation (
      only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
      origin         varchar NOT NULL CHECK (origin IN ('created', 'taken over')),
      installed      timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
      history_before timestamp NOT NULL,
      hash_key       varchar NOT NULL
    )`.execute(db);
  await sql`
    INSERT INTO installation (origin, history_before, hash_key)
    VALUES (
      ${isTakenOver ? 'taken over' : 'created'},
      CASE WHEN ${isTakenOver}::boolean THEN (now() AT TIME ZONE 'utc') - interval '7 days' ELSE '-infinity' END,
      ${randomBytes(32).toString('base64')}
    )`.execute(db);
}

/** Leaves an adopted table alone; drops one that we created, when told that its rows may go. */
export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`LOCK TABLE message`.execute(db);
  const { rows } = await sql<{ origin: string; messages: string; may: string }>`
    SELECT origin, (SELECT count(*) FROM message) AS messages, current_setting('polaris.lose_data', true) AS may
    FROM installation`.execute(db);
  const [state] = rows;
  if (state?.origin === 'created') {
    if (state.may !== 'yes' && state.messages !== '0') {
      throw new CannotStart(
        `Migrating down would lose ${state.messages} messages. To do it all the same: make migrate-down lose=yes`,
      );
    }
    await sql`DROP TABLE message`.execute(db);
  }
  await sql`DROP TABLE installation`.execute(db);
}

async function recogniseOriginal(db: Kysely<unknown>): Promise<boolean> {
  const { rows: tables } = await sql<{ alembic: boolean; message: boolean }>`
    SELECT to_regclass('alembic_version') IS NOT NULL AS alembic, to_regclass('message') IS NOT NULL AS message
  `.execute(db);
  const [found] = tables;
  if (!found?.message) return false;
  const heads = found.alembic
    ? (await sql<{ version_num: string }>`SELECT version_num FROM alembic_version ORDER BY 1`.execute(db)).rows
    : [];
  if (heads.length === 1 && heads[0]?.version_num === ORIGINAL_HEAD) return true;
  if (heads.length === 0) {
    throw new CannotStart(
      'This database holds a message table without a schema version of the Python service (alembic_version): set ' +
        `DATABASE_NAME to an empty database, or to one of the Python service at version ${ORIGINAL_HEAD}.`,
    );
  }
  throw new CannotStart(
    `This database is the Python service's at schema version ${heads.map((head) => head.version_num).join(' and ')}, ` +
      `but only version ${ORIGINAL_HEAD} can be taken over: upgrade it with the newest Python service (flask db upgrade) first.`,
  );
}

async function createOriginalTable(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE message (
      uuid           varchar(36) PRIMARY KEY,
      created        timestamp NOT NULL,
      created_by_    varchar NOT NULL,
      modified       timestamp NOT NULL,
      modified_by_   varchar NOT NULL,
      sender         varchar NOT NULL,
      receiver       varchar NOT NULL,
      content        varchar NOT NULL,
      status         varchar,
      twilio_sid     varchar NOT NULL,
      date_sent      varchar,
      trustomer_code varchar NOT NULL,
      product_name   varchar NOT NULL,
      error_code     varchar,
      error_message  varchar,
      deleted        timestamp,
      redacted       timestamp
    )`.execute(db);
  for (const column of ['created', 'product_name', 'receiver', 'trustomer_code', 'redacted', 'status']) {
    await sql`CREATE INDEX ${sql.id(`ix_message_${column}`)} ON message (${sql.id(column)})`.execute(db);
  }
}
