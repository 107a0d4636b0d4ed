import type { Clock } from '../clock.ts';
import type { MessagesApi } from './api.ts';
import type { Callbacks } from './callbacks.ts';
import { type CreateRequest, readCreate } from './create.ts';
import { createDraws, type Draw } from './draw.ts';
import { maskNumber, type Tell } from './events.ts';
import { planLife, type Step } from './life.ts';
import { foretell } from './magic-numbers.ts';
import { advance, asResource, isFinal, type Message, redact, type TwilioMessage } from './messages.ts';
import type { Outstanding } from './outstanding.ts';
import { countSegments } from './segments.ts';
import type { Timers } from './timers.ts';
import { isRefused, refuse, type TwilioError } from './twilio-error.ts';
import { refuseUpdate } from './update.ts';

export type LivelyParts = {
  readonly accountSid: string;
  readonly authToken: string;
  readonly apiKeys: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly callbacks: Callbacks;
  readonly outstanding: Outstanding;
  readonly tell: Tell;
};

/** The Twilio that takes every message through its life. */
export function createLivelyApi(parts: LivelyParts): MessagesApi & { messages(): TwilioMessage[] } {
  const { clock, callbacks, outstanding, tell } = parts;
  const messages = new Map<string, Message>();
  const drawFor = createDraws(parts.seed);
  const credentials = new Map([[parts.accountSid, parts.authToken], ...Object.entries(parts.apiKeys)]);

  function create(accountSid: string, form: URLSearchParams): TwilioMessage | TwilioError {
    const request = readCreate(form);
    if (isRefused(request)) return request;
    const ending = foretell(request.from, request.to);
    if (isRefused(ending)) return ending;
    const draw = drawFor(request.to, request.body);
    const first = request.messagingServiceSid === null ? 'queued' : 'accepted';
    const message = newMessage(accountSid, request, first, draw, clock.now());
    messages.set(message.sid, message);
    tell({ kind: 'created', sid: message.sid, to: maskNumber(message.to), status: first });
    live(message, planLife(first, ending, draw), outstanding.begin());
    return asResource(message);
  }

  function live(message: Message, [next, ...later]: Step[], end: () => void): void {
    if (next === undefined) {
      end();
      return;
    }
    parts.timers.after(next.afterMs, () => {
      const now = clock.now();
      advance(message, next.status, next.errorCode, now);
      tell({
        kind: 'changed',
        sid: message.sid,
        to: maskNumber(message.to),
        status: next.status,
        errorCode: next.errorCode,
      });
      // Not awaited: a slow receiver holds up neither the message nor its next callback, which may overtake this one.
      callbacks.send(message, now).finally(outstanding.begin());
      live(message, later, end);
    });
  }

  /** Only the text can be changed, and only emptied, and only once the message is final (TWILIO.md 17). */
  function update(_accountSid: string, sid: string, form: URLSearchParams): TwilioMessage | TwilioError | undefined {
    const message = messages.get(sid);
    if (message === undefined) return undefined;
    const refusal = refuseUpdate(form);
    if (refusal !== undefined) return refusal;
    if (!isFinal(message.status)) return refuse(20009);
    redact(message, clock.now());
    tell({ kind: 'redacted', sid });
    return asResource(message);
  }

  return {
    knows: (user, password) => credentials.get(user) === password,
    owns: (accountSid) => accountSid === parts.accountSid,
    create,
    fetch: (_accountSid, sid) => {
      const message = messages.get(sid);
      return message && asResource(message);
    },
    update,
    messages: () => [...messages.values()].map(asResource),
  };
}

function newMessage(
  accountSid: string,
  { to, from, messagingServiceSid, body, statusCallback }: CreateRequest,
  status: 'accepted' | 'queued',
  draw: Draw,
  now: Date,
): Message {
  return {
    sid: `SM${draw.hex('sid')}`,
    ...{ accountSid, to, from, messagingServiceSid, body, statusCallback, status },
    // A Messaging Service splits the text only once it has chosen a sender, so Twilio answers 0.
    segments: messagingServiceSid === null ? countSegments(body) : 0,
    errorCode: null,
    created: now,
    sent: null,
    updated: now,
  };
}
