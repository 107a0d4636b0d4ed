import type { Db } from '../db/db.ts';
import { terminal } from './forward-only.ts';
import type { AtTwilio } from './messages.ts';
import { isNoHistory } from './redactions.ts';

/** Messages of the last 7 days that Twilio has and whose end we do not know, in the order of uuid, from `after` on. */
export async function listUnfinished(db: Db, since: Date, after: string, limit: number): Promise<AtTwilio[]> {
  const { rows } = await db.query<AtTwilio>({
    text: `
      SELECT uuid, twilio_sid AS "twilioSid" FROM message
      WHERE created >= $1 AND uuid > $2 AND twilio_sid IS NOT NULL AND (status IS NULL OR status NOT ${terminal})
        AND ${isNoHistory}
      ORDER BY uuid LIMIT $3`,
    values: [since, after, limit],
  });
  return rows;
}
