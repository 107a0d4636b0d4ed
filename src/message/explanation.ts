import { type ErrorCode, errorCodeOf } from '../twilio/error-codes.ts';
import { type Action, actionsOn } from './explained-actions.ts';
import { asStatus, type Status } from './status.ts';

/** How a message stands: what explaining it needs of its row and its latest attempt, and neither text nor number. */
export type Standing = {
  /** When it was read. */
  readonly now: Date;
  readonly status: string | null;
  readonly twilioSid: string | null;
  readonly errorCode: string | null;
  readonly step: string | null;
  readonly due: Date | null;
  readonly unresolved: boolean;
  /** The latest moment at which it can still be sent. */
  readonly sendBy: Date;
  /** The status was made up by the quiet simulator. */
  readonly isPlaceholder: boolean;
  /** Handed to Twilio more than 72 hours ago. */
  readonly isOld: boolean;
  readonly isTextGone: boolean;
  readonly isNumberGone: boolean;
  /** Twilio may or may not have an identical text. */
  readonly hasOpenTwin: boolean;
  readonly hasSecondCopy: boolean;
  readonly attempt: {
    /** Null while it is under way, or when its process died. */
    readonly outcome: string | null;
    readonly deadline: Date;
  } | null;
};

/** good, bad: its end is known. waiting: it is on its way. unknown: nobody can tell whether it arrived. neutral: it was not to arrive. */
export type Tone = 'good' | 'waiting' | 'bad' | 'unknown' | 'neutral';

export type Explanation = {
  /** What became of it; what it means is told by `error`. */
  readonly summary: string;
  readonly tone: Tone;
  /** What has to happen before there is news, and when that is tried next or given up. */
  readonly waitsFor: string | null;
  readonly until: Date | null;
  readonly error: ErrorCode | null;
  readonly actions: readonly Action[];
};

type Words = { readonly tone: Tone; readonly said: string };
type Wait = { readonly waitsFor: string | null; readonly until: Date | null };

/** Did it reach the patient, and if not, why? In words for an operator; nothing of the text, the number or Twilio's own sentences. */
export function explain(standing: Standing): Explanation {
  const error = errorCodeOf(standing.errorCode);
  const { tone, said } = wordsFor(standing);
  return {
    summary: [said, noReason(standing, error), asideOf(standing)].filter((sentence) => sentence !== '').join(' '),
    tone,
    ...waitOf(standing),
    // A code may stay on a message that arrived after all.
    error: tone === 'good' ? null : error,
    actions: actionsOn(standing),
  };
}

function wordsFor(standing: Standing): Words {
  if (standing.isPlaceholder) {
    return {
      tone: 'neutral',
      said: 'Nothing was sent to the patient: this service runs without Twilio (TWILIO_DISABLED).',
    };
  }
  if (standing.step === 'verify') {
    return {
      tone: 'unknown',
      said: 'Twilio has told of two different ends: whether it reached the patient is being asked.',
    };
  }
  const status = asStatus(standing.status);
  if (status === null)
    return { tone: 'unknown', said: 'Its status tells nothing: whether it reached the patient is not known.' };
  return isNotAtTwilio(status, standing) ? wordsBeforeTwilio(standing) : wordsOf(status, standing);
}

/** `accepted` without a SID is our own word. */
function isNotAtTwilio(status: Status, { twilioSid }: Standing): boolean {
  return status === 'accepted' && twilioSid === null;
}

function wordsBeforeTwilio({ step, unresolved, attempt, now }: Standing): Words {
  if (step === 'send' && !unresolved) {
    return { tone: 'waiting', said: 'It is recorded here and has not been sent yet.' };
  }
  if (attempt !== null && attempt.outcome === null && attempt.deadline > now) {
    return { tone: 'waiting', said: 'It is being handed to Twilio at this moment.' };
  }
  if (unresolved || step === 'resolve') {
    return {
      tone: 'unknown',
      said: 'Twilio may or may not have it, for its answer was lost: whether the patient gets it is being found out.',
    };
  }
  return { tone: 'unknown', said: 'It is recorded here, and nothing says that it was ever handed to Twilio.' };
}

function wordsOf(status: Status, standing: Standing): Words {
  switch (status) {
    case 'delivered':
      return { tone: 'good', said: 'It reached the patient’s phone, as the carrier reported.' };
    case 'read':
      return { tone: 'good', said: 'It reached the patient’s phone and was opened there.' };
    case 'undelivered':
      return { tone: 'bad', said: 'It did not reach the patient: the carrier could not deliver it.' };
    case 'failed':
      return { tone: 'bad', said: 'It did not reach the patient: Twilio could not send it.' };
    case 'error':
      return { tone: 'bad', said: 'It did not reach the patient: it was not sent, and will not be.' };
    case 'canceled':
      return { tone: 'neutral', said: 'It was cancelled before it was sent: the patient does not get it.' };
    case 'unconfirmed':
      return {
        tone: 'unknown',
        said: 'Nobody could find out whether Twilio took it: the patient may have got it, or not.',
      };
    case 'sent':
      return wordsOfSent(standing);
    case 'accepted':
    case 'scheduled':
    case 'queued':
    case 'sending':
      return wordsUnderWay(status, standing);
    default:
      return status satisfies never;
  }
}

