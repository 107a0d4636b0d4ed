import { type Db, utcNow } from '../db/db.ts';
import { horizon } from './due-messages.ts';
import type { Standing } from './explanation.ts';
import type { Reach } from './message.ts';
import { isWithin, reachValues } from './messages.ts';
import { SILENT_AT_POLL } from './poll-schedule.ts';

type Row = Omit<Standing, 'attempt'> & { readonly outcome: string | null; readonly deadline: Date | null };

/** How a message stands, unless it is deleted or out of reach; text and number are not read. */
export async function findStanding(db: Db, uuid: string, reach: Reach): Promise<Standing | null> {
  const { rows } = await db.query<Row>({
    name: 'find-standing',
    text: `
      SELECT ${utcNow} AS now, status, m.twilio_sid AS "twilioSid", m.error_code AS "errorCode", step, due, unresolved,
        ${horizon('m')} AS "sendBy", (placeholder AND status = 'sent') IS TRUE AS "isPlaceholder",
        (polls >= ${SILENT_AT_POLL} OR coalesce(handed_over, created) < ${utcNow} - interval '72 hours') IS TRUE AS "isOld",
        (content_emptied IS NOT NULL OR content = '') IS NOT FALSE AS "isTextGone",
        (number_emptied IS NOT NULL OR receiver = '') IS NOT FALSE AS "isNumberGone",
        EXISTS (
          SELECT FROM message twin WHERE twin.text_hash = m.text_hash AND twin.unresolved AND twin.uuid <> m.uuid
        ) AS "hasOpenTwin",
        EXISTS (SELECT FROM duplicate_handover WHERE message_uuid = m.uuid) AS "hasSecondCopy",
        attempt.outcome, attempt.deadline
      FROM message m LEFT JOIN attempt ON message_uuid = m.uuid AND n = attempts
      WHERE m.uuid = $1 AND deleted IS NULL AND ${isWithin('$2', '$3')}`,
    values: [uuid, ...reachValues(reach)],
  });
  const [row] = rows;
  if (row === undefined) return null;
  const { outcome, deadline, ...standing } = row;
  return { ...standing, attempt: deadline === null ? null : { outcome, deadline } };
}
