import type { Db } from '../db/db.ts';
import { belongsTo, type Message, type Tenant } from './message.ts';
import { getMessage, markDeleted } from './messages.ts';

/** The message, unless nobody recorded it or it is deleted. */
export async function findMessage(db: Db, uuid: string): Promise<Message | null> {
  const message = await getMessage(db, uuid);
  return message === null || message.deleted !== null ? null : message;
}

/** Hides a message from every caller for good; it stays in the table and is still followed and redacted. */
export async function deleteMessage(
  db: Db,
  uuid: string,
  tenant: Tenant,
): Promise<Message | 'not found' | 'of another tenant'> {
  const deleted = await markDeleted(db, uuid, tenant);
  if (deleted !== null) return deleted;
  const message = await findMessage(db, uuid);
  return message !== null && !belongsTo(message, tenant) ? 'of another tenant' : 'not found';
}