const MANY_NEVER = 'many carriers never report delivery, so it may well have arrived.';

function wordsOfSent({ twilioSid, isOld, step }: Standing): Words {
  if (twilioSid === null) {
    return {
      tone: 'unknown',
      said: 'It counts as sent, without Twilio’s word for it: whether it arrived cannot be told.',
    };
  }
  if (isOld) {
    return { tone: 'unknown', said: `The carrier has it, and after 72 hours has not reported delivery: ${MANY_NEVER}` };
  }
  if (step === null) {
    return { tone: 'unknown', said: `The carrier has it, and Twilio is not asked about it any more: ${MANY_NEVER}` };
  }
  return {
    tone: 'waiting',
    said: 'The carrier has it, and has not reported yet whether it reached the patient’s phone.',
  };
}

const underWay = {
  accepted: 'Twilio has it and is choosing a sender',
  scheduled: 'Twilio has it and is to send it at a set time',
  queued: 'Twilio has it in its queue',
  sending: 'Twilio has it and is passing it to the carrier',
};

function wordsUnderWay(status: keyof typeof underWay, { isOld, step, twilioSid }: Standing): Words {
  const cannotBeTold = 'whether it arrived cannot be told.';
  if (twilioSid === null) {
    return { tone: 'unknown', said: `Its status is a word of Twilio’s, but no SID is on record: ${cannotBeTold}` };
  }
  const last = `The last that was heard is: ${underWay[status]}.`;
  if (isOld) return { tone: 'unknown', said: `${last} That is all after 72 hours: ${cannotBeTold}` };
  if (step === null) return { tone: 'unknown', said: `${last} Twilio is not asked about it any more: ${cannotBeTold}` };
  return { tone: 'waiting', said: `${underWay[status]}: the patient has not got it yet, as far as Twilio has said.` };
}

/** Where something went wrong, and the table of codes does not say what. */
function noReason({ status, errorCode, step }: Standing, error: ErrorCode | null): string {
  if (step === 'verify' || !['undelivered', 'failed', 'error'].includes(status ?? '')) return '';
  if (errorCode === null || error !== null) return '';
  return 'The code that came with it is not in the table of error codes.';
}

function asideOf({ hasSecondCopy }: Standing): string {
  return hasSecondCopy ? 'Twilio was proved to have a second copy: the patient may have got it twice.' : '';
}

function waitOf(standing: Standing): Wait {
  const { step, due, status } = standing;
  if (status === 'unconfirmed') {
    return { waitsFor: 'an operator who looks for it in Twilio’s console and settles it', until: null };
  }
  if ((step === 'send' || step === 'resolve') && status !== 'accepted') {
    return { waitsFor: 'nothing any more: its status was set from outside, and its next step is dropped', until: due };
  }
  switch (step) {
    case 'send':
      return waitToSend(standing);
    case 'resolve':
      return { waitsFor: waitToResolve(standing), until: due };
    case 'verify':
      return { waitsFor: 'the next time Twilio is asked, to say which of the two ends is right', until: due };
    case 'look back':
      return { waitsFor: 'a look at Twilio’s log, for a first copy: it was sent a second time', until: due };
    case 'poll':
      return { waitsFor: 'Twilio’s word: by a callback at any moment, or when Twilio is asked next', until: due };
    case 'redact':
      return { waitsFor: waitToRedact(standing), until: due };
    default:
      return { waitsFor: null, until: null };
  }
}

function waitToSend({ due, sendBy, hasOpenTwin, attempt, now }: Standing): Wait {
  if (hasOpenTwin) {
    return {
      waitsFor: 'an identical text to this number, of which it is not known yet whether Twilio has it',
      until: sendBy,
    };
  }
  const what =
    attempt === null ? 'a free place for a call to Twilio' : 'Twilio, which did not take it when it was tried last';
  if (due !== null && due > now) return { waitsFor: `${what}; it is tried next at the time given`, until: due };
  return { waitsFor: `${what}; it is given up at the time given`, until: sendBy };
}

function waitToResolve({ attempt, now }: Standing): string {
  const isRunning = attempt !== null && attempt.outcome === null && attempt.deadline > now;
  return isRunning
    ? 'Twilio’s answer; should none come, Twilio’s log is looked at'
    : 'a look at Twilio’s log, unless a callback tells sooner';
}

function waitToRedact({ hasOpenTwin }: Standing): string {
  return hasOpenTwin
    ? 'an identical text, of which it is not known yet whether Twilio has it; then Twilio is asked to empty its copy of this one'
    : 'Twilio to empty its copy of the text, for which it is asked next at the time given';
}
