import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { z } from 'zod';
import type { KeyedHash } from '../message/keyed-hash.ts';
import type { Position } from '../message/lists.ts';
import type { Tenant } from '../message/message.ts';

/** The filters of a list by the names of their parameters, as the caller spelled them. */
export type AskedFilters = Readonly<Record<string, string | undefined>>;

/** Where a page ended, and the filters of its list. */
export type Page = { readonly after: Position; readonly filters: AskedFilters };

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
 * not be read in addresses: cursors are sealed. What PostgreSQL is given from one was written here.
 */
export function makeCursors(hash: KeyedHash): Cursors {
  const sealer = makeSealer(hash);
  return {
    seal: (tenant, page) => sealer.seal(ownerOf(tenant), writePage(page)),
    open: (tenant, cursor) => {
      const text = sealer.open(ownerOf(tenant), cursor);
      return text === null ? null : readPage(text);
    },
  };
}

export function writePage({ after, filters }: Page): string {
  return JSON.stringify([after.created, after.uuid, filters]);
}

export function readPage(text: string): Page {
  const [created, uuid, filters] = sealedPage.parse(JSON.parse(text));
  return { after: { created, uuid }, filters };
}

/** Whom a sealed text is for, and what for: nobody else opens it, nor for anything else. */
export type Owner = readonly unknown[];

export type Sealer = {
  seal(owner: Owner, text: string): string;
  /** Null when it was not sealed here, or for another owner. */
  open(owner: Owner, sealed: string): string | null;
};

/** Encrypts for addresses. The same text has the same seal, because the nonce is a keyed hash of it; another text has another nonce. */
export function makeSealer(hash: KeyedHash): Sealer {
  const key = Buffer.from(hash('cursor', ['encryption']), 'base64url');
  const nonceKey = Buffer.from(hash('cursor', ['nonce']), 'base64url');
  return {
    seal: (owner, text) => {
      const bound = bytesOf(owner);
      const nonce = createHmac('sha256', nonceKey).update(bound).update(text).digest().subarray(0, NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce).setAAD(bound);
      const sealed = [cipher.update(text, 'utf8'), cipher.final()];
      return Buffer.concat([nonce, ...sealed, cipher.getAuthTag()]).toString('base64url');
    },
    open: (owner, sealed) => {
      const bytes = Buffer.from(sealed, 'base64url');
      // Node passes over what is not base64url.
      if (bytes.length < NONCE_BYTES + TAG_BYTES || bytes.toString('base64url') !== sealed) return null;
      const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(bytesOf(owner)).setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        return decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
      } catch {
        return null;
      }
    },
  };
}

function ownerOf({ trustomerCode, productName }: Tenant): Owner {
  return [trustomerCode, productName];
}

/** Ends unambiguously, so that the hash tells owner and text apart. */
function bytesOf(owner: Owner): Buffer {
  return Buffer.from(JSON.stringify(owner));
}
