import type { CallerId } from './caller-id.ts';
import { errorBody, type TwilioError } from './twilio-error.ts';

/** What is answered when nothing goes wrong on the way. */
export type Answer = {
  readonly status: number;
  readonly body: object | null;
  /** Twilio's error code */
  readonly code?: number;
  readonly retryAfterS?: number;
};

/**
 * A request that has been read but not carried out yet, because a scenario may want it carried out later, or not at all. What only
 * the form can be blamed for was refused before.
 */
export type Deed = {
  /** '' when it is about nobody in particular */
  readonly receiver: string;
  /** names the text of a create */
  readonly textHash?: string;
  /** the message that it makes or is about, if there is one */
  readonly sid?: string;
  readonly callerId?: CallerId;
  /** see RequestFacts; of a create, which knows how often this text was asked for */
  readonly fate?: { readonly key: string; readonly occurrence: number };
  carryOut(): void;
  /** Asked after carrying it out, or instead. */
  answer(): Answer;
};

export function answerWith(error: TwilioError): Answer {
  const { status, code, retryAfterS } = error;
  return { status, code, body: errorBody(error), ...(retryAfterS !== undefined && { retryAfterS }) };
}

/** A deed that changes nothing and is always answered like this. */
export function answeredWith(answer: Answer, about: { receiver?: string; sid?: string } = {}): Deed {
  return { receiver: '', ...about, carryOut: () => {}, answer: () => answer };
}
