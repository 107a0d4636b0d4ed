import type { TwilioConfig } from '../config-twilio.ts';
import { type Exchange, openTransport, type TwilioRequest } from './exchange.ts';
import {
  type CreateOutcome,
  outcomeOfCreate,
  readErrorCode,
  readTwilioMessage,
  readTwilioPage,
  type TwilioMessage,
} from './outcome.ts';

/** What became of a look-up or a redaction; both are safe to repeat. */
type FetchOutcome =
  | { readonly kind: 'found'; readonly message: TwilioMessage }
  /** Twilio does not have it (any more). */
  | { readonly kind: 'gone' }
  | Failure;
export type RedactOutcome =
  /** Twilio's answer showed the empty body, or Twilio no longer has the message. */
  | { readonly kind: 'redacted' }
  /** Only a finished message can be emptied; Twilio thinks it is under way (20009). */
  | { readonly kind: 'not finished' }
  | Failure;
type ListOutcome =
  /** All messages that were asked for, newest first; complete. */
  { readonly kind: 'listed'; readonly messages: readonly TwilioMessage[] } | Failure;
/** One page of the account's whole list, newest first; `next` names the page after it. */
export type PageOutcome =
  | { readonly kind: 'page'; readonly messages: readonly TwilioMessage[]; readonly next: string | null }
  | Failure;
type Failure = {
  readonly kind: 'failed';
  /** Not this message's fault, so the next one would most likely fail alike. */
  readonly isGeneral: boolean;
  readonly reason: string;
  /** Twilio had too many requests (429) and did not look at this one: how long it asks to wait, 0 when it does not say. */
  readonly tooManyRetryAfterS?: number;
};

/** The Twilio calls this service makes, and nothing else. None of them repeats a request. */
export type TwilioClient = {
  /** https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource */
  create(text: OutgoingText): Promise<CreateOutcome>;
  fetch(sid: string): Promise<FetchOutcome>;
  /** https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources */
  list(wanted: Wanted): Promise<ListOutcome>;
  /** The newest 1,000 messages of the account, or the page that an earlier one called `next`. */
  page(next: string | null): Promise<PageOutcome>;
  /** https://www.twilio.com/docs/messaging/tutorials/how-to-retrieve-and-modify-message-history#redact-a-message */
  redact(sid: string): Promise<RedactOutcome>;
  close(): Promise<void>;
};

const LOOK_UPS = 10;

type OutgoingText = {
  /** E.164, a short code, a name, or `MG…` for a messaging service. */
  readonly from: string;
  /** E.164. */
  readonly to: string;
  readonly body: string;
  readonly statusCallback: string;
  /** After so many seconds Twilio must not send it any more; null = Twilio's own limit, ten hours. */
  readonly validForS: number | null;
  /** How long the exchange may take. */
  readonly timeoutMs: number;
};

/** Messages to this number, or to all; pages are followed back to one created before `since`, or no further than the first. */
type Wanted = { readonly to?: string; readonly pageSize: number } & (
  | { readonly since: Date }
  | { readonly since?: never }
);

/** More pages than this, or more time than two calls may take before the last one, and no conclusion is drawn from the list. */
const MAX_PAGES = 50;
const LIST_WITHIN_CALLS = 2;
/** Pages of 100 messages, when one number's are looked for. */
const MAX_LIST_BYTES = 2 * 1024 * 1024;
/** The most that Twilio gives, https://www.twilio.com/docs/usage/twilios-response#pagination */
const FULL_PAGE = 1_000;
/** 1,000 texts of 1,600 characters, each written as \uXXXX, and what stands around them. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;

export function openTwilioClient(
  config: Pick<TwilioConfig, 'accountSid' | 'authTokens' | 'apiKey' | 'baseUrl' | 'timeoutMs' | 'maxConcurrency'>,
): TwilioClient {
  // Sends, redactions and look-ups each have a bound of their own, and none waits for another's socket.
  const transport = openTransport({ baseUrl: config.baseUrl, connections: config.maxConcurrency * 2 + LOOK_UPS });
  const messages = `/2010-04-01/Accounts/${encodeURIComponent(config.accountSid)}/Messages`;
  const request = (method: 'GET' | 'POST', path: string, form?: Record<string, string>, timeoutMs = config.timeoutMs) =>
    transport.exchange(toRequest(config, method, path, form, timeoutMs));
  const getList = (path: string, maxAnswerBytes: number) =>
    transport.exchange({ ...toRequest(config, 'GET', path, undefined, config.timeoutMs), maxAnswerBytes });

  return {
    create: async (text) =>
      outcomeOfCreate(await request('POST', `${messages}.json`, createForm(text), text.timeoutMs)),
    fetch: async (sid) => outcomeOfFetch(await request('GET', `${messages}/${encodeURIComponent(sid)}.json`)),
    list: (wanted) =>
      listFrom(wanted, `${messages}.json`, config.timeoutMs, async (path) =>
        outcomeOfPage(await getList(path, MAX_LIST_BYTES)),
      ),
    page: async (next) =>
      outcomeOfPage(await getList(next ?? `${messages}.json?PageSize=${FULL_PAGE}`, MAX_PAGE_BYTES)),
    redact: async (sid) =>
      outcomeOfRedact(await request('POST', `${messages}/${encodeURIComponent(sid)}.json`, { Body: '' })),
    close: () => transport.close(),
  };
}

function createForm(text: OutgoingText): Record<string, string> {
  const sender = /^MG[0-9a-fA-F]{32}$/.test(text.from) ? { MessagingServiceSid: text.from } : { From: text.from };
  const validity = validityPeriod(text.validForS);
  return {
    To: text.to,
    ...sender,
    Body: text.body,
    StatusCallback: text.statusCallback,
    ...(validity !== null && { ValidityPeriod: validity }),
  };
}

/** Whole seconds from 1 to 36,000; more than that is what Twilio does by itself. */
function validityPeriod(validForS: number | null): string | null {
  if (validForS === null || validForS > 36_000) return null;
  return String(Math.max(1, Math.floor(validForS)));
}

