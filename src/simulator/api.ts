import type { Deed } from './deed.ts';
import type { TwilioError } from './twilio-error.ts';

/**
 * What Twilio's Messages API does, apart from HTTP. There are two: the lively one and the quiet one. A TwilioError refuses
 * the request for its form alone; whatever else can go wrong is what the deed answers.
 */
export type MessagesApi = {
  /** May this user (an account's or an API key's SID) with this password call? */
  knows(user: string, password: string): boolean;
  owns(accountSid: string): boolean;
  create(accountSid: string, form: URLSearchParams): Deed | TwilioError;
  list(accountSid: string, query: URLSearchParams): Deed | TwilioError;
  fetch(accountSid: string, sid: string): Deed;
  update(accountSid: string, sid: string, form: URLSearchParams): Deed | TwilioError;
  remove(accountSid: string, sid: string): Deed;
  /** The SID of some other message, if there is one. */
  sidOtherThan(sid: string | undefined): string | undefined;
};
