import { type Kysely, sql } from 'kysely';
import { CannotStart } from '../../errors.ts';

/** Who may do what (API keys), and who did what (the audit). */
export async function up(db: Kysely<unknown>): Promise<void> {
  // hash: SHA-256 of the secret, which nobody keeps. No tenant: it acts for whichever its requests name.
  await sql`
    CREATE TABLE api_key (
      id             varchar PRIMARY KEY,
      name           varchar NOT NULL,
      hash           bytea NOT NULL,
      trustomer_code varchar,
      product_name   varchar,
      scopes         varchar[] NOT NULL,
      created        timestamp NOT NULL,
      expires        timestamp,
      revoked        timestamp,
      last_used      timestamp,
      CHECK ((trustomer_code IS NULL) = (product_name IS NULL))
    )`.execute(db);
  // Entries are only ever added. actor: the id of a key, or "command line"; actor_name: its name at that time, or the operator's.
  await sql`
    CREATE TABLE audit (
      id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      at             timestamp NOT NULL,
      actor          varchar NOT NULL,
      actor_name     varchar NOT NULL,
      action         varchar NOT NULL,
      message_uuid   varchar,
      trustomer_code varchar,
      product_name   varchar,
      details        jsonb NOT NULL DEFAULT '{}'
    )`.execute(db);
  await sql`CREATE INDEX audit_by_message ON audit (message_uuid) WHERE message_uuid IS NOT NULL`.execute(db);
  await sql`CREATE INDEX audit_by_time ON audit (at)`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{ keys: string; entries: string; may: string }>`
    SELECT (SELECT count(*) FROM api_key) AS keys, (SELECT count(*) FROM audit) AS entries,
           current_setting('polaris.lose_data', true) AS may`.execute(db);
  const [loss] = rows;
  if (loss !== undefined && loss.may !== 'yes' && [loss.keys, loss.entries].some((n) => n !== '0')) {
    throw new CannotStart(
      `Migrating down would lose ${loss.keys} API keys and ${loss.entries} entries of the audit, and open the service to ` +
        'whoever reaches it. To do it all the same: make migrate-down lose=yes',
    );
  }
  await sql`DROP TABLE api_key, audit`.execute(db);
}
