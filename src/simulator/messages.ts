export type MessageStatus = 'accepted' | 'queued' | 'sending' | 'sent' | 'delivered' | 'undelivered' | 'failed';

/** A message as the simulator keeps it. */
export type Message = {
  readonly sid: string;
  readonly accountSid: string;
  readonly to: string;
  readonly from: string | null;
  readonly messagingServiceSid: string | null;
  readonly statusCallback: string | null;
  readonly segments: number;
  readonly created: Date;
  body: string;
  status: MessageStatus;
  errorCode: number | null;
  sent: Date | null;
  updated: Date;
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
  return status === 'delivered' || status === 'undelivered' || status === 'failed';
}

export function advance(message: Message, status: MessageStatus, errorCode: number | null, now: Date): void {
  message.status = status;
  message.errorCode = errorCode;
  message.updated = now;
  if (status === 'sent') message.sent = now;
}

export function redact(message: Message, now: Date): void {
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
    date_sent: message.sent && asRfc2822(message.sent),
    date_updated: asRfc2822(message.updated),
    direction: 'outbound-api',
    error_code: message.errorCode,
    error_message: message.errorCode === null ? null : (deliveryErrors[message.errorCode] ?? 'Unknown error'),
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

/** Why a message that Twilio took was not delivered: https://www.twilio.com/docs/api/errors */
const deliveryErrors: Readonly<Record<number, string>> = {
  30003: 'Unreachable destination handset',
  30005: 'Unknown destination handset',
  30006: 'Landline or unreachable carrier',
  30008: 'Unknown error',
};

function asRfc2822(date: Date): string {
  return date.toUTCString().replace('GMT', '+0000');
}
