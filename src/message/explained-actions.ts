import { errorCodeOf } from '../twilio/error-codes.ts';
import type { Standing } from './explanation.ts';

/** What an operator may do about a message, and what it can lead to. */
export type Action = {
  readonly action: 'poll' | 'send_again' | 'delete' | 'erase' | 'settle';
  readonly possible: boolean;
  /** Why not; null when it is. */
  readonly reason: string | null;
  /** What it can lead to, said before it is done. */
  readonly risk: string;
};

export function actionsOn(standing: Standing): Action[] {
  return [
    asAction('poll', whyNotPoll(standing), 'None: Twilio is only asked how it stands, and what it says is recorded.'),
    asAction('send_again', whyNotSendAgain(standing), riskOfSendingAgain(standing)),
    asAction('delete', null, riskOfDeleting(standing)),
    asAction('erase', whyNotErase(standing), RISK_OF_ERASING),
    asAction('settle', whyNotSettle(standing), RISK_OF_SETTLING),
  ];
}

function asAction(action: Action['action'], reason: string | null, risk: string): Action {
  return { action, possible: reason === null, reason, risk };
}

function whyNotPoll({ twilioSid }: Standing): string | null {
  return twilioSid === null ? 'It has no SID: Twilio cannot be asked about it.' : null;
}

/** The same as POST …/send_again refuses. */
export function whyNotSendAgain(
  standing: Pick<Standing, 'isTextGone' | 'isNumberGone' | 'unresolved' | 'step'>,
): string | null {
  if (standing.isTextGone) return 'Its text is emptied here: there is nothing to send.';
  if (standing.isNumberGone) return 'Its number is emptied here: there is nobody to send it to.';
  if (standing.unresolved || standing.step === 'resolve') {
    return 'Whether Twilio has it is being found out, and if it has not, it is sent: wait for that.';
  }
  return standing.step === 'send' ? 'It is still to be sent: wait for that.' : null;
}

const MAY_HAVE_ARRIVED = 'The first one may have arrived, or may still arrive: the patient may get it twice.';

function riskOfSendingAgain({ status, errorCode, isPlaceholder, step, hasSecondCopy }: Standing): string {
  if (isPlaceholder) return 'None: nothing leaves this machine (TWILIO_DISABLED).';
  if (step === 'verify' || hasSecondCopy) return MAY_HAVE_ARRIVED;
  switch (status) {
    case 'delivered':
    case 'read':
      return 'It has arrived already: the patient gets it twice.';
    case 'undelivered':
    case 'failed':
      return `The first one did not arrive, but a carrier may be wrong: the patient may get it twice.${willFailAgain(errorCode)}`;
    case 'error':
      return `Its caller was told that it was not sent and may have sent it anew: look for a newer one first, or the patient may get it twice.${willFailAgain(errorCode)}`;
    case 'canceled':
      return 'It was cancelled on purpose: make sure that the patient is to have it.';
    default:
      return MAY_HAVE_ARRIVED;
  }
}

function willFailAgain(errorCode: string | null): string {
  const error = errorCodeOf(errorCode);
  const isSame = error?.class === 'for good' || error?.class === 'configuration';
  return isSame ? ' Unless its cause is mended, it will fail again.' : '';
}

function riskOfDeleting({ step }: Standing): string {
  const forGood = 'It is hidden from everybody and not counted any more, and that cannot be undone.';
  return step === 'send'
    ? `It is cancelled: the patient does not get it. ${forGood}`
    : `${forGood} It calls nothing back: what Twilio has may still reach the patient.`;
}

function whyNotErase({ unresolved, step }: Standing): string | null {
  if (unresolved || step === 'resolve' || step === 'look back') {
    return 'Whether Twilio has it is being found out, for which its text is needed.';
  }
  return null;
}

const RISK_OF_ERASING =
  'It is hidden from everybody, one that waits to be sent is cancelled, and its text and number cannot be had back by anybody: it cannot be sent again, and where it went cannot be shown.';

function whyNotSettle({ status }: Standing): string | null {
  return status === 'unconfirmed' ? null : 'Only an unconfirmed message can be settled.';
}

const RISK_OF_SETTLING =
  'Your word stands until Twilio says otherwise. Wrongly settled as not sent, it may be sent anew and the patient get it twice; wrongly settled as sent, the patient never gets it.';
