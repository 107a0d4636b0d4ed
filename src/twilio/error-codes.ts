/**
 * What Twilio's error codes mean for us.
 * - `account`: the account or its credentials; nothing can be sent until somebody mends it (alarm).
 * - `for good`: this message can never be sent or delivered.
 * - `configuration`: this message is refused because of how the account is set up (alarm).
 * - `later`: the same message may be taken later.
 * Source: https://www.twilio.com/docs/api/errors, in our words.
 */
export type ErrorClass = 'account' | 'for good' | 'configuration' | 'later';

const errorCodes: Readonly<Record<string, { class: ErrorClass; means: string }>> = {
  20003: { class: 'account', means: 'Twilio does not accept our account SID and token.' },
  20005: { class: 'account', means: 'The Twilio account is not active.' },
  20429: { class: 'later', means: 'Twilio had too many requests from us at once and did not process this one.' },
  21211: { class: 'for good', means: 'The receiver is not a valid phone number.' },
  21212: { class: 'for good', means: 'The sender is not a valid phone number or name.' },
  21408: { class: 'configuration', means: 'The account may not send to this country.' },
  21602: { class: 'for good', means: 'The message has no text.' },
  21603: { class: 'for good', means: 'The message has no sender.' },
  21604: { class: 'for good', means: 'The message has no receiver.' },
  21606: { class: 'configuration', means: 'The sender number does not belong to the account, or cannot send texts.' },
  21609: { class: 'configuration', means: 'Twilio does not accept our callback URL.' },
  21610: { class: 'for good', means: 'The receiver has opted out of texts from this sender.' },
  21611: { class: 'later', means: "The sender's queue at Twilio is full." },
  21612: { class: 'for good', means: 'Twilio has no route from this sender to this receiver.' },
  21614: { class: 'for good', means: 'The receiver is not a mobile number.' },
  21617: { class: 'for good', means: 'The text is longer than 1,600 characters.' },
  21635: { class: 'for good', means: 'The receiver is a landline and cannot receive texts.' },
  21703: { class: 'configuration', means: 'The messaging service has no sender that could be used.' },
  30001: { class: 'later', means: 'The queue at Twilio overflowed.' },
  30002: { class: 'account', means: 'The Twilio account is suspended.' },
  30003: { class: 'later', means: 'The handset could not be reached: switched off or without signal.' },
  30004: { class: 'for good', means: 'The receiver or the carrier blocks this text.' },
  30005: { class: 'for good', means: 'The carrier does not know the receiver.' },
  30006: { class: 'for good', means: 'The receiver is a landline, or its carrier takes no texts.' },
  30007: { class: 'for good', means: 'The carrier filtered the text out.' },
  30008: { class: 'for good', means: 'The carrier reported a failure without a reason.' },
  30022: { class: 'later', means: 'The carrier limits how fast this sender may send.' },
  30032: { class: 'configuration', means: 'The toll-free sender number is not verified.' },
  30034: { class: 'configuration', means: 'The sender number is not registered with the carriers.' },
  30450: { class: 'later', means: 'Twilio or the carrier delays texts to this receiver.' },
  30500: { class: 'later', means: 'Twilio had a fault of its own.' },
};

/** The code in words; null for one that is not in the table. */
export function meaningOf(code: string | null): string | null {
  return code === null ? null : (errorCodes[code]?.means ?? null);
}

/** The class of a complete refusal. An unknown code takes the class of its HTTP status. */
export function classOf(httpStatus: number, code: string | null): ErrorClass {
  if (httpStatus === 429) return 'later';
  const known = code === null ? undefined : errorCodes[code];
  if (known !== undefined) return known.class;
  return httpStatus === 401 || httpStatus === 403 || httpStatus === 404 ? 'account' : 'for good';
}
