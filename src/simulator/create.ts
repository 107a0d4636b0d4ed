import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import { refuse, refuseWithStatus, type TwilioError } from './twilio-error.ts';

export type CreateRequest = {
  readonly to: string;
  readonly from: string | null;
  readonly messagingServiceSid: string | null;
  readonly body: string;
  readonly statusCallback: string | null;
};

/**
 * Reads the form of a create as Twilio would, and stricter: a field unknown to Twilio is refused by name, where Twilio would
 * ignore it, because here a misspelt field shall fail loudly. A field that Twilio knows and this simulator
 * cannot honour is refused too, rather than taken and forgotten.
 */
export function readCreate(form: URLSearchParams): CreateRequest | TwilioError {
  return refuseFields(form) ?? refuseMissing(form) ?? refuseValues(form) ?? requestIn(form);
}

/** Fields that are honoured. */
const honoured = new Set(['To', 'From', 'MessagingServiceSid', 'Body', 'StatusCallback', 'ValidityPeriod']);

/** Fields that change nothing a caller of the API could see, or that Twilio itself no longer obeys (`MaxPrice`). */
const harmless = new Set([
  'Attempt',
  'ForceDelivery',
  'MaxPrice',
  'MessageIntent',
  'ProvideFeedback',
  'RiskCheck',
  'SmartEncoded',
  'TrafficType',
]);

/** The others of Twilio's create (its OpenAPI description): real, but beyond a simulator of plain texts. */
const beyond = new Set([
  'AddressRetention',
  'ApplicationSid',
  'ContentRetention',
  'ContentSid',
  'ContentVariables',
  'FallbackFrom',
  'MediaUrl',
  'PersistentAction',
  'ScheduleType',
  'SendAsMms',
  'SendAt',
  'ShortenUrls',
]);

function refuseFields(form: URLSearchParams): TwilioError | undefined {
  for (const name of form.keys()) {
    if (beyond.has(name)) return refuseWithStatus(400, `Parameter '${name}' is not supported by this simulator.`);
    if (!honoured.has(name) && !harmless.has(name)) return refuse(20001, name);
    if (form.getAll(name).length > 1) return refuseWithStatus(400, `Parameter '${name}' is given more than once.`);
  }
  return undefined;
}

function refuseMissing(form: URLSearchParams): TwilioError | undefined {
  if (!form.get('To')) return refuse(21604);
  if (!form.get('From') && !form.get('MessagingServiceSid')) return refuse(21603);
  if (!form.get('Body')) return refuse(21602);
  return undefined;
}

function refuseValues(form: URLSearchParams): TwilioError | undefined {
  const { to, from, messagingServiceSid, body, statusCallback } = requestIn(form);
  const validityPeriod = form.get('ValidityPeriod');
  if (!isPhoneNumber(to)) return refuse(21211, to);
  if (from !== null && !isSender(from)) return refuse(21212, from);
  if (messagingServiceSid !== null && !/^MG[0-9a-f]{32}$/i.test(messagingServiceSid)) {
    return refuse(21701, messagingServiceSid);
  }
  if (body.length > 1600) return refuse(21617);
  if (statusCallback !== null && !isCallbackUrl(statusCallback)) return refuse(21609, statusCallback);
  if (validityPeriod !== null && !isValidityPeriod(validityPeriod)) return refuse(21624, validityPeriod);
  return undefined;
}

function requestIn(form: URLSearchParams): CreateRequest {
  return {
    to: form.get('To') ?? '',
    from: form.get('From') || null,
    messagingServiceSid: form.get('MessagingServiceSid') || null,
    body: form.get('Body') ?? '',
    statusCallback: form.get('StatusCallback') || null,
  };
}

/** Parsing a number takes as long as all the rest of a create, and most numbers come again. */
const judged = new Map<string, boolean>();

function isPhoneNumber(number: string): boolean {
  const before = judged.get(number);
  if (before !== undefined) return before;
  const isOne = /^\+[1-9]\d{4,14}$/.test(number) && parsePhoneNumberFromString(number)?.isPossible() === true;
  if (judged.size >= 10_000) judged.clear();
  judged.set(number, isOne);
  return isOne;
}

/** A phone number, a short code, or an alphanumeric sender ID: https://www.twilio.com/docs/glossary/what-alphanumeric-sender-id */
function isSender(from: string): boolean {
  if (from.startsWith('+')) return isPhoneNumber(from);
  return /^\d{3,8}$/.test(from) || /^(?=.*[a-z])[a-z0-9 +&_-]{1,11}$/i.test(from);
}

/** Twilio refuses host names with an underscore: https://www.twilio.com/docs/messaging/guides/track-outbound-message-status */
function isCallbackUrl(url: string): boolean {
  return /^https?:\/\//i.test(url) && URL.canParse(url) && !new URL(url).hostname.includes('_');
}

function isValidityPeriod(seconds: string): boolean {
  return /^\d{1,5}$/.test(seconds) && Number(seconds) >= 1 && Number(seconds) <= 36_000;
}
