import { meaningOf } from '../twilio/error-codes.ts';
import type { TwilioMessage } from '../twilio/outcome.ts';
import type { Callback } from './callbacks.ts';
import { asStatus } from './status.ts';

/** What Twilio said about a message: in its answer to a create, in a callback, in its log, or when asked for this one. */
export type Evidence = {
  readonly source: 'answer' | 'callback' | 'list' | 'fetch';
  readonly twilioSid: string;
  /** Twilio's word; one that we do not know changes no status. */
  readonly status: string;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  /** ISO 8601 UTC; callbacks carry none. */
  readonly dateSent: string | null;
  /** The quiet simulator's `sent` is made up: nothing was sent, so any signed callback replaces it. */
  readonly isPlaceholder: boolean;
  /** When it came, if not just now. */
  readonly at?: Date | null;
};

export function evidenceOf(message: TwilioMessage, source: 'answer' | 'list' | 'fetch', isQuiet: boolean): Evidence {
  return {
    source,
    twilioSid: message.sid,
    status: message.status,
    errorCode: message.errorCode,
    errorMessage: message.errorMessage ?? meaningOf(message.errorCode),
    dateSent: message.dateSent,
    isPlaceholder: isQuiet && message.status === 'sent',
  };
}

/** `received`: of one that was kept, when that was. */
export function evidenceOfCallback(callback: Callback, received: Date | null = null): Evidence {
  return {
    source: 'callback',
    twilioSid: callback.twilioSid,
    status: callback.messageStatus,
    errorCode: callback.errorCode,
    errorMessage: callback.errorMessage ?? meaningOf(callback.errorCode),
    dateSent: null,
    isPlaceholder: false,
    at: received,
  };
}

/** Evidence as a row of a statement: see `judgeRow` of forward-only.ts. */
export function evidenceRow(evidence: Evidence): Record<string, unknown> {
  return {
    said_sid: evidence.twilioSid,
    said_status: asStatus(evidence.status),
    said_code: evidence.errorCode,
    said_message: evidence.errorMessage,
    said_date: evidence.dateSent,
    said_placeholder: evidence.isPlaceholder,
    said_source: evidence.source,
    said_at: evidence.at ?? null,
    word: evidence.status,
  };
}

/** Its columns, for `jsonb_to_recordset`. */
export const evidenceColumns = `said_sid varchar, said_status varchar, said_code varchar, said_message varchar, said_date varchar,
  said_placeholder boolean, said_source varchar, said_at timestamp, word varchar`;
