import { type Kysely, sql } from 'kysely';
import { CannotStart } from '../../errors.ts';

/**
 * What it takes to follow a message whose fate at Twilio is unknown, to send later, and to tell its whole history. Every
 * new column has a default, so that rows of the platform's own SQL stay full members: for them there is nothing to do.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  // step, due: what is to be done next, and when. epoch: goes up with every claim, and what a claim leads to must match it.
  // redaction_tries, redact_after: Twilio refused to empty this text so often, and is asked again then.
  // unresolved: Twilio may or may not have it. text_hash: keyed hash of sender, number in E.164 and text.
  await sql`
    ALTER TABLE message
      ADD COLUMN step varchar,
      ADD COLUMN due timestamp,
      ADD COLUMN epoch integer NOT NULL DEFAULT 0,
      ADD COLUMN attempts integer NOT NULL DEFAULT 0,
      ADD COLUMN unresolved boolean NOT NULL DEFAULT false,
      ADD COLUMN text_hash varchar,
      ADD COLUMN receiver_e164 varchar,
      ADD COLUMN valid_until timestamp,
      ADD COLUMN redaction_tries integer NOT NULL DEFAULT 0,
      ADD COLUMN redact_after timestamp`.execute(db);
  await sql`CREATE INDEX message_due ON message (step, due) WHERE step IS NOT NULL`.execute(db);
  // Of two identical texts that Twilio may or may not have, its log could not tell which is which.
  await sql`CREATE UNIQUE INDEX message_unresolved_twin ON message (text_hash) WHERE unresolved`.execute(db);
  // Recorded by the version before this one, which did not keep what it would take to look for them at Twilio.
  await sql`UPDATE message SET status = 'unconfirmed' WHERE status = 'accepted' AND twilio_sid IS NULL`.execute(db);

  await sql`
    ALTER TABLE attempt
      ADD COLUMN looks integer NOT NULL DEFAULT 0,
      ADD COLUMN twilio_sid varchar,
      ADD COLUMN twilio_status varchar,
      ADD COLUMN reason varchar,
      DROP CONSTRAINT attempt_outcome_check,
      ADD CONSTRAINT attempt_outcome_check
        CHECK (outcome IN ('accepted', 'refused', 'not processed', 'unknown', 'absent'))`.execute(db);
  await sql`ALTER TABLE callback ADD COLUMN status_before varchar, ADD COLUMN status_after varchar`.execute(db);

  // What happened to a message beside its attempts and callbacks. Only ever added to.
  await sql`
    CREATE TABLE event (
      id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      message_uuid  varchar(36) NOT NULL,
      at            timestamp NOT NULL,
      kind          varchar NOT NULL,
      actor         varchar NOT NULL,
      attempt       integer,
      status_before varchar,
      status_after  varchar,
      details       jsonb NOT NULL DEFAULT '{}'
    )`.execute(db);
  await sql`CREATE INDEX event_by_message ON event (message_uuid)`.execute(db);

  // A second SID that was proved to be of a message that has one.
  await sql`
    CREATE TABLE duplicate_handover (
      twilio_sid   varchar PRIMARY KEY,
      message_uuid varchar(36) NOT NULL,
      attempt      integer,
      detected     timestamp NOT NULL,
      redacted     timestamp
    )`.execute(db);
  await sql`CREATE INDEX duplicate_handover_by_message ON duplicate_handover (message_uuid)`.execute(db);

  // key_hash: keyed hash of tenant, route and key; fingerprint: of what the request means.
  await sql`
    CREATE TABLE idempotency_key (
      key_hash     varchar PRIMARY KEY,
      fingerprint  varchar NOT NULL,
      message_uuid varchar(36) NOT NULL,
      created      timestamp NOT NULL
    )`.execute(db);
  await sql`CREATE INDEX idempotency_key_by_message ON idempotency_key (message_uuid)`.execute(db);
  await sql`CREATE INDEX idempotency_key_by_age ON idempotency_key (created)`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`LOCK TABLE message, attempt, callback, event, duplicate_handover, idempotency_key`.execute(db);
  const { rows } = await sql<{ events: string; duplicates: string; keys: string; waiting: string; may: string }>`
    SELECT (SELECT count(*) FROM event) AS events,
           (SELECT count(*) FROM duplicate_handover) AS duplicates,
           (SELECT count(*) FROM idempotency_key) AS keys,
           (SELECT count(*) FROM message WHERE step IS NOT NULL) AS waiting,
           current_setting('polaris.lose_data', true) AS may`.execute(db);
  const [loss] = rows;
  if (
    loss !== undefined &&
    loss.may !== 'yes' &&
    [loss.events, loss.duplicates, loss.keys, loss.waiting].some((n) => n !== '0')
  ) {
    throw new CannotStart(
      `Migrating down would lose ${loss.events} events of the history, ${loss.duplicates} records of duplicates, ` +
        `${loss.keys} idempotency keys and the next step of ${loss.waiting} messages. To do it all the same: make migrate-down lose=yes`,
    );
  }
  await sql`DROP TABLE event, duplicate_handover, idempotency_key`.execute(db);
  await sql`ALTER TABLE callback DROP COLUMN status_before, DROP COLUMN status_after`.execute(db);
  await sql`UPDATE attempt SET outcome = 'unknown' WHERE outcome = 'absent'`.execute(db);
  await sql`
    ALTER TABLE attempt
      DROP COLUMN looks, DROP COLUMN twilio_sid, DROP COLUMN twilio_status, DROP COLUMN reason,
      DROP CONSTRAINT attempt_outcome_check,
      ADD CONSTRAINT attempt_outcome_check
        CHECK (outcome IN ('accepted', 'refused', 'not processed', 'unknown'))`.execute(db);
  await sql`DROP INDEX message_due, message_unresolved_twin`.execute(db);
  await sql`
    ALTER TABLE message
      DROP COLUMN step, DROP COLUMN due, DROP COLUMN epoch, DROP COLUMN attempts, DROP COLUMN unresolved,
      DROP COLUMN text_hash, DROP COLUMN receiver_e164, DROP COLUMN valid_until, DROP COLUMN redaction_tries,
      DROP COLUMN redact_after`.execute(db);
}
