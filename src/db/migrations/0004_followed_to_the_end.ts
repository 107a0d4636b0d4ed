import { type Kysely, sql } from 'kysely';

/** Of the statuses when this was written; a partial index serves only statements with these very words. */
const terminal = `('delivered', 'undelivered', 'failed', 'canceled', 'read')`;

/** Indexes of the Python service that no statement here reads: each one costs every write. The way back makes them again. */
const unread = ['product_name', 'trustomer_code', 'redacted', 'status'].map((column) => `ix_message_${column}`);

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
  await sql`
    ALTER TABLE installation ADD COLUMN dropped_indexes varchar[] NOT NULL DEFAULT '{}'`.execute(db);
  await sql`
    UPDATE installation SET dropped_indexes = ARRAY(
      SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
      WHERE indrelid = 'message'::regclass AND relname = ANY(${unread}) AND NOT indisprimary
    )`.execute(db);
  for (const index of unread) await sql`DROP INDEX IF EXISTS ${sql.id(index)}`.execute(db);
  await sql`CREATE INDEX message_by_number ON message (receiver_e164)`.execute(db);

  // Ended, and the text is still at Twilio: the queue, and what the platform's own SQL has ended and nobody has queued yet.
  await sql`DROP INDEX message_unredacted`.execute(db);
  await sql`
    CREATE INDEX message_unredacted ON message (step, created)
    WHERE redacted IS NULL AND twilio_sid IS NOT NULL AND status IN ${sql.raw(terminal)}`.execute(db);
  // Not ended, and nobody follows it: only rows that the platform's own SQL has written.
  await sql`
    CREATE INDEX message_unfollowed ON message (created)
    WHERE step IS NULL AND polls = 0 AND twilio_sid IS NOT NULL
      AND (status IS NULL OR status NOT IN ${sql.raw(terminal)})`.execute(db);

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

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`DROP TABLE job`.execute(db);
  await sql`DROP INDEX message_by_number, message_unredacted, message_unfollowed`.execute(db);
  await sql`
    CREATE INDEX message_unredacted ON message (uuid, created)
    WHERE redacted IS NULL AND twilio_sid IS NOT NULL`.execute(db);
  const { rows } = await sql<{ definition: string }>`
    SELECT unnest(dropped_indexes) AS definition FROM installation`.execute(db);
  for (const { definition } of rows) await sql.raw(definition).execute(db);
  await sql`ALTER TABLE installation DROP COLUMN dropped_indexes`.execute(db);
  // The version before this one knows no such steps: it finds these messages by its sweeps.
  await sql`UPDATE message SET step = NULL, due = NULL WHERE step IN ('poll', 'redact')`.execute(db);
  await sql`
    ALTER TABLE message
      DROP COLUMN polls, DROP COLUMN content_emptied, DROP COLUMN number_emptied, ADD COLUMN redact_after timestamp`.execute(
    db,
  );
}
