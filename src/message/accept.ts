import { randomUUID } from 'node:crypto';
import type { Db } from '../db/db.ts';
import { insertAttempt } from './attempts.ts';
import type { Message, MessageRequest, Tenant } from './message.ts';
import { insertMessage } from './messages.ts';

/** A recorded message together with the licence to call Twilio once, until the deadline. */
export type Accepted = { readonly message: Message; readonly attempt: { readonly n: number; readonly deadline: Date } };

/**
 * A request becomes a recorded message and its first attempt, in one transaction (G1). When this returns, both are
 * committed; when it throws, the message must not be sent.
 */
export async function acceptMessage(
  db: Db,
  order: { tenant: Tenant; request: MessageRequest; deadline: Date },
): Promise<Accepted> {
  const attempt = { n: 1, deadline: order.deadline };
  const uuid = randomUUID();
  const message = await db.transaction(async (tx) => {
    const inserted = await insertMessage(tx, { uuid, tenant: order.tenant, request: order.request });
    await insertAttempt(tx, { uuid, ...attempt });
    return inserted;
  });
  return { message, attempt };
}