async function listFrom(
  { to, pageSize, since }: Wanted,
  address: string,
  timeoutMs: number,
  get: (path: string) => Promise<PageOutcome>,
): Promise<ListOutcome> {
  const query = new URLSearchParams({ ...(to !== undefined && { To: to }), PageSize: String(pageSize) });
  const found: TwilioMessage[] = [];
  const giveUpAt = performance.now() + LIST_WITHIN_CALLS * timeoutMs;
  let path = `${address}?${query}`;
  for (let pages = 0; pages < MAX_PAGES && performance.now() < giveUpAt; pages += 1) {
    const page = await get(path);
    if (page.kind === 'failed') return page;
    found.push(...page.messages);
    const oldest = page.messages.at(-1)?.dateCreated;
    const isFarEnough = since === undefined || (oldest != null && new Date(oldest) < since);
    if (page.next === null || isFarEnough) return { kind: 'listed', messages: found };
    path = page.next;
  }
  return { kind: 'failed', isGeneral: false, reason: 'the list has too many pages' };
}

/** `next_page_uri` is followed as given, but always at our own base URL: what it says of a host is not obeyed. */
function outcomeOfPage(exchange: Exchange): PageOutcome {
  if (exchange.kind !== 'answered') return { kind: 'failed', isGeneral: true, reason: exchange.reason };
  const page = exchange.httpStatus === 200 ? readTwilioPage(exchange.body) : null;
  if (page === null) return failure(exchange);
  if (page.next === null) return { kind: 'page', messages: page.messages, next: null };
  const { pathname, search } = new URL(page.next, 'http://twilio');
  return { kind: 'page', messages: page.messages, next: pathname + search };
}

function toRequest(
  config: Pick<TwilioConfig, 'accountSid' | 'authTokens' | 'apiKey'>,
  method: 'GET' | 'POST',
  path: string,
  form: Record<string, string> | undefined,
  timeoutMs: number,
): TwilioRequest {
  const { sid: user, secret: password } = config.apiKey ?? {
    sid: config.accountSid,
    secret: config.authTokens[0] ?? '',
  };
  const headers = {
    authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
    accept: 'application/json',
    'user-agent': 'polaris-sms',
  };
  if (form === undefined) return { method, path, headers, timeoutMs };
  const body = new URLSearchParams(form).toString();
  return {
    method,
    path,
    headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
    body,
    timeoutMs,
  };
}

function outcomeOfFetch(exchange: Exchange): FetchOutcome {
  if (exchange.kind !== 'answered') return { kind: 'failed', isGeneral: true, reason: exchange.reason };
  if (isGone(exchange)) return { kind: 'gone' };
  const message = exchange.httpStatus === 200 ? readTwilioMessage(exchange.body) : null;
  return message === null ? failure(exchange) : { kind: 'found', message };
}

function outcomeOfRedact(exchange: Exchange): RedactOutcome {
  if (exchange.kind !== 'answered') return { kind: 'failed', isGeneral: true, reason: exchange.reason };
  if (isGone(exchange)) return { kind: 'redacted' };
  if (readErrorCode(exchange.body) === '20009') return { kind: 'not finished' };
  const message = exchange.httpStatus === 200 || exchange.httpStatus === 201 ? readTwilioMessage(exchange.body) : null;
  return message?.body === '' ? { kind: 'redacted' } : failure(exchange);
}

type Answered = Extract<Exchange, { kind: 'answered' }>;

/** 20404 is Twilio's word for a message it does not have; a 404 of anything else proves nothing. */
function isGone(answer: Answered): boolean {
  return answer.httpStatus === 404 && readErrorCode(answer.body) === '20404';
}

function failure(answer: Answered): Failure {
  const isGeneral = answer.httpStatus >= 500 || [401, 403, 429].includes(answer.httpStatus);
  const code = readErrorCode(answer.body);
  return {
    kind: 'failed',
    isGeneral,
    reason: `HTTP status ${answer.httpStatus}${code === null ? '' : `, code ${code}`}`,
    ...(answer.httpStatus === 429 && { tooManyRetryAfterS: answer.retryAfterS ?? 0 }),
  };
}
