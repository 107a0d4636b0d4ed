import type { Db } from '../db/db.ts';
import { type Author, belongsTo, type Message, type Reach, type Tenant } from './message.ts';
import { getMessageWithin, markDeleted } from './messages.ts';

/** The message, unless nobody recorded it, it is deleted, or out of reach. */
export async function findMessage(db: Db, uuid: string, reach: Reach): Promise<Message | null> {
  const message = await getMessageWithin(db, uuid, reach);
  return message === null || message.deleted !== null ? null : message;
}

/** Hides a message from every caller for good; it stays in the table and is still followed and redacted. */
export async function deleteMessage(
  db: Db,
  uuid: string,
  tenant: Tenant,
  author: Author,
): Promise<Message | 'not found' | 'of another tenant'> {
  const deleted = await markDeleted(db, uuid, tenant, author);
  if (deleted !== null) return deleted;
  const message = await findMessage(db, uuid, 'all tenants');
  return message !== null && !belongsTo(message, tenant) ? 'of another tenant' : 'not found';
}
