import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/** Texts at rest: AES-256-GCM under a key that the database never sees. */

export type ContentKey = { readonly id: string; readonly key: Buffer };

/** What the columns `content` and `content_key_id` hold; without an id the text itself. */
export type Stored = { readonly content: string; readonly keyId: string | null };

export type Sealing = {
  /** The key that is written with; null = texts are stored in clear. */
  readonly keyId: string | null;
  /** The text of this message as it is stored. */
  seal(uuid: string, text: string): Stored;
  /** The text of what is stored. Throws `TextSealed`. */
  open(uuid: string, stored: Stored): string;
};

/**
 * A text cannot be opened: its key is missing, or it is not what was sealed for this message. It may be sent to nobody and shown
 * to nobody. `code` is the id of the key, which is not secret.
 */
export class TextSealed extends Error {
  override name = 'TextSealed';
  readonly code: string;

  constructor(keyId: string, options?: ErrorOptions) {
    super('a text cannot be opened', options);
    this.code = keyId;
  }
}

/** NIST SP 800-38D: 96 bits, never twice under one key; random ones are good for 2^32 texts a key. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** The first key is written with, all are read with; none = texts are stored in clear. */
export function makeSealing(keys: readonly ContentKey[]): Sealing {
  const [first] = keys;
  const byId = new Map(keys.map(({ id, key }) => [id, key]));
  return {
    keyId: first?.id ?? null,
    seal: (uuid, text) =>
      // What was emptied is empty under any key.
      first === undefined || text === ''
        ? { content: text, keyId: null }
        : { content: encrypt(first.key, uuid, text), keyId: first.id },
    open: (uuid, { content, keyId }) => {
      if (keyId === null) return content;
      const key = byId.get(keyId);
      if (key === undefined) throw new TextSealed(keyId);
      try {
        return decrypt(key, uuid, content);
      } catch (cause) {
        throw new TextSealed(keyId, { cause });
      }
    },
  };
}

/** The uuid is bound to it: on the row of another message it does not open. */
function encrypt(key: Buffer, uuid: string, text: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(uuid));
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

function decrypt(key: Buffer, uuid: string, sealed: string): string {
  const bytes = Buffer.from(sealed, 'base64url');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error('too short');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(uuid))
    .setAuthTag(bytes.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8');
}

/**
 * For every row that is read, wherever: `content` is opened. One that cannot be opened says so to whoever asks for its text, and
 * only then: callbacks, redaction and erasing can do without.
 */
export function openRow({ open }: Sealing): (row: Record<string, unknown>) => void {
  return (row) => {
    const { uuid, content, content_key_id: keyId } = row;
    if (typeof keyId !== 'string' || typeof uuid !== 'string' || typeof content !== 'string') return;
    try {
      row.content = open(uuid, { content, keyId });
    } catch (error) {
      Object.defineProperty(row, 'content', {
        enumerable: true,
        get: () => {
          throw error;
        },
      });
    }
  };
}
