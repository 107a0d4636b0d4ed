import { utcNow } from '../db/db.ts';
import type { CreateOutcome } from '../twilio/outcome.ts';

/**
 * How an attempt to hand a message to Twilio ended. Without an outcome it is under way, or its process died.
 * `absent`: it was unknown, and two complete looks at Twilio's log after the settle time showed nothing (G3).
 */
type Outcome = 'accepted' | 'refused' | 'not processed' | 'unknown' | 'absent';

/** What an attempt's row says of an outcome. */
export type Closing = {
  readonly outcome: Outcome;
  readonly httpStatus: number | null;
  readonly errorCode: string | null;
  readonly reason: string | null;
};

export function closingOf(outcome: Exclude<CreateOutcome, { kind: 'accepted' }>): Closing {
  return {
    outcome: outcome.kind,
    httpStatus: 'httpStatus' in outcome ? outcome.httpStatus : null,
    errorCode: 'code' in outcome ? outcome.code : null,
    reason: 'reason' in outcome ? outcome.reason : null,
  };
}

/** The licence to call Twilio once: inserting it is the only way to get one (G3). `from` names a CTE with uuid, n, started, deadline. */
export function licenceFrom(from: string): string {
  return `INSERT INTO attempt (message_uuid, n, started, deadline) SELECT uuid, n, started, deadline FROM ${from}`;
}

/** Only an open attempt is closed, or one of which a look knew no more than that: what was proved meanwhile stays. */
export function closeAttempt(p: {
  uuid: string;
  n: string;
  outcome: string;
  httpStatus: string;
  errorCode: string;
  reason: string;
}): string {
  return `UPDATE attempt SET closed = ${utcNow}, outcome = ${p.outcome}, http_status = ${p.httpStatus},
            error_code = ${p.errorCode}, reason = ${p.reason}
          WHERE message_uuid = ${p.uuid} AND n = ${p.n} AND (closed IS NULL OR outcome = 'unknown')`;
}
