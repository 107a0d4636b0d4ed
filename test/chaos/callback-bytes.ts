import { sign } from '../../src/twilio/signature.ts';
import { account } from './stage.ts';

/** A callback as Twilio sends it; `uuid` is our id in the URL that Twilio was given, null when it was not ours. */
export type CallbackToSend = {
  readonly uuid: string | null;
  readonly sid: string;
  readonly status: string;
  readonly receiver: string;
  readonly errorCode?: string | null;
  readonly moreFields?: Readonly<Record<string, string>>;
};

/** The whole request in bytes. `callbackUrl` is the service's public address, and what is signed. */
export function callbackInBytes(callback: CallbackToSend, callbackUrl: string, token = account.token): Buffer {
  const query = callback.uuid === null ? '' : `?m=${callback.uuid}&a=1`;
  const form = new URLSearchParams(fieldsOf(callback));
  const body = form.toString();
  const head = [
    `POST ${new URL(callbackUrl).pathname}${query} HTTP/1.1`,
    'Host: sms',
    'User-Agent: TwilioProxy/1.1',
    'Content-Type: application/x-www-form-urlencoded; charset=UTF-8',
    `X-Twilio-Signature: ${sign(token, callbackUrl + query, form)}`,
    `Content-Length: ${body.length}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1');
}

function fieldsOf({ sid, status, receiver, errorCode = null, moreFields }: CallbackToSend): Record<string, string> {
  const isReceipt = status === 'delivered' || status === 'undelivered';
  return {
    MessageSid: sid,
    SmsSid: sid,
    MessageStatus: status,
    SmsStatus: status,
    To: receiver,
    From: '+447700900001',
    AccountSid: account.sid,
    ApiVersion: '2010-04-01',
    ...(errorCode !== null && { ErrorCode: errorCode }),
    ...(isReceipt && { RawDlrDoneDate: '2611240900' }),
    ...moreFields,
  };
}
