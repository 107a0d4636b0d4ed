import type { TwilioMessage } from './messages.ts';
import type { TwilioError } from './twilio-error.ts';

/** What Twilio's Messages API does, apart from HTTP. There are two: the lively one and the quiet one. */
export type MessagesApi = {
  /** May this user (an account's or an API key's SID) with this password call? */
  knows(user: string, password: string): boolean;
  owns(accountSid: string): boolean;
  create(accountSid: string, form: URLSearchParams): TwilioMessage | TwilioError;
  fetch(accountSid: string, sid: string): TwilioMessage | undefined;
  /** `undefined`: there is no such message */
  update(accountSid: string, sid: string, form: URLSearchParams): TwilioMessage | TwilioError | undefined;
};
