import type { Db } from '../db/db.ts';
import { addEntries } from '../tenant/audit-entries.ts';
import { emptyMessages, lockToErase, type What } from './emptyings.ts';
import type { KeyedHash } from './keyed-hash.ts';
import { type Author, belongsTo, type Message, type Tenant } from './message.ts';
import { getMessage, markDeleted } from './messages.ts';

export type EraseDeps = {
  readonly db: Db;
  readonly hash: KeyedHash;
  readonly countryCode: string;
  readonly countEmptied: (what: What, count: number) => void;
};

/**
 * Hides a message for good and empties its text and number at once, all or nothing; also one that was deleted earlier. One that
 * waits to be sent is cancelled by it. `still needed`: Twilio may or may not have it, and only its text can tell; nothing is changed.
 */
export async function eraseMessage(
  { db, hash, countryCode, countEmptied }: EraseDeps,
  uuid: string,
  tenant: Tenant,
  author: Author,
): Promise<Message | 'not found' | 'of another tenant' | 'still needed'> {
  const erased = await db.transaction(async (tx) => {
    const message = await lockToErase(tx, uuid);
    if (message === null) return 'not found';
    const [isText, isNumber] = [message.content_emptied === null, message.number_emptied === null];
    const isDeleted = message.deleted !== null;
    if (!belongsTo(message, tenant)) return isDeleted ? 'not found' : 'of another tenant';
    if (isDeleted && !isText && !isNumber) return 'not found';
    if (message.isNeeded) return 'still needed';
    if (!isDeleted) await markDeleted(tx, uuid, tenant, author);
    if (isText || isNumber) {
      const { receiver, receiver_e164, error_code } = message;
      if (author !== null) {
        await addEntries(tx, [{ actor: author, action: 'erased', messageUuid: uuid, tenant, details: {} }]);
      }
      await emptyMessages(tx, [{ uuid, receiver, receiver_e164, error_code, isText, isNumber }], {
        hash,
        countryCode,
        actor: 'caller',
        why: 'erase',
      });
    }
    const after = await getMessage(tx, uuid);
    return after === null ? 'not found' : { after, isText, isNumber };
  });
  if (typeof erased === 'string') return erased;
  if (erased.isText) countEmptied('text', 1);
  if (erased.isNumber) countEmptied('number', 1);
  return erased.after;
}
