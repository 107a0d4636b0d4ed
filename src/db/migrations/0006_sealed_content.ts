import { type Kysely, sql } from 'kysely';
import { CannotStart } from '../../errors.ts';

/** content_key_id: the key that `content` is sealed with; null = it is in clear, as everything is that others write. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE message ADD COLUMN content_key_id varchar`.execute(db);
  // Whoever writes a text without a word about its key writes it in clear.
  await sql`
    CREATE FUNCTION content_in_clear() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.content_key_id := NULL;
      RETURN NEW;
    END $$`.execute(db);
  await sql`
    CREATE TRIGGER content_in_clear BEFORE UPDATE OF content ON message FOR EACH ROW
    WHEN (OLD.content_key_id IS NOT NULL AND NEW.content_key_id = OLD.content_key_id AND NEW.content <> OLD.content)
    EXECUTE FUNCTION content_in_clear()`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`LOCK TABLE message`.execute(db);
  const { rows } = await sql<{ sealed: string; may: string }>`
    SELECT count(content_key_id) AS sealed, current_setting('polaris.lose_data', true) AS may FROM message`.execute(db);
  const [loss] = rows;
  if (loss !== undefined && loss.may !== 'yes' && loss.sealed !== '0') {
    throw new CannotStart(
      `Migrating down would leave ${loss.sealed} sealed texts that nobody can tell from texts in clear, and they would be lost. ` +
        'Open them first: npm run cli -- rotate-keys --open. To empty them instead: make migrate-down lose=yes',
    );
  }
  await sql`DROP TRIGGER content_in_clear ON message`.execute(db);
  await sql`DROP FUNCTION content_in_clear`.execute(db);
  // Left as they are they would be sent, or shown, as texts.
  await sql`
    UPDATE message SET content = '', content_emptied = coalesce(content_emptied, now() AT TIME ZONE 'utc')
    WHERE content_key_id IS NOT NULL`.execute(db);
  await sql`ALTER TABLE message DROP COLUMN content_key_id`.execute(db);
}
