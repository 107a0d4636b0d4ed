import { createHmac } from 'node:crypto';

/** Names a value without telling it: HMAC-SHA256, base64url, 43 characters. `purpose` keeps hashes of two uses apart. */
export type KeyedHash = (
  purpose: 'text' | 'idempotency key' | 'request' | 'number' | 'cursor',
  parts: readonly (string | null)[],
) => string;

export function makeKeyedHash(key: string): KeyedHash {
  // JSON keeps the parts apart: ["a","bc"] is not ["ab","c"].
  return (purpose, parts) =>
    createHmac('sha256', key)
      .update(JSON.stringify([purpose, ...parts]))
      .digest('base64url');
}
