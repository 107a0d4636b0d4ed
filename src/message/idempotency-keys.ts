import { type Db, utcNow } from '../db/db.ts';

/** A key that somebody has used: the request it stood for, and the message that came of it. */
export type UsedKey = { readonly fingerprint: string; readonly messageUuid: string };

export async function findKey(db: Db, keyHash: string): Promise<UsedKey | null> {
  const { rows } = await db.query<UsedKey>({
    name: 'find-key',
    text: 'SELECT fingerprint, message_uuid AS "messageUuid" FROM idempotency_key WHERE key_hash = $1',
    values: [keyHash],
  });
  return rows[0] ?? null;
}

/** Keys live for 72 hours (G7), longer while Twilio may or may not have their message. Answers how many went. */
export async function purgeKeys(db: Db): Promise<number> {
  const { rowCount } = await db.query({
    text: `
      DELETE FROM idempotency_key WHERE key_hash IN (
        SELECT key_hash FROM idempotency_key k
        WHERE created < ${utcNow} - interval '72 hours'
          AND NOT EXISTS (SELECT FROM message WHERE uuid = k.message_uuid AND (unresolved OR step IN ('send', 'resolve')))
        LIMIT 5000)`,
  });
  return rowCount;
}
