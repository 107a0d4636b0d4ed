import { type Kysely, sql } from 'kysely';
import { CannotStart } from '../../errors.ts';

/** Of the statuses when this was written; a partial index serves only statements with these very words. */
const terminal = `('delivered', 'undelivered', 'failed', 'canceled', 'read')`;

/** Indexes of the Python service that no statement here reads: each one costs every write. The way back makes them again. */
const unread = ['product_name', 'trustomer_code', 'redacted', 'status'].map((column) => `ix_message_${column}`);

/**
 * Counting in an index opens no rows only where VACUUM has been since they were last written. PostgreSQL's own 20 % of ten
 * million rows would be weeks of messages; with 1 % the report takes half as long again at the worst, not 17 times as long.
 */
const vacuumedEarly = ['autovacuum_vacuum_scale_factor', 'autovacuum_vacuum_insert_scale_factor'];
const EARLY = '0.01';

/**
 * What it takes to poll what has gone quiet, to redact from a queue, to empty texts and numbers here, and to find a message by
 * any spelling of its number. The queue is the table itself: step 'poll' or 'redact', and when it is due.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  // polls: how often Twilio was asked since it last said something new of this message.
  // content_emptied, number_emptied: when the text, and the number, were emptied here; the number is a keyed hash from then on.
  await sql`
    ALTER TABLE message
      ADD COLUMN polls integer NOT NULL DEFAULT 0,
      ADD COLUMN content_emptied timestamp,
      ADD COLUMN number_emptied timestamp,
      DROP COLUMN redact_after`.execute(db);
  await dropUnreadIndexes(db);
  await sql`CREATE INDEX message_by_number ON message (receiver_e164)`.execute(db);

  // What the report counts, without opening a row.
  await sql`
    CREATE INDEX message_by_status ON message (trustomer_code, product_name, status, created)
    WHERE deleted IS NULL`.execute(db);
  // What went wrong, by code: few rows, so it costs the others nothing.
  await sql`
    CREATE INDEX message_by_error ON message (trustomer_code, product_name, error_code, created)
    WHERE error_code IS NOT NULL`.execute(db);
  await vacuumEarly(db);
  // The queue of redactions by age; by when they are due it is message_due.
  await sql`DROP INDEX message_unredacted`.execute(db);
  await sql`CREATE INDEX message_to_redact ON message (created) WHERE step = 'redact'`.execute(db);
  await takeUpRowsOfOthers(db);

  // Work that only one replica at a time does, over all of them: who does it, until when, and how far it has come.
  await sql`
    CREATE TABLE job (
      name     varchar PRIMARY KEY,
      run      bigint NOT NULL DEFAULT 0,
      holder   varchar,
      until    timestamp,
      started  timestamp,
      finished timestamp,
      progress jsonb NOT NULL DEFAULT '{}'
    )`.execute(db);
}

/**
 * Rows that the platform's own SQL writes are full members: what it inserts is followed, what it ends is redacted, once it is a
 * minute old (CONTRACT.md: its tests read such a row unredacted first).
 * Our own statements name the next step themselves, so that these triggers are not for them.
 */
