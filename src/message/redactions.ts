import { type Db, utcNow } from '../db/db.ts';
import { terminal } from './forward-only.ts';
import type { AtTwilio } from './messages.ts';

/** Twilio's copy is empty, as its answer showed; also a second copy's. */
export async function recordRedaction(db: Db, { uuid, twilioSid }: AtTwilio): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'record-redaction',
    text: `
      WITH emptied AS (
        UPDATE message SET redacted = ${utcNow}, modified = ${utcNow}
        WHERE uuid = $1 AND twilio_sid = $2 AND redacted IS NULL RETURNING uuid
      ), second AS (
        UPDATE duplicate_handover SET redacted = ${utcNow} WHERE twilio_sid = $2 AND redacted IS NULL
        RETURNING message_uuid AS uuid
      )
      INSERT INTO event (message_uuid, at, kind, actor, details)
      SELECT uuid, ${utcNow}, 'redacted', 'service', jsonb_build_object('twilio_sid', $2::varchar)
      FROM (SELECT uuid FROM emptied UNION ALL SELECT uuid FROM second) both_copies`,
    values: [uuid, twilioSid],
  });
  return rowCount > 0;
}

export const isNoHistory = 'created >= (SELECT history_before FROM installation)';

/** Messages that ended before `before` and whose text Twilio still holds, in the order of uuid, from `after` on. */
export async function listUnredacted(
  db: Db,
  { before, after, limit, isPatient }: { before: Date; after: string; limit: number; isPatient: boolean },
): Promise<AtTwilio[]> {
  const { rows } = await db.query<AtTwilio>({
    text: `
      SELECT uuid, twilio_sid AS "twilioSid" FROM message
      WHERE redacted IS NULL AND uuid > $2 AND twilio_sid IS NOT NULL AND status ${terminal}
        AND greatest(created, modified) <= $1 AND ${isNoHistory}
        AND (NOT $4 OR step IS DISTINCT FROM 'redact' OR due <= ${utcNow})
        AND NOT EXISTS (SELECT FROM message twin WHERE twin.text_hash = message.text_hash AND twin.unresolved)
      ORDER BY uuid LIMIT $3`,
    values: [before, after, limit, isPatient],
  });
  return rows;
}

/** Twilio would not empty this text for a reason of its own: it is asked again after 20 s, 40 s, … at most six hours. */
export async function putRedactionOff(db: Db, uuid: string): Promise<void> {
  await db.query({
    name: 'put-redaction-off',
    text: `
      UPDATE message SET redaction_tries = redaction_tries + 1, step = 'redact',
        due = ${utcNow} + least(interval '6 hours', interval '20 seconds' * 2 ^ least(redaction_tries, 20))
      WHERE uuid = $1 AND redacted IS NULL`,
    values: [uuid],
  });
}

/** How long the text that has waited longest to be emptied has been finished, in seconds; 0 without one. */
export async function oldestUnredactedS(db: Db): Promise<number> {
  const { rows } = await db.query<{ age: number }>({
    name: 'oldest-unredacted',
    text: `
      SELECT coalesce(extract(epoch FROM ${utcNow} - min(greatest(created, modified))), 0)::float8 AS age FROM message
      WHERE redacted IS NULL AND twilio_sid IS NOT NULL AND status ${terminal} AND ${isNoHistory}`,
  });
  return rows[0]?.age ?? 0;
}

/** Second copies whose text Twilio still holds. Whether they have ended, Twilio says. */
export async function listUnredactedDuplicates(db: Db, limit: number): Promise<AtTwilio[]> {
  const { rows } = await db.query<AtTwilio>({
    text: `
      SELECT message_uuid AS uuid, twilio_sid AS "twilioSid" FROM duplicate_handover
      WHERE redacted IS NULL ORDER BY detected LIMIT $1`,
    values: [limit],
  });
  return rows;
}
