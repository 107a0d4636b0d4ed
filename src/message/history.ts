import type { Db } from '../db/db.ts';
import { type AuditRow, listEntriesOf } from '../tenant/audit-entries.ts';
import { meaningOf } from '../twilio/error-codes.ts';
import {
  type AttemptRow,
  type CallbackRow,
  type DuplicateRow,
  type EventRow,
  listAttempts,
  listCallbacks,
  listDuplicates,
  listEvents,
} from './events.ts';
import type { Message } from './message.ts';

/** One thing that happened to a message. */
export type Happening = {
  readonly at: Date;
  readonly what: string;
  /** `caller`, `service`, `twilio` or `operator`. */
  readonly actor: string;
  /** In words that an operator understands; no text and no number. */
  readonly summary: string;
  readonly attempt?: number | null;
  readonly statusBefore?: string | null;
  readonly statusAfter?: string | null;
  readonly twilioSid?: string | null;
  readonly httpStatus?: number | null;
  readonly errorCode?: string | null;
  /** Of a callback: all that Twilio sent, but text and numbers. */
  readonly parameters?: Readonly<Record<string, string>>;
};

/** The life of a message so far, the oldest first: recorded, each attempt, callback, look, change, and its end. */
export async function readHistory(db: Db, message: Message): Promise<Happening[]> {
  const [attempts, callbacks, events, duplicates, audited] = await Promise.all([
    listAttempts(db, message.uuid),
    listCallbacks(db, message.uuid),
    listEvents(db, message.uuid),
    listDuplicates(db, message.uuid),
    listEntriesOf(db, message.uuid),
  ]);
  const story = [
    recorded(message),
    ...attempts.flatMap(tellAttempt),
    ...inTurn(callbacks).map(tellCallback),
    ...events.map(tellEvent),
    ...duplicates.map(tellDuplicate),
    ...audited.map(tellAudited),
  ];
  // A stable sort: what happened in the same millisecond keeps the order above.
  return story.sort((a, b) => a.at.getTime() - b.at.getTime());
}

/** Callbacks have ids in the order in which they changed the message; one that waited for another is told when its turn came. */
function inTurn(callbacks: readonly CallbackRow[]): CallbackRow[] {
  let latest = new Date(0);
  return callbacks.map((row) => {
    if (row.received > latest) latest = row.received;
    return { ...row, received: latest };
  });
}

function recorded({ created }: Message): Happening {
  return {
    at: created,
    what: 'recorded',
    actor: 'caller',
    summary: 'The message was recorded.',
    statusAfter: 'accepted',
  };
}

function tellAttempt(row: AttemptRow): Happening[] {
  const begun = {
    at: row.started,
    what: 'attempt begun',
    actor: 'service',
    attempt: row.n,
    summary: `Attempt ${row.n} to hand it to Twilio began.`,
  };
  if (row.closed === null) return [begun];
  const ended = {
    at: row.closed,
    what: 'attempt ended',
    actor: 'service',
    attempt: row.n,
    summary: `Attempt ${row.n}: ${outcomeInWords(row)}`,
    twilioSid: row.twilio_sid,
    httpStatus: row.http_status,
    errorCode: row.error_code,
  };
  return [begun, ended];
}

function outcomeInWords({ outcome, reason, error_code, twilio_status }: AttemptRow): string {
  const why = reason === null ? '' : ` (${reason})`;
  switch (outcome) {
    case 'accepted':
      return twilio_status === null
        ? `its answer was lost${why}; a callback or the log proved later that Twilio took it.`
        : `Twilio took it, as ${twilio_status}.`;
    case 'refused':
      return `Twilio refused it. ${meaningOf(error_code) ?? ''}`.trim();
    case 'not processed':
      return `it did not reach Twilio${why}.`;
    // 'unknown', or 'absent' as two looks found later: those are told where they were taken.
    default:
      return `Twilio may or may not have taken it${why}.`;
  }
}

