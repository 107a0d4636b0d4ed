import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { z } from 'zod';
import type { KeyedHash } from '../message/keyed-hash.ts';
import type { Position } from '../message/lists.ts';
import type { Tenant } from '../message/message.ts';

/** The filters of a list by the names of their parameters, as the caller spelled them. */
export type AskedFilters = Readonly<Record<string, string | undefined>>;

/** Where a page ended, and the filters of its list. */
type Page = { readonly after: Position; readonly filters: AskedFilters };

export type Cursors = {
  seal(tenant: Tenant, page: Page): string;
  /** Null when it was not sealed here, or for another tenant. */
  open(tenant: Tenant, cursor: string): Page | null;
};

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const sealedPage = z.tuple([z.string(), z.string(), z.record(z.string(), z.string())]);

/**
 * Cursors hold the filters, so that a page's address needs nothing else, and a filter can be a patient's number, which must
 * not be read in addresses: cursors are encrypted. That also seals them: what PostgreSQL is given from one was written here.
 * The same page has the same cursor, because the nonce is a keyed hash of it; another page has another nonce.
 */
export function makeCursors(hash: KeyedHash): Cursors {
  const key = Buffer.from(hash('cursor', ['encryption']), 'base64url');
  const nonceKey = Buffer.from(hash('cursor', ['nonce']), 'base64url');
  return {
    seal: (tenant, { after, filters }) => {
      const text = JSON.stringify([after.created, after.uuid, filters]);
      const owner = ownerOf(tenant);
      const nonce = createHmac('sha256', nonceKey).update(owner).update(text).digest().subarray(0, NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce).setAAD(owner);
      const sealed = [cipher.update(text, 'utf8'), cipher.final()];
      return Buffer.concat([nonce, ...sealed, cipher.getAuthTag()]).toString('base64url');
    },
    open: (tenant, cursor) => {
      const bytes = Buffer.from(cursor, 'base64url');
      // Node passes over what is not base64url.
      if (bytes.length < NONCE_BYTES + TAG_BYTES || bytes.toString('base64url') !== cursor) return null;
      const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(ownerOf(tenant)).setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        const text =
          decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
        const [created, uuid, filters] = sealedPage.parse(JSON.parse(text));
        return { after: { created, uuid }, filters };
      } catch {
        return null;
      }
    },
  };
}

/** Ends unambiguously, so that the hash tells owner and text apart. */
function ownerOf({ trustomerCode, productName }: Tenant): Buffer {
  return Buffer.from(JSON.stringify([trustomerCode, productName]));
}
