import { type Kysely, sql } from 'kysely';
import { CannotStart } from '../../errors.ts';

/**
 * What it takes to record a message before it is sent and to keep what Twilio tells us. Every new column has a default
 * and nothing refers to `message` by a foreign key, so that rows written or removed by the platform's own SQL, with the
 * original's columns alone, stay full members.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  // placeholder: the status 'sent' was made up by the quiet simulator, any signed callback replaces it.
  // handed_over: when this service recorded the SID; null on rows written by others, whose SIDs may repeat.
  await sql`
    ALTER TABLE message
      ALTER COLUMN twilio_sid DROP NOT NULL,
      ADD COLUMN placeholder boolean NOT NULL DEFAULT false,
      ADD COLUMN handed_over timestamp`.execute(db);
  await sql`CREATE INDEX message_twilio_sid ON message (twilio_sid)`.execute(db);
  await sql`
    CREATE UNIQUE INDEX message_twilio_sid_once ON message (twilio_sid) WHERE handed_over IS NOT NULL`.execute(db);
  await sql`
    CREATE INDEX message_by_tenant ON message (trustomer_code, product_name, created DESC, uuid)`.execute(db);
  // What the redaction sweep reads, in its order; by `created` it passes over history without opening the rows.
  await sql`
    CREATE INDEX message_unredacted ON message (uuid, created)
    WHERE redacted IS NULL AND twilio_sid IS NOT NULL`.execute(db);

  await sql`
    CREATE TABLE attempt (
      message_uuid varchar(36) NOT NULL,
      n            integer NOT NULL CHECK (n > 0),
      started      timestamp NOT NULL,
      deadline     timestamp NOT NULL,
      closed       timestamp,
      outcome      varchar CHECK (outcome IN ('accepted', 'refused', 'not processed', 'unknown')),
      http_status  integer,
      error_code   varchar,
      PRIMARY KEY (message_uuid, n)
    )`.execute(db);

  // Callbacks are only ever added. message_uuid is null until the message of that SID turns up; claimed_* is what the
  // callback's URL says it is about, which can be another message.
  await sql`
    CREATE TABLE callback (
      id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      received       timestamp NOT NULL,
      message_uuid   varchar(36),
      twilio_sid     varchar NOT NULL,
      message_status varchar NOT NULL,
      error_code     varchar,
      parameters     jsonb NOT NULL,
      claimed_uuid   varchar(36),
      claimed_attempt integer
    )`.execute(db);
  await sql`CREATE INDEX callback_by_message ON callback (message_uuid)`.execute(db);
  await sql`CREATE INDEX callback_without_message ON callback (twilio_sid) WHERE message_uuid IS NULL`.execute(db);
}

/** Back to the original's table, which the Python service can use again. */
export async function down(db: Kysely<unknown>): Promise<void> {
  // What is counted now is what is lost: nobody adds a row in between.
  await sql`LOCK TABLE message, attempt, callback`.execute(db);
  const { rows } = await sql<{ without_sid: string; attempts: string; callbacks: string; may: string }>`
    SELECT (SELECT count(*) FROM message WHERE twilio_sid IS NULL) AS without_sid,
           (SELECT count(*) FROM attempt) AS attempts,
           (SELECT count(*) FROM callback) AS callbacks,
           current_setting('polaris.lose_data', true) AS may`.execute(db);
  const [loss] = rows;
  if (
    loss !== undefined &&
    loss.may !== 'yes' &&
    [loss.without_sid, loss.attempts, loss.callbacks].some((n) => n !== '0')
  ) {
    throw new CannotStart(
      `Migrating down would lose ${loss.without_sid} messages without a Twilio SID, ${loss.attempts} records of attempts ` +
        `and ${loss.callbacks} kept callbacks. To do it all the same: make migrate-down lose=yes`,
    );
  }
  await sql`DROP TABLE callback, attempt`.execute(db);
  await sql`DELETE FROM message WHERE twilio_sid IS NULL`.execute(db);
  await sql`
    DROP INDEX message_twilio_sid, message_twilio_sid_once, message_by_tenant, message_unredacted`.execute(db);
  await sql`
    ALTER TABLE message
      ALTER COLUMN twilio_sid SET NOT NULL,
      DROP COLUMN placeholder,
      DROP COLUMN handed_over`.execute(db);
}
