import { hash } from 'node:crypto';
import { unescape as decode } from 'node:querystring';
import type { Delivery } from './callback-plan.ts';
import { apiVersion, type Message } from './messages.ts';

/** What a callback says of the message as it is now: https://www.twilio.com/docs/messaging/guides/track-outbound-message-status */
export function formOf(message: Message, now: number): Record<string, string> {
  const isReceipt = message.status === 'delivered' || message.status === 'undelivered';
  return {
    MessageSid: message.sid,
    SmsSid: message.sid,
    MessageStatus: message.status,
    SmsStatus: message.status,
    To: message.to,
    ...(message.from !== null && { From: message.from }),
    ...(message.messagingServiceSid !== null && { MessagingServiceSid: message.messagingServiceSid }),
    AccountSid: message.accountSid,
    ApiVersion: apiVersion,
    ...(message.errorCode !== null && { ErrorCode: String(message.errorCode) }),
    // Passed on from the carrier's receipt, so only where there is one: YYMMDDhhmm.
    ...(isReceipt && { RawDlrDoneDate: new Date(now).toISOString().replace(/\D/g, '').slice(2, 12) }),
  };
}

/** The form as this delivery changes it. */
export function changeForm(form: Readonly<Record<string, string>>, delivery: Delivery): URLSearchParams {
  const changed = new URLSearchParams({ ...form, ...delivery.extra, ...(delivery.isForged && lieAbout(form)) });
  for (const name of delivery.without) changed.delete(name);
  return changed;
}

function lieAbout({ MessageStatus: truth }: Readonly<Record<string, string>>): Record<string, string> {
  const lie = truth === 'delivered' ? 'failed' : 'delivered';
  return { MessageStatus: lie, SmsStatus: lie };
}

export function headersOf(callbackUrl: string, sid: string, status: string, signature: string): Record<string, string> {
  const { username, password } = new URL(callbackUrl);
  const user = Buffer.from(`${decode(username)}:${decode(password)}`).toString('base64');
  return {
    'content-type': 'application/x-www-form-urlencoded; charset=UTF-8',
    'user-agent': 'TwilioProxy/1.1',
    'x-twilio-signature': signature,
    // The same on every try of one callback, which is what the header is for.
    'i-twilio-idempotency-token': hash('sha256', `${sid} ${status}`, 'hex').slice(0, 32),
    ...((username !== '' || password !== '') && { authorization: `Basic ${user}` }),
  };
}
