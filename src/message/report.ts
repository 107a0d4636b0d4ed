import type { Db } from '../db/db.ts';
import { countByDayAndStatus } from './counts.ts';

/** UTC day → status → how many messages; days and statuses without any are left out. */
export async function reportStatusCounts(
  db: Db,
  filter: Parameters<typeof countByDayAndStatus>[1],
): Promise<Record<string, Record<string, number>>> {
  const days = new Map<string, Record<string, number>>();
  for (const { day, status, count } of await countByDayAndStatus(db, filter)) {
    days.set(day, { ...days.get(day), [status]: count });
  }
  return Object.fromEntries(days);
}
