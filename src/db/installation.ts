import { CannotStart } from '../errors.ts';
import type { Db } from './db.ts';
import { isMigrated } from './migrate.ts';

/** The key of every keyed hash that the first migration made: it survives restarts, and replicas share it. */
export async function readHashKey(db: Db): Promise<string> {
  const { rows } = await db.query<{ hash_key: string }>({ text: 'SELECT hash_key FROM installation' });
  const [row] = rows;
  if (row === undefined) throw new CannotStart('The table installation is empty: restore it, or set HASH_KEY.');
  return row.hash_key;
}

/** Did this service make its tables itself, or take over those of the Python service? */
export async function readOrigin(db: Db): Promise<'created' | 'taken over'> {
  const { rows } = await db.query<{ origin: 'created' | 'taken over' }>({ text: 'SELECT origin FROM installation' });
  return rows[0]?.origin ?? 'created';
}

/** `ok`, or what to do. */
export async function checkDatabase(db: Db): Promise<string> {
  const isCurrent = await isMigrated((text) => db.query<{ name: string }>({ text }));
  return isCurrent ? 'ok' : 'the newest migration is not applied: make migrate';
}
