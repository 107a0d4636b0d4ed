import type { Db } from '../db/db.ts';
import type { Message, Tenant } from './message.ts';
import { columns } from './messages.ts';

/** Newest first; `receiver` as stored; `limit` null = all of them. */
export async function listMessages(
  db: Db,
  filter: { tenant: Tenant; receiver: string | null; limit: number | null },
): Promise<Message[]> {
  const { rows } = await db.query<Message>({
    text: `
      SELECT ${columns} FROM message
      WHERE trustomer_code = $1 AND product_name = $2 AND deleted IS NULL AND ($3::varchar IS NULL OR receiver = $3)
      ORDER BY created DESC, uuid
      LIMIT $4`,
    values: [filter.tenant.trustomerCode, filter.tenant.productName, filter.receiver, filter.limit],
  });
  return rows;
}
