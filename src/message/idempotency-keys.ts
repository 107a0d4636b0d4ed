import { type Db, utcNow } from '../db/db.ts';
import type { KeyedHash } from './keyed-hash.ts';
import type { Tenant } from './message.ts';

/** As it is kept: the key that a caller gave, and what it stands for. */
export type Key = { readonly hash: string; readonly fingerprint: string };
type Keyed = { readonly tenant: Tenant; readonly idempotencyKey: string | null };

/** A key counts for its tenant and route; `meaning`: what a request with it has to say again. */
export function keyOf(
  hash: KeyedHash,
  { tenant, idempotencyKey, route }: Keyed & { readonly route: string },
  meaning: readonly (string | null)[],
): Key | null {
  const owner = [tenant.trustomerCode, tenant.productName];
  if (idempotencyKey === null) return null;
  return {
    hash: hash('idempotency key', [...owner, route, idempotencyKey]),
    fingerprint: hash('request', [...owner, ...meaning]),
  };
}

export type SendAgain = Keyed & { readonly repeats: string };

/** The message says all that is sent, and still names it when its text and number are gone. */
export function keyToSendAgain(hash: KeyedHash, { repeats, ...keyed }: SendAgain): Key | null {
  return keyOf(hash, { ...keyed, route: 'POST /dhos/v1/sms/{message_id}/send_again' }, [repeats]);
}

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
