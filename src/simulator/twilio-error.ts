/** An error as Twilio's REST API answers it: HTTP status, Twilio's own code, and words. */
export type TwilioError = {
  readonly status: number;
  readonly code: number;
  readonly message: string;
  readonly retryAfterS?: number;
};

/**
 * What a request can be refused for. `{}` stands for the value at fault. Codes and meanings: https://www.twilio.com/docs/api/errors;
 * the words are those that public code and logs show. 20001 is a mere warning at Twilio, which ignores unknown fields; here it
 * refuses, because a misspelt field that is silently ignored is how texts go out without their callback.
 */
const refusals = {
  20001: { status: 400, message: "Unknown parameter '{}'. Twilio would ignore it; this simulator refuses it." },
  20003: { status: 401, message: 'Authenticate' },
  20009: { status: 409, message: 'Cannot delete message because delivery has not been completed.' },
  20404: { status: 404, message: 'The requested resource {} was not found' },
  20429: { status: 429, message: 'Too Many Requests', retryAfterS: 1 },
  20500: { status: 500, message: 'An internal server error has occurred' },
  20503: { status: 503, message: 'Service unavailable' },
  21211: { status: 400, message: "The 'To' number {} is not a valid phone number." },
  21212: {
    status: 400,
    message: "The 'From' number {} is not a valid phone number, shortcode, or alphanumeric sender ID.",
  },
  21408: {
    status: 400,
    message: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {}.",
  },
  21602: { status: 400, message: 'Message body is required.' },
  21603: { status: 400, message: "A 'From' phone number is required." },
  21604: { status: 400, message: "A 'To' phone number is required." },
  21606: {
    status: 400,
    message:
      'The From phone number {} is not a valid, SMS-capable inbound phone number or short code for your account.',
  },
  21609: { status: 400, message: "The 'StatusCallback' URL {} is not a valid URL." },
  21610: { status: 400, message: 'Attempt to send to unsubscribed recipient' },
  21611: { status: 400, message: "This 'From' number {} has exceeded the maximum number of queued messages." },
  21612: { status: 400, message: "The 'To' phone number {} is not currently reachable via SMS." },
  21614: { status: 400, message: "'To' number {} is not a valid mobile number." },
  21617: { status: 400, message: 'The concatenated message body exceeds the 1600 character limit.' },
  21624: { status: 400, message: 'Invalid validity period value: {}. It must be a whole number from 1 to 36000.' },
  21701: { status: 400, message: 'The Messaging Service resource {} was not found.' },
  30409: { status: 409, message: 'This message cannot be canceled' },
} as const satisfies Record<number, Omit<TwilioError, 'code'>>;

export type RefusalCode = keyof typeof refusals;

/** Twilio's refusal with this code; `value` is what it complains about. */
export function refuse(code: RefusalCode, value = ''): TwilioError {
  const refusal = refusals[code];
  return { code, ...refusal, message: refusal.message.replace('{}', () => value) };
}

/** A refusal for which Twilio has no code of its own: the HTTP status is the code, as on https://www.twilio.com/docs/api/errors/400 */
export function refuseWithStatus(status: number, message: string): TwilioError {
  return { status, code: status, message };
}

/** A parameter that Twilio knows, with a value that it refuses. */
export function refuseParameter(message: string): TwilioError {
  return { status: 400, code: 20001, message };
}

/** An outage: Twilio's code for this HTTP status where it has one. */
export function refuseAsDown(status: number, retryAfterS?: number): TwilioError {
  const codes: Readonly<Record<number, RefusalCode>> = { 401: 20003, 429: 20429, 500: 20500, 503: 20503 };
  const code = codes[status];
  const { retryAfterS: _, ...refusal } =
    code === undefined ? refuseWithStatus(status, 'Something went wrong') : refuse(code);
  return retryAfterS === undefined ? refusal : { ...refusal, retryAfterS };
}

export function isRefused(answer: object): answer is TwilioError {
  return 'code' in answer && 'status' in answer;
}

/** The JSON body that Twilio answers an error with. */
export function errorBody(error: TwilioError) {
  return {
    code: error.code,
    message: error.message,
    more_info: `https://www.twilio.com/docs/errors/${error.code}`,
    status: error.status,
  };
}

/** Why a message that Twilio took was not delivered: https://www.twilio.com/docs/api/errors */
export function wordsFor(errorCode: number): string {
  return deliveryErrors[errorCode] ?? 'Unknown error';
}

const deliveryErrors: Readonly<Record<number, string>> = {
  30003: 'Unreachable destination handset',
  30005: 'Unknown destination handset',
  30006: 'Landline or unreachable carrier',
};
