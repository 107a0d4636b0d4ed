import { createHash } from 'node:crypto';
import { unescape as decode } from 'node:querystring';
import { setTimeout as pause } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { sign, signedPartOf } from '../twilio/signature.ts';
import { apiVersion, type Message } from './messages.ts';
import { readOverrides } from './overrides.ts';

/** What came of one try: the HTTP status of the answer, or why there was none. */
export type CallbackOutcome = number | 'connection failed' | 'timeout';

/** One try of one callback. */
export type CallbackTried = {
  /** as signed: without fragment, user and password */
  readonly url: string;
  readonly form: Readonly<Record<string, string>>;
  readonly signature: string;
  /** 1 is the first */
  readonly attempt: number;
  readonly outcome: CallbackOutcome;
};

export type Callbacks = {
  /** Tells the message's callback URL, if it has one, its status as it is now. Resolves after the last try; never rejects. */
  send(message: Message, now: Date): Promise<void>;
  /** Gives what is in flight two seconds to end, then cuts it off. */
  close(): Promise<void>;
};

/**
 * Delivers callbacks as Twilio does: signed, over HTTP, retried as the URL's fragment asks, at once and without a pause (Twilio
 * promises none), and lost when the tries are used up. Any answer ends it that no retry policy names. Redirects are
 * not followed.
 */
export function createCallbacks(authToken: string, onTried: (tried: CallbackTried) => void): Callbacks {
  const agents = new Map<number, Agent>();
  const inFlight = new Set<Promise<void>>();
  let isClosed = false;

  /** undici takes the connect timeout from the agent, so there is one agent for each that was asked for. */
  function agentFor(connectTimeoutMs: number): Agent {
    const agent = agents.get(connectTimeoutMs) ?? new Agent({ connect: { timeout: connectTimeoutMs } });
    agents.set(connectTimeoutMs, agent);
    return agent;
  }

  function send(message: Message, now: Date): Promise<void> {
    const sending = tryUntilTaken(message, now).finally(() => inFlight.delete(sending));
    inFlight.add(sending);
    return sending;
  }

  async function tryUntilTaken(message: Message, now: Date): Promise<void> {
    if (message.statusCallback === null) return;
    const overrides = readOverrides(message.statusCallback);
    const url = signedPartOf(message.statusCallback);
    const form = new URLSearchParams(formOf(message, now));
    const signature = sign(authToken, url, form);
    const headers = headersOf(message, signature);
    const deadline = AbortSignal.timeout(overrides.totalMs);
    for (let attempt = 1; attempt <= 1 + overrides.retries; attempt++) {
      // undici's own read timeout is late by up to a second. This one counts the connecting, too, which the agent limits.
      const signal = AbortSignal.any([deadline, AbortSignal.timeout(overrides.readTimeoutMs)]);
      const outcome = await post(url, form, headers, agentFor(overrides.connectTimeoutMs), signal);
      onTried({ url, form: Object.fromEntries(form), signature, attempt, outcome });
      if (isClosed || deadline.aborted || !isRetried(outcome, overrides.policies)) return;
    }
  }

  async function close(): Promise<void> {
    await Promise.race([Promise.all(inFlight), pause(2000, undefined, { ref: false })]);
    isClosed = true;
    await Promise.all([...agents.values()].map((agent) => agent.destroy()));
  }

  return { send, close };
}

/** https://www.twilio.com/docs/messaging/guides/track-outbound-message-status */
function formOf(message: Message, now: Date): Record<string, string> {
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
    ...(isReceipt && { RawDlrDoneDate: now.toISOString().replace(/\D/g, '').slice(2, 12) }),
  };
}

function headersOf(message: Message, signature: string): Record<string, string> {
  const { username, password } = new URL(message.statusCallback ?? '');
  const user = Buffer.from(`${decode(username)}:${decode(password)}`).toString('base64');
  return {
    'content-type': 'application/x-www-form-urlencoded; charset=UTF-8',
    'user-agent': 'TwilioProxy/1.1',
    'x-twilio-signature': signature,
    // The same on every try of one callback, which is what the header is for.
    'i-twilio-idempotency-token': createHash('sha256')
      .update(`${message.sid} ${message.status}`)
      .digest('hex')
      .slice(0, 32),
    ...((username !== '' || password !== '') && { authorization: `Basic ${user}` }),
  };
}

async function post(
  url: string,
  form: URLSearchParams,
  headers: Record<string, string>,
  dispatcher: Agent,
  signal: AbortSignal,
): Promise<CallbackOutcome> {
  try {
    const answer = await request(url, { method: 'POST', body: form.toString(), headers, dispatcher, signal });
    await answer.body.dump();
    return answer.statusCode;
  } catch {
    return signal.aborted ? 'timeout' : 'connection failed';
  }
}

function isRetried(outcome: CallbackOutcome, policies: ReadonlySet<string>): boolean {
  const policy = policyFor(outcome);
  return policy !== undefined && (policies.has('all') || policies.has(policy));
}

function policyFor(outcome: CallbackOutcome): string | undefined {
  if (outcome === 'connection failed') return 'ct';
  if (outcome === 'timeout') return 'rt';
  if (outcome >= 500) return '5xx';
  if (outcome >= 400) return '4xx';
  return undefined;
}
