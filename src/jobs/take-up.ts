import type { Db } from '../db/db.ts';
import { follow } from '../message/open-messages.ts';
import { queueEnded } from '../message/redactions.ts';

const AT_ONCE = 5_000;
/** A row that the platform's own SQL finished is left alone for so long: its tests read it unredacted first (CONTRACT.md). */
const ENDED_SINCE_MS = 60_000;

/** Rows that the platform's own SQL has written are full members: what has not ended is followed, what has ended is redacted. */
export async function takeUp(db: Db): Promise<void> {
  await follow(db, AT_ONCE);
  await queueEnded(db, { olderThanMs: ENDED_SINCE_MS, limit: AT_ONCE });
}
