import type { MessagesApi } from './api.ts';
import { callerIdIn } from './caller-id.ts';
import { type CreateRequest, readCreate } from './create.ts';
import { type Answer, answeredWith, answerWith, type Deed } from './deed.ts';
import { createDraws, type Draw } from './draw.ts';
import { maskNumber, type Tell } from './events.ts';
import type { Ending } from './life.ts';
import { listPage, listPath } from './list.ts';
import { readListQuery } from './list-query.ts';
import type { Lives } from './lives.ts';
import { foretell } from './magic-numbers.ts';
import type { MessageStore, Row } from './message-store.ts';
import { apiVersion, asResource, isCancelable, isFinal, type Message, redact } from './messages.ts';
import { countSegments } from './segments.ts';
import type { Time } from './time.ts';
import { isRefused, refuse, refuseParameter, type TwilioError } from './twilio-error.ts';
import { readUpdate } from './update.ts';

export type LivelyParts = {
  readonly accountSid: string;
  /** every password by its user */
  readonly credentials: ReadonlyMap<string, readonly string[]>;
  readonly seed: number;
  readonly time: Time;
  readonly store: MessageStore;
  readonly lives: Lives;
  readonly listLagMs: () => number;
  readonly tell: Tell;
};

/** Refusals that Twilio keeps in its list, as failed messages: those that are about the receiver (TWILIO.md 15, unverified). */
const listedRefusals: ReadonlySet<number> = new Set([21211, 21408, 21610, 21612, 21614]);

/** The Twilio that takes every message through its life. */
export function createLivelyApi(parts: LivelyParts): MessagesApi {
  const { time, store, lives, tell } = parts;
  const drawFor = createDraws(parts.seed);

  function create(accountSid: string, form: URLSearchParams): Deed | TwilioError {
    const request = readCreate(form);
    if (isRefused(request)) return request;
    const draw = drawFor(request.to, request.body);
    const ending = foretell(request.from, request.to);
    const message = newMessage(accountSid, request, ending, draw, time.now());
    return {
      receiver: request.to,
      textHash: draw.textHash,
      callerId: callerIdIn(request.statusCallback),
      fate: draw,
      ...(isRefused(ending) ? refusedDeed(message, ending) : acceptedDeed(message, ending)),
    };
  }

  function acceptedDeed(message: Message, ending: Ending) {
    return {
      sid: message.sid,
      carryOut: () => {
        add(message);
        tell({ kind: 'created', sid: message.sid, to: maskNumber(message.to), status: message.status });
        lives.begin(message, ending);
      },
      answer: (): Answer => ({ status: 201, body: asResource(message) }),
    };
  }

  function refusedDeed(message: Message, refusal: TwilioError) {
    return {
      carryOut: () => {
        if (listedRefusals.has(refusal.code)) add(message);
      },
      answer: () => answerWith(refusal),
    };
  }

  /** It is created now, which is later than it was asked for when a scenario says so. */
  function add(message: Message): void {
    message.created = time.now();
    message.updated = message.created;
    store.add(message, time.elapsed());
  }

  function list(accountSid: string, query: URLSearchParams): Deed | TwilioError {
    const read = readListQuery(query);
    if (isRefused(read)) return read;
    if (read.cursor !== null && store.place(read.cursor.sid) === undefined)
      return refuseParameter('Invalid PageToken.');
    const body = () => listPage(store, read, listPath(accountSid), time.elapsed() - parts.listLagMs());
    return { receiver: read.to ?? '', carryOut: () => {}, answer: () => ({ status: 200, body: body() }) };
  }

  function fetch(accountSid: string, sid: string): Deed {
    const row = store.find(sid);
    if (row === undefined) return notFound(accountSid, sid);
    return answeredWith({ status: 200, body: asResource(row.message) }, { receiver: row.message.to, sid });
  }

  function update(accountSid: string, sid: string, form: URLSearchParams): Deed | TwilioError {
    const row = store.find(sid);
    if (row === undefined) return notFound(accountSid, sid);
    const change = readUpdate(form);
    if (typeof change !== 'string') return change;
    return change === 'redact' ? redaction(row.message) : cancellation(row.message);
  }

  /** The text can only be emptied, and only once the message is final (TWILIO.md 17). */
  function redaction(message: Message): Deed {
    if (!isFinal(message.status)) return refusalOf(20009, message);
    return deedOn(message, () => {
      redact(message, time.now());
      tell({ kind: 'redacted', sid: message.sid });
    });
  }

  function cancellation(message: Message): Deed {
    return isCancelable(message.status) ? deedOn(message, () => lives.cancel(message)) : refusalOf(30409, message);
  }

  function remove(accountSid: string, sid: string): Deed {
    const row: Row | undefined = store.find(sid);
    if (row === undefined) return notFound(accountSid, sid);
    if (!isFinal(row.message.status)) return refusalOf(20009, row.message);
    const hide = () => {
      row.isDeleted = true;
      row.message.body = '';
      tell({ kind: 'deleted', sid });
    };
    return { ...deedOn(row.message, hide), answer: () => ({ status: 204, body: null }) };
  }

  return {
    knows: (user, password) => parts.credentials.get(user)?.includes(password) === true,
    owns: (accountSid) => accountSid === parts.accountSid,
    create,
    list,
    fetch,
    update,
    remove,
    sidOtherThan: (sid) =>
      [
        ...store
          .newestFirst(null)
          .filter(({ message }) => message.sid !== sid)
          .take(1),
      ][0]?.message.sid,
  };
}

function deedOn(message: Message, carryOut: () => void): Deed {
  const answer = (): Answer => ({ status: 200, body: asResource(message) });
  return { receiver: message.to, sid: message.sid, carryOut, answer };
}

function refusalOf(code: 20009 | 30409, { to, sid }: Message): Deed {
  return answeredWith(answerWith(refuse(code)), { receiver: to, sid });
}

function notFound(accountSid: string, sid: string): Deed {
  return answeredWith(answerWith(refuse(20404, `/${apiVersion}/Accounts/${accountSid}/Messages/${sid}.json`)), { sid });
}

function newMessage(
  accountSid: string,
  { to, from, messagingServiceSid, body, statusCallback }: CreateRequest,
  ending: Ending | TwilioError,
  draw: Draw,
  now: number,
): Message {
  const refusal = isRefused(ending) ? ending : null;
  const first = messagingServiceSid === null ? 'queued' : 'accepted';
  return {
    sid: ownCopy(`SM${draw.hex('sid')}`),
    accountSid,
    to: ownCopy(to),
    from: from && ownCopy(from),
    messagingServiceSid: messagingServiceSid && ownCopy(messagingServiceSid),
    statusCallback: statusCallback && ownCopy(statusCallback),
    // A Messaging Service splits the text only once it has chosen a sender, so Twilio answers 0.
    segments: messagingServiceSid === null ? countSegments(body) : 0,
    textHash: draw.textHash,
    refusal,
    body: ownCopy(body),
    status: refusal === null ? first : 'failed',
    errorCode: refusal?.code ?? null,
    created: now,
    sent: null,
    updated: now,
  };
}

/** A field of a form is a window into the whole request, which V8 keeps for as long as the window is open. */
function ownCopy(text: string): string {
  return Buffer.from(text).toString();
}
