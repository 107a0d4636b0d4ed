import { type Kysely, sql } from 'kysely';

/**
 * A number is looked for whole or by its last digits, which is all that a masked one shows. One index serves both: its
 * statements say the last four characters and the number. A second index would cost every write.
 * Messages that went wrong are looked for by code and status together: the status in the index, no row is opened in vain.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`DROP INDEX message_by_number`.execute(db);
  await sql`CREATE INDEX message_by_number ON message (right(receiver_e164, 4), receiver_e164)`.execute(db);
  await sql`DROP INDEX message_by_error`.execute(db);
  await sql`
    CREATE INDEX message_by_error ON message (trustomer_code, product_name, error_code, created, status)
    WHERE error_code IS NOT NULL`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`DROP INDEX message_by_number`.execute(db);
  await sql`CREATE INDEX message_by_number ON message (receiver_e164)`.execute(db);
  await sql`DROP INDEX message_by_error`.execute(db);
  await sql`
    CREATE INDEX message_by_error ON message (trustomer_code, product_name, error_code, created)
    WHERE error_code IS NOT NULL`.execute(db);
}
