import { type Kysely, sql } from 'kysely';
import { CannotStart } from '../../errors.ts';

/** ended: when the status became terminal; null on rows that ended before this, or by the SQL of others. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE message ADD COLUMN ended timestamp`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`LOCK TABLE message`.execute(db);
  const { rows } = await sql<{ ended: string; may: string }>`
    SELECT count(ended) AS ended, current_setting('polaris.lose_data', true) AS may FROM message`.execute(db);
  const [loss] = rows;
  if (loss !== undefined && loss.may !== 'yes' && loss.ended !== '0') {
    throw new CannotStart(
      `Migrating down would lose when ${loss.ended} messages ended, and with it how long they took to be delivered. ` +
        'To do it all the same: make migrate-down lose=yes',
    );
  }
  await sql`ALTER TABLE message DROP COLUMN ended`.execute(db);
}
