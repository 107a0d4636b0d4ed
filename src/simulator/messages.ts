import { type TwilioError, wordsFor } from './twilio-error.ts';

export type MessageStatus =
  | 'accepted'
  | 'queued'
  | 'sending'
  | 'sent'
  | 'delivered'
  | 'undelivered'
  | 'failed'
  | 'canceled';

/** A message as the simulator keeps it. Moments are milliseconds since 1970. */
export type Message = {
  readonly sid: string;
  readonly accountSid: string;
  readonly to: string;
  readonly from: string | null;
  readonly messagingServiceSid: string | null;
  readonly statusCallback: string | null;
  readonly segments: number;
  /** names the text, also after the text was emptied */
  readonly textHash: string;
  /** Twilio refused the create, and lists it all the same (TWILIO.md 15) */
  readonly refusal: TwilioError | null;
  body: string;
  status: MessageStatus;
  errorCode: number | null;
  created: number;
  sent: number | null;
  updated: number;
};

/** The Message resource as Twilio answers it: numbers as strings, dates in RFC 2822, nearly everything nullable (TWILIO.md 5). */
export type TwilioMessage = {
  readonly account_sid: string;
  readonly api_version: string;
  readonly body: string;
  readonly date_created: string | null;
  readonly date_sent: string | null;
  readonly date_updated: string | null;
  readonly direction: 'outbound-api';
  readonly error_code: number | null;
  readonly error_message: string | null;
  readonly from: string | null;
  readonly messaging_service_sid: string | null;
  readonly num_media: string;
  readonly num_segments: string;
  readonly price: string | null;
  readonly price_unit: string;
  readonly sid: string;
  readonly status: MessageStatus;
  readonly subresource_uris: { readonly media: string };
  readonly to: string;
  readonly uri: string;
};

export const apiVersion = '2010-04-01';

/** A status after which nothing follows. `sent` is not one of them, though it often is the last word (TWILIO.md 9). */
export function isFinal(status: MessageStatus): boolean {
  return status === 'delivered' || status === 'undelivered' || status === 'failed' || status === 'canceled';
}

/** Can it still be held back? Twilio says "only while scheduled"; here a moment longer: until it is being sent. */
export function isCancelable(status: MessageStatus): boolean {
  return status === 'accepted' || status === 'queued';
}

export function advance(message: Message, status: MessageStatus, errorCode: number | null, now: number): void {
  message.status = status;
  message.errorCode = errorCode;
  message.updated = now;
  if (status === 'sent') message.sent = now;
}

export function redact(message: Message, now: number): void {
  message.body = '';
  message.updated = now;
}

export function asResource(message: Message): TwilioMessage {
  const path = `/${apiVersion}/Accounts/${message.accountSid}/Messages/${message.sid}`;
  return {
    account_sid: message.accountSid,
    api_version: apiVersion,
    body: message.body,
    date_created: asRfc2822(message.created),
    date_sent: message.sent === null ? null : asRfc2822(message.sent),
    date_updated: asRfc2822(message.updated),
    direction: 'outbound-api',
    error_code: message.errorCode,
    error_message: message.errorCode === null ? null : (message.refusal?.message ?? wordsFor(message.errorCode)),
    from: message.from,
    messaging_service_sid: message.messagingServiceSid,
    num_media: '0',
    num_segments: String(message.segments),
    price: null,
    price_unit: 'USD',
    sid: message.sid,
    status: message.status,
    subresource_uris: { media: `${path}/Media.json` },
    to: message.to,
    uri: `${path}.json`,
  };
}

/** Three dates an answer, and most of them of the second before: written once a second. */
let lastSecond = Number.NaN;
let lastWritten = '';

function asRfc2822(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastWritten = new Date(second * 1000).toUTCString().replace('GMT', '+0000');
  }
  return lastWritten;
}
