import { type Kysely, sql } from 'kysely';

/** session_of: this is a session of the console, opened with the key of that id; null = a key that somebody made. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    ALTER TABLE api_key ADD COLUMN session_of varchar,
      ADD CONSTRAINT a_session_ends CHECK (session_of IS NULL OR expires IS NOT NULL)`.execute(db);
}

/** Nothing is lost: whoever is signed in signs in again. Left as they are, sessions would be keys that outlive the one they came from. */
export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`DELETE FROM api_key WHERE session_of IS NOT NULL`.execute(db);
  await sql`ALTER TABLE api_key DROP COLUMN session_of`.execute(db);
}
