import { openDb } from '../../src/db/db.ts';
import { makeApiKey } from '../../src/tenant/api-key.ts';
import { addKey } from '../../src/tenant/api-keys.ts';
import { type Scope, scopes } from '../../src/tenant/caller.ts';

export const ouh = { trustomerCode: 'ouh', productName: 'gdm' };

/** A key as the command line makes it; without a tenant it is for all of them. */
export async function createKey(
  databaseUrl: string,
  key: {
    tenant?: { trustomerCode: string; productName: string } | null;
    scopes?: readonly Scope[];
    days?: number;
    name?: string;
  } = {},
): Promise<{ id: string; text: string; bearer: { authorization: string } }> {
  const { id, text, hash } = makeApiKey();
  const db = openDb({ url: databaseUrl, poolSize: 1 });
  try {
    await addKey(
      db,
      {
        id,
        hash,
        name: key.name ?? 'a test',
        tenant: key.tenant ?? null,
        scopes: key.scopes ?? scopes,
        days: key.days ?? null,
      },
      'a tester',
    );
  } finally {
    await db.close();
  }
  return { id, text, bearer: { authorization: `Bearer ${text}` } };
}
