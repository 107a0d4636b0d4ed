import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** `polaris_<id>_<secret>`: the id is public and names the row, the secret is 256 random bits, kept as its hash alone. */
export type GivenKey = { readonly id: string; readonly secret: string };

const ID_BYTES = 6;
const SECRET_BYTES = 32;
const form = /^polaris_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/;

/** A new key: `text` is for its owner, once; `id` and `hash` are kept. */
export function makeApiKey(): { readonly id: string; readonly text: string; readonly hash: Buffer } {
  const id = randomBytes(ID_BYTES).toString('hex');
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  return { id, text: `polaris_${id}_${secret}`, hash: hashSecret(secret) };
}

/** Null: it does not have the form of a key. */
export function parseApiKey(text: string): GivenKey | null {
  const [, id, secret] = form.exec(text) ?? [];
  return id === undefined || secret === undefined ? null : { id, secret };
}

/** Of 256 random bits no guess comes near, so that one round of SHA-256 is enough, and quick. */
function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Takes as long whichever byte differs. */
export function isSecret(secret: string, hash: Buffer): boolean {
  const given = hashSecret(secret);
  return given.length === hash.length && timingSafeEqual(given, hash);
}
