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
  /** `isOurs`: we did not even try, which says nothing about Twilio. */
  | { readonly kind: 'not processed'; readonly reason: string; readonly isOurs?: true }
  | { readonly kind: 'unknown'; readonly httpStatus: number | null; readonly reason: string };

/** The fields of Twilio's message resource that matter here, in our types. */
export type TwilioMessage = {
  readonly sid: string;
  readonly status: string;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  /** ISO 8601 UTC. */
  readonly dateSent: string | null;
  /** ISO 8601 UTC, to the second. */
  readonly dateCreated: string | null;
  readonly body: string | null;
  readonly from: string | null;
  readonly to: string | null;
  readonly messagingServiceSid: string | null;
};

/**
 * Was it provably not processed now, and may the same message be taken later? Of a caller who waits for the answer such a
 * message ends with 503; one that nobody waits for is sent later (G3).
 */
export function mayBeTakenLater(outcome: Extract<CreateOutcome, { kind: 'refused' | 'not processed' }>): boolean {
  return outcome.kind === 'not processed' || outcome.errorClass === 'later' || outcome.errorClass === 'account';
}

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
  date_created: z.string().nullish(),
  body: z.string().nullish(),
  from: z.string().nullish(),
  to: z.string().nullish(),
  messaging_service_sid: z.string().nullish(),
});

export function readTwilioMessage(body: string): TwilioMessage | null {
  const parsed = resource.safeParse(readJson(body));
  return parsed.success ? messageOf(parsed.data) : null;
}

function messageOf(fields: z.output<typeof resource>): TwilioMessage {
  return {
    sid: fields.sid,
    status: fields.status,
    errorCode: fields.error_code == null ? null : String(fields.error_code),
    errorMessage: fields.error_message ?? null,
    dateSent: asIsoDate(fields.date_sent ?? null),
    dateCreated: asIsoDate(fields.date_created ?? null),
    body: fields.body ?? null,
    from: fields.from ?? null,
    to: fields.to ?? null,
    messagingServiceSid: fields.messaging_service_sid ?? null,
  };
}

/** A page of Twilio's list; `next` is the address of the page after it. One message that cannot be read spoils the page. */
export type TwilioPage = { readonly messages: readonly TwilioMessage[]; readonly next: string | null };

const page = z.object({ messages: z.array(resource), next_page_uri: z.string().nullish() });

export function readTwilioPage(body: string): TwilioPage | null {
  const parsed = page.safeParse(readJson(body));
  if (!parsed.success) return null;
  return { messages: parsed.data.messages.map(messageOf), next: parsed.data.next_page_uri || null };
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