async function takeUpRowsOfOthers(db: Kysely<unknown>): Promise<void> {
  const hasEnded = (row: string) => `(coalesce(${row}.status IN ${terminal}, false) AND ${row}.redacted IS NULL)`;
  await sql
    .raw(`
    CREATE FUNCTION take_up_message() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      now_utc CONSTANT timestamp := date_trunc('milliseconds', now() AT TIME ZONE 'utc');
    BEGIN
      IF NEW.created < (SELECT history_before FROM installation) THEN
        RETURN NEW;
      END IF;
      NEW.epoch := NEW.epoch + 1;
      NEW.step := CASE WHEN ${hasEnded('NEW')} THEN 'redact'
                       WHEN coalesce(NEW.status NOT IN ${terminal}, true) AND NEW.created >= now_utc - interval '7 days' THEN 'poll' END;
      NEW.due := CASE
        WHEN NEW.step = 'redact' AND TG_OP = 'INSERT' THEN
          greatest(now_utc, greatest(NEW.created, NEW.modified) + interval '1 minute')
        WHEN NEW.step = 'redact' THEN now_utc + interval '1 minute'
        WHEN NEW.step = 'poll' THEN greatest(now_utc, NEW.created + interval '10 minutes')
      END;
      RETURN NEW;
    END $$`)
    .execute(db);
  await sql
    .raw(`
    CREATE TRIGGER take_up_inserted BEFORE INSERT ON message FOR EACH ROW
    WHEN (NEW.step IS NULL AND NEW.twilio_sid IS NOT NULL AND NEW.redacted IS NULL)
    EXECUTE FUNCTION take_up_message()`)
    .execute(db);
  await sql
    .raw(`
    CREATE TRIGGER take_up_updated BEFORE UPDATE OF status ON message FOR EACH ROW
    WHEN (NEW.status IS DISTINCT FROM OLD.status AND NEW.twilio_sid IS NOT NULL
          AND (NEW.step IS NULL OR NEW.step IN ('poll', 'redact'))
          AND coalesce(NEW.step = 'redact', false) <> ${hasEnded('NEW')})
    EXECUTE FUNCTION take_up_message()`)
    .execute(db);
  // Rows that are there already are not written again here (CONTRACT.md): the service takes them up while it runs.
  await sql`ALTER TABLE installation ADD COLUMN taken_up boolean NOT NULL DEFAULT false`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`LOCK TABLE message`.execute(db);
  const { rows } = await sql<{ texts: string; numbers: string; may: string }>`
    SELECT count(content_emptied) AS texts, count(number_emptied) AS numbers,
           current_setting('polaris.lose_data', true) AS may
    FROM message`.execute(db);
  const [loss] = rows;
  if (loss !== undefined && loss.may !== 'yes' && [loss.texts, loss.numbers].some((n) => n !== '0')) {
    throw new CannotStart(
      `Migrating down would lose when ${loss.texts} texts and ${loss.numbers} numbers were emptied here. ` +
        'To do it all the same: make migrate-down lose=yes',
    );
  }
  await sql`DROP TABLE job`.execute(db);
  await sql`ALTER TABLE installation DROP COLUMN taken_up`.execute(db);
  await sql`DROP TRIGGER take_up_inserted ON message`.execute(db);
  await sql`DROP TRIGGER take_up_updated ON message`.execute(db);
  await sql`DROP FUNCTION take_up_message`.execute(db);
  await sql`DROP INDEX message_by_number, message_by_status, message_by_error, message_to_redact`.execute(db);
  await sql`
    CREATE INDEX message_unredacted ON message (uuid, created)
    WHERE redacted IS NULL AND twilio_sid IS NOT NULL`.execute(db);
  await makeUnreadIndexesAgain(db);
  await vacuumAsBefore(db);
  // The version before this one knows no such steps: it finds these messages by its sweeps.
  await sql`UPDATE message SET step = NULL, due = NULL WHERE step IN ('poll', 'redact')`.execute(db);
  await sql`
    ALTER TABLE message
      DROP COLUMN polls, DROP COLUMN content_emptied, DROP COLUMN number_emptied, ADD COLUMN redact_after timestamp`.execute(
    db,
  );
}

/** Those of the message table, whatever an index of such a name elsewhere may be for. */
async function dropUnreadIndexes(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE installation ADD COLUMN dropped_indexes varchar[] NOT NULL DEFAULT '{}'`.execute(db);
  const { rows } = await sql<{ name: string; definition: string }>`
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = 'message'::regclass AND relname = ANY(${unread}) ORDER BY relname`.execute(db);
  await sql`UPDATE installation SET dropped_indexes = ${rows.map((row) => row.definition)}`.execute(db);
  for (const { name } of rows) await sql`DROP INDEX ${sql.raw(name)}`.execute(db);
}

/** Somebody may have made one again by hand meanwhile. */
async function makeUnreadIndexesAgain(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{ definition: string }>`
    SELECT unnest(dropped_indexes) AS definition FROM installation`.execute(db);
  for (const { definition } of rows) {
    await sql.raw(definition.replace(/^CREATE (UNIQUE )?INDEX /, '$&IF NOT EXISTS ')).execute(db);
  }
  await sql`ALTER TABLE installation DROP COLUMN dropped_indexes`.execute(db);
}

/** What an operator has set for this table stays. */
async function vacuumEarly(db: Kysely<unknown>): Promise<void> {
  const set = (await readTableOptions(db)).map(([name]) => name);
  for (const name of vacuumedEarly.filter((early) => !set.includes(early))) {
    await sql`ALTER TABLE message SET (${sql.raw(name)} = ${sql.lit(EARLY)})`.execute(db);
  }
}

async function vacuumAsBefore(db: Kysely<unknown>): Promise<void> {
  for (const [name = '', value] of await readTableOptions(db)) {
    if (vacuumedEarly.includes(name) && value === EARLY) {
      await sql`ALTER TABLE message RESET (${sql.raw(name)})`.execute(db);
    }
  }
}

async function readTableOptions(db: Kysely<unknown>): Promise<string[][]> {
  const { rows } = await sql<{ option: string }>`
    SELECT unnest(reloptions) AS option FROM pg_class WHERE oid = 'message'::regclass`.execute(db);
  return rows.map(({ option }) => option.split('='));
}
