import { z } from 'zod';
import { classOf, type ErrorClass } from './error-codes.ts';
import { type Exchange, readJson } from './exchange.ts';

/** What became of a create request. Everything that is not provably one of the first three is `unknown` (G3). */
export type CreateOutcome =
  | { readonly kind: 'accepted'; readonly message: TwilioMessage }
  | {
      readonly kind: 'refused';
      readonly errorClass: ErrorClass;
      readonly httpStatus: number;
      readonly code: string | null;
      readonly retryAfterS: number | null;
    }
  | { readonly kind: 'not processed'; readonly reason: string }
  | { readonly kind: 'unknown'; readonly httpStatus: number | null; readonly reason: string };

/** The fields of Twilio's message resource that matter here, in our types. */
export type TwilioMessage = {
  readonly sid: string;
  readonly status: string;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  /** ISO 8601 UTC. */
  readonly dateSent: string | null;
  readonly body: string | null;
};

export function outcomeOfCreate(exchange: Exchange): CreateOutcome {
  switch (exchange.kind) {
    case 'not written':
      return { kind: 'not processed', reason: exchange.reason };
    case 'broken off':
      return { kind: 'unknown', httpStatus: null, reason: exchange.reason };
    case 'answered':
      return outcomeOfAnswer(exchange);
    default:
      return exchange satisfies never;
  }
}

function outcomeOfAnswer(answer: Extract<Exchange, { kind: 'answered' }>): CreateOutcome {
  const { httpStatus, retryAfterS } = answer;
  if (httpStatus === 201 || httpStatus === 200) {
    const message = readTwilioMessage(answer.body);
    if (message !== null) return { kind: 'accepted', message };
    return { kind: 'unknown', httpStatus, reason: 'the answer could not be read' };
  }
  if (httpStatus === 429) {
    return { kind: 'refused', errorClass: 'later', httpStatus, code: readErrorCode(answer.body), retryAfterS };
  }
  const code = readErrorCode(answer.body);
  // Only an error that carries Twilio's code is Twilio's word; a proxy's 408 may come after Twilio took the message.
  const isRefusal = httpStatus >= 400 && httpStatus < 500 && code !== null;
  if (!isRefusal) return { kind: 'unknown', httpStatus, reason: `HTTP status ${httpStatus}` };
  return { kind: 'refused', errorClass: classOf(httpStatus, code), httpStatus, code, retryAfterS };
}

// Numbers arrive as strings and nearly everything can be null (TWILIO.md 5).
const resource = z.object({
  sid: z.string().min(1).max(64),
  status: z.string().min(1).max(64),
  error_code: z.union([z.number(), z.string()]).nullish(),
  error_message: z.string().nullish(),
  date_sent: z.string().nullish(),
  body: z.string().nullish(),
});

export function readTwilioMessage(body: string): TwilioMessage | null {
  const parsed = resource.safeParse(readJson(body));
  if (!parsed.success) return null;
  const { sid, status, error_code, error_message, date_sent } = parsed.data;
  return {
    sid,
    status,
    errorCode: error_code == null ? null : String(error_code),
    errorMessage: error_message ?? null,
    dateSent: asIsoDate(date_sent ?? null),
    body: parsed.data.body ?? null,
  };
}

/** Twilio writes RFC 2822 dates. */
function asIsoDate(text: string | null): string | null {
  const milliseconds = text === null ? Number.NaN : Date.parse(text);
  return Number.isNaN(milliseconds) ? null : new Date(milliseconds).toISOString();
}

const errorBody = z.object({ code: z.number().int().nullish(), message: z.string() });

export function readErrorCode(body: string): string | null {
  const parsed = errorBody.safeParse(readJson(body));
  return parsed.success && parsed.data.code != null ? String(parsed.data.code) : null;
}
