import type { ErrorClass } from './error-codes.ts';

/** What there is to know of one of Twilio's codes, in words for whoever has to do something about it. */
export type ErrorEntry = {
  readonly class: ErrorClass;
  /** What happened. */
  readonly means: string;
  readonly whatToDo: string;
  /** On our side of Twilio: by the hospital, or whoever runs this service for it. */
  readonly canWeFix: 'yes' | 'no' | 'partly';
  /** Who can do something about it. */
  readonly who: string;
};

/** The codes that Twilio answers with, and those of deliveries that failed: https://www.twilio.com/docs/api/errors, in our words. */
export const errorTable: Readonly<Record<string, ErrorEntry>> = {
  20001: {
    class: 'for good',
    means: 'Twilio does not take one of the fields or values that we sent.',
    whatToDo:
      "Do not send it again as it is. Give the message's id to the developers of this service: no caller can cause this.",
    canWeFix: 'yes',
    who: 'the developers of this service',
  },
  20003: {
    class: 'account',
    means: 'Twilio does not accept our account SID and token.',
    whatToDo:
      "Nothing can be sent. Compare the account SID and the token in the configuration with those in Twilio's console; after a rotation restart with the new token.",
    canWeFix: 'yes',
    who: 'whoever runs this service',
  },
  20005: {
    class: 'account',
    means: 'The Twilio account is not active.',
    whatToDo:
      "Nothing can be sent. Look for a notice about payment or a closed account in Twilio's console, and ask Twilio's support.",
    canWeFix: 'partly',
    who: 'whoever holds the Twilio account',
  },
  20009: {
    class: 'later',
    means: 'Twilio still has this message under way, so it can be neither emptied nor removed there yet.',
    whatToDo: 'Nothing: this service asks again by itself until it has ended.',
    canWeFix: 'no',
    who: 'nobody',
  },
  20404: {
    class: 'account',
    means: 'Twilio does not know what we asked for: the account, or a message that it has no more.',
    whatToDo:
      "If nothing can be sent, compare the account SID and the base URL in the configuration with Twilio's console. If it is one message, Twilio has removed it.",
    canWeFix: 'partly',
    who: 'whoever runs this service',
  },
  20429: {
    class: 'later',
    means: 'Twilio had too many requests from us at once and did not process this one.',
    whatToDo:
      'Send it again in some minutes. If it happens every day, lower TWILIO_MAX_CONCURRENCY, or ask Twilio for more.',
    canWeFix: 'partly',
    who: 'whoever runs this service',
  },
  20500: {
    class: 'later',
    means: 'Twilio had a fault of its own while it answered us.',
    whatToDo:
      'Look at status.twilio.com. This service finds out by itself whether Twilio took the message: do not send it again before it has.',
    canWeFix: 'no',
    who: 'Twilio',
  },
  20503: {
    class: 'later',
    means: 'Twilio could not be reached for the moment, by its own account.',
    whatToDo:
      'Look at status.twilio.com. This service finds out by itself whether Twilio took the message: do not send it again before it has.',
    canWeFix: 'no',
    who: 'Twilio',
  },
  21211: {
    class: 'for good',
    means: 'The receiver is not a valid phone number.',
    whatToDo: 'Ask the patient for the right number, correct the record, and send to that one.',
    canWeFix: 'no',
    who: 'the clinic that holds the number',
  },
  21212: {
    class: 'for good',
    means: 'The sender is not a valid phone number or name.',
    whatToDo:
      'Correct the sender in the product that sends: a number with its country code, or a name of at most 11 letters and digits with a letter in it.',
    canWeFix: 'yes',
    who: 'whoever runs the product that sends',
  },
  21408: {
    class: 'configuration',
    means: 'The account may not send to this country.',
    whatToDo:
      "If patients there are to have texts, allow the country under Geo permissions in Twilio's console; then send again. Else correct the number.",
    canWeFix: 'yes',
    who: 'whoever holds the Twilio account',
  },
  21602: {
    class: 'for good',
    means: 'The message has no text.',
    whatToDo: 'Find out why the product sent an empty text, and send a new one.',
    canWeFix: 'yes',
    who: 'whoever runs the product that sends',
  },
  21603: {
    class: 'for good',
    means: 'The message has no sender.',
    whatToDo: 'Set the sender in the product that sends, and send again.',
    canWeFix: 'yes',
    who: 'whoever runs the product that sends',
  },
  21604: {
    class: 'for good',
    means: 'The message has no receiver.',
    whatToDo: "Add the patient's number to the record, and send again.",
    canWeFix: 'yes',
    who: 'the clinic that holds the number',
  },
  21606: {
    class: 'configuration',
    means: 'The sender number does not belong to the account, or cannot send texts.',
    whatToDo:
      "Look under Phone numbers in Twilio's console whether the sender is there and can send texts to that country. Correct it there or in the product that sends.",
    canWeFix: 'yes',
    who: 'whoever holds the Twilio account',
  },
  21609: {
    class: 'configuration',
    means: 'Twilio does not accept our callback URL.',
    whatToDo:
      'Compare TWILIO_CALL_BACK_URL with the public address of this service; the command doctor checks it. Send again once it is right.',
    canWeFix: 'yes',
    who: 'whoever runs this service',
  },
  21610: {
    class: 'for good',
    means: 'The receiver has opted out of texts from this sender.',
    whatToDo:
      'Do not try again: the patient has answered STOP. Reach the patient in another way; only the patient can undo it, by texting START to that sender.',
    canWeFix: 'no',
    who: 'the patient',
  },
  21611: {
    class: 'later',
    means: "The sender's queue at Twilio is full.",
    whatToDo:
      'Send again later, when the queue has drained. If it happens often, spread texts over the day or over more senders.',
    canWeFix: 'partly',
    who: 'whoever runs the product that sends',
  },
  21612: {
    class: 'for good',
    means: 'Twilio has no route from this sender to this receiver.',
    whatToDo:
      "Check the number. If it is right, send from another sender, for instance a number of the receiver's country, or ask Twilio's support.",
    canWeFix: 'partly',
    who: 'whoever holds the Twilio account',
  },
  21614: {
    class: 'for good',
    means: 'The receiver is not a mobile number.',
    whatToDo: 'Ask the patient for a mobile number, correct the record, and send to that one.',
    canWeFix: 'no',
    who: 'the clinic that holds the number',
  },
  21617: {
    class: 'for good',
    means: 'The text is longer than 1,600 characters.',
    whatToDo: 'Shorten the text in the product that sends, or make two of it.',
    canWeFix: 'yes',
    who: 'whoever runs the product that sends',
  },
  21624: {
    class: 'for good',
    means: 'Twilio does not accept for how long the message is to stay valid.',
    whatToDo:
      "Do not send it again as it is. Give the message's id to the developers of this service: it reckons that time itself.",
    canWeFix: 'yes',
    who: 'the developers of this service',
  },
  21635: {
    class: 'for good',
    means: 'The receiver is a landline and cannot receive texts.',
    whatToDo: 'Ask the patient for a mobile number, or ring. Sending again to this number is no use.',
    canWeFix: 'no',
    who: 'the clinic that holds the number',
  },
  21701: {
    class: 'configuration',
    means: 'The messaging service that was named as sender is not in the account.',
    whatToDo:
      "Compare the sender (MG…) in the product that sends with the messaging services in Twilio's console, and send again once they agree.",
    canWeFix: 'yes',
    who: 'whoever runs the product that sends',
  },
  21703: {
    class: 'configuration',
    means: 'The messaging service has no sender that could be used.',
    whatToDo: "Add a number to the messaging service in Twilio's console; then send again.",
    canWeFix: 'yes',
    who: 'whoever holds the Twilio account',
  },
  30001: {
    class: 'later',
    means: 'The queue at Twilio overflowed.',
    whatToDo: 'Send again later. If it happens often, spread texts over the day or over more senders.',
    canWeFix: 'partly',
    who: 'whoever runs the product that sends',
  },
  30002: {
    class: 'account',
    means: 'The Twilio account is suspended.',
    whatToDo: "Nothing is delivered. Look for a notice in Twilio's console, and ask Twilio's support at once.",
    canWeFix: 'partly',
    who: 'whoever holds the Twilio account',
  },
  30003: {
    class: 'later',
    means: 'The handset could not be reached: switched off or without signal.',
    whatToDo: 'Send again in some hours. If it fails again, ring the patient, and check the number.',
    canWeFix: 'no',
    who: 'the patient',
  },
  30004: {
    class: 'for good',
    means: 'The receiver or the carrier blocks this text.',
    whatToDo: 'Reach the patient in another way. The patient may ask the carrier to lift the block.',
    canWeFix: 'no',
    who: 'the patient and the carrier',
  },
  30005: {
    class: 'for good',
    means: 'The carrier does not know the receiver.',
    whatToDo: 'Ask the patient for the right number: this one is not in use, or no more.',
    canWeFix: 'no',
    who: 'the clinic that holds the number',
  },
  30006: {
    class: 'for good',
    means: 'The receiver is a landline, or its carrier takes no texts.',
    whatToDo: 'Ask the patient for a mobile number, or ring.',
    canWeFix: 'no',
    who: 'the clinic that holds the number',
  },
  30007: {
    class: 'for good',
    means: 'The carrier filtered the text out.',
    whatToDo:
      "Word it otherwise: short links, capital letters and one text to many look like spam. If it goes on, give Twilio's support some SIDs.",
    canWeFix: 'partly',
    who: 'whoever words the texts',
  },
  30008: {
    class: 'for good',
    means: 'The carrier reported a failure without a reason.',
    whatToDo:
      "Check the number and send again once. If it fails again, reach the patient in another way and give Twilio's support the SID.",
    canWeFix: 'no',
    who: 'the carrier',
  },
  30022: {
    class: 'later',
    means: 'The carrier limits how fast this sender may send.',
    whatToDo: 'Send again later, and send more slowly from this sender.',
    canWeFix: 'partly',
    who: 'whoever runs the product that sends',
  },
  30032: {
    class: 'configuration',
    means: 'The toll-free sender number is not verified.',
    whatToDo: "Have the number verified in Twilio's console, or send from another sender meanwhile.",
    canWeFix: 'yes',
    who: 'whoever holds the Twilio account',
  },
  30034: {
    class: 'configuration',
    means: 'The sender number is not registered with the carriers.',
    whatToDo:
      "Register the number for texts to the United States in Twilio's console, or send from another sender meanwhile.",
    canWeFix: 'yes',
    who: 'whoever holds the Twilio account',
  },
  30409: {
    class: 'for good',
    means: 'The message was already on its way, so it could not be cancelled at Twilio.',
    whatToDo: 'Nothing can be done to hold it back. Look at its status to see whether it arrived.',
    canWeFix: 'no',
    who: 'nobody',
  },
  30450: {
    class: 'later',
    means: 'Twilio or the carrier holds back texts to this receiver for the moment.',
    whatToDo:
      "Send again in some hours. If it goes on, ask Twilio's support, with the SID, whether numbers of this kind are taken for fraud.",
    canWeFix: 'partly',
    who: 'whoever holds the Twilio account',
  },
  30500: {
    class: 'later',
    means: 'Twilio had a fault of its own.',
    whatToDo: "Look at status.twilio.com, and send again. If it fails again, give Twilio's support the SID.",
    canWeFix: 'no',
    who: 'Twilio',
  },
};
