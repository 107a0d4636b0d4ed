/**
 * The service cannot start as things stand. The message is a sentence for the operator that says what to do (or one for
 * each bad variable); it is printed without a stack and the process exits 1.
 */
export class CannotStart extends Error {
  override name = 'CannotStart';
}

/** Why a request is refused, and the HTTP status that says so (CONTRACT.md, "Who owns the message after the answer"). */
export const refusals = {
  'bad request': 400,
  unauthenticated: 401,
  forbidden: 403,
  'not found': 404,
  'method not allowed': 405,
  'not acceptable': 406,
  conflict: 409,
  'too large': 413,
  'address too long': 414,
  'unsupported media type': 415,
  'refused by Twilio': 422,
  'key of another request': 422,
  'too many requests': 429,
  'too many headers': 431,
  unavailable: 503,
} as const;

export type RefusalKind = keyof typeof refusals;

type Extras = {
  /** Seconds after which asking again makes sense. */
  readonly retryAfterS?: number;
  /** The recorded message that this is about. */
  readonly messageId?: string;
  /** Twilio's code. */
  readonly errorCode?: string | null;
  /** How to say who one is: WWW-Authenticate. */
  readonly challenge?: string;
  /** The methods that an address knows. */
  readonly allow?: readonly string[];
};

/**
 * Nothing true can be said: whether the message is recorded is not known and cannot be found out in time. The connection is
 * closed without an answer (G9); with an idempotency key asking again is safe.
 */
export class NoAnswer extends Error {
  override name = 'NoAnswer';
}

/** A refusal at the door. `detail` is shown to the caller: it says what to change, and never repeats a value (names of unknown fields it does). */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly kind: RefusalKind;
  readonly extras: Extras;

  constructor(kind: RefusalKind, detail: string, extras: Extras = {}) {
    super(detail);
    this.kind = kind;
    this.extras = extras;
  }
}