function tellCallback(row: CallbackRow): Happening {
  const meaning = meaningOf(row.error_code);
  const isNews = row.status_before !== row.status_after;
  return {
    at: row.received,
    what: 'callback',
    actor: 'twilio',
    summary: `Twilio called back: ${row.message_status}.${meaning === null ? '' : ` ${meaning}`}${isNews ? '' : ' It changed nothing.'}`,
    attempt: row.claimed_attempt,
    statusBefore: row.status_before,
    statusAfter: row.status_after,
    twilioSid: row.twilio_sid,
    errorCode: row.error_code,
    parameters: row.parameters,
  };
}

function tellEvent(row: EventRow): Happening {
  const sid = row.details.twilio_sid;
  return {
    at: row.at,
    what: row.kind,
    actor: row.actor,
    summary: eventInWords(row),
    attempt: row.attempt,
    statusBefore: row.status_before,
    statusAfter: row.status_after,
    ...(typeof sid === 'string' && { twilioSid: sid }),
  };
}

function eventInWords({ kind, status_before, status_after, details }: EventRow): string {
  switch (kind) {
    case 'looked':
      return details.next === 'send again'
        ? "A second look at Twilio's log showed nothing either: it is sent again."
        : "A look at Twilio's log showed nothing; there will be a second one.";
    case 'found':
      return status_before === 'accepted' || status_before === 'unconfirmed'
        ? "It was found in Twilio's log: Twilio has it."
        : `Twilio's log said ${String(details.said)}.`;
    case 'fetched':
      return `Twilio was asked and said ${String(details.said)}.`;
    case 'polled':
      return 'It had been quiet: Twilio was asked, and had nothing new.';
    case 'silent':
      return 'Twilio was asked again, and has said nothing new for 72 hours: many carriers never report delivery.';
    case 'gone':
      return 'Twilio was asked and does not have it any more: nothing more will be heard of it.';
    case 'joined':
      return `A callback that came before its SID was known counts: ${String(details.said)}.`;
    case 'unconfirmed':
      return 'It cannot be found out whether Twilio took it. An operator may settle it.';
    case 'settled':
      return `An operator settled it: ${details.outcome === 'sent' ? 'it was sent' : 'it was not sent'}.`;
    case 'expired':
      return 'It could not be sent in time and will not be sent.';
    case 'deleted':
      return status_after === 'canceled'
        ? 'It was deleted before it was sent: it will not be sent.'
        : 'It was deleted: hidden from callers, still followed.';
    case 'sent again':
      return `A caller had it sent again, as the new message ${String(details.message_id)}.`;
    case 'repeats':
      return `It is the message ${String(details.message_id)} once more, sent again by a caller.`;
    case 'redacted':
      return "Twilio's copy of the text was emptied.";
    case 'emptied':
      return emptiedInWords(details);
    default:
      return kind;
  }
}

function emptiedInWords({ what, why }: EventRow['details']): string {
  const emptied =
    what === 'text'
      ? 'The text was emptied here'
      : `${what === 'number' ? 'The number was' : 'Text and number were'} emptied here, a keyed hash stands for the number`;
  return `${emptied}: ${why === 'erase' ? 'a caller asked for it' : 'it had had its days'}.`;
}

/** Who did what a caller did: from the audit, so only where callers have names. */
function tellAudited({ at, actor, actor_name, action }: AuditRow): Happening {
  const deed =
    { read: 'read it in clear', sent: 'asked for it to be sent', polled: 'had Twilio asked about it' }[action] ??
    `${action} it`;
  return { at, what: 'audited', actor: 'caller', summary: `${actor_name} (key ${actor}) ${deed}.` };
}

function tellDuplicate(row: DuplicateRow): Happening {
  return {
    at: row.detected,
    what: 'duplicate',
    actor: 'service',
    summary: 'Twilio was proved to have a second copy of it: the patient may have got it twice.',
    attempt: row.attempt,
    twilioSid: row.twilio_sid,
  };
}
