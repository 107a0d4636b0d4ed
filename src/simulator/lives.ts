import type { Callbacks } from './callbacks.ts';
import { fractionOf } from './draw.ts';
import { maskNumber, type Tell } from './events.ts';
import { type Ending, nextStep, type Step } from './life.ts';
import { advance, isFinal, type Message } from './messages.ts';
import type { Outstanding } from './outstanding.ts';
import type { Time } from './time.ts';

/** Takes messages from step to step, and tells their callback URLs. */
export type Lives = {
  begin(message: Message, ending: Ending): void;
  /** Ends the life here; the callback that says so follows at once. */
  cancel(message: Message): void;
};

export type LifeParts = {
  readonly seed: number;
  readonly time: Time;
  readonly callbacks: Callbacks;
  readonly outstanding: Outstanding;
  readonly tell: Tell;
};

export function createLives({ seed, time, callbacks, outstanding, tell }: LifeParts): Lives {
  function begin(message: Message, ending: Ending): void {
    outstanding.begin();
    live(message, ending);
  }

  /** One step at a time: of a hundred thousand messages on their way, only the next steps are kept. */
  function live(message: Message, ending: Ending): void {
    // The SID is drawn for the text, so what is drawn for the SID is drawn for the text.
    const step = nextStep(message.status, ending, (name) => fractionOf(seed, message.sid, name));
    if (step === undefined) outstanding.end();
    else time.after(step.afterMs, () => take(message, step, ending));
  }

  function take(message: Message, step: Step, ending: Ending): Promise<void> | undefined {
    if (isFinal(message.status)) {
      outstanding.end(); // it was cancelled meanwhile
      return undefined;
    }
    const told = change(message, step);
    live(message, ending);
    return told;
  }

  /** Resolves when the callback is over, for which a driven clock waits. */
  function change(message: Message, { status, errorCode }: Step): Promise<void> {
    advance(message, status, errorCode, time.now());
    tell({ kind: 'changed', sid: message.sid, to: maskNumber(message.to), status, errorCode });
    return callbacks.announce(message);
  }

  function cancel(message: Message): void {
    advance(message, 'canceled', null, time.now());
    tell({ kind: 'changed', sid: message.sid, to: maskNumber(message.to), status: 'canceled', errorCode: null });
    outstanding.begin();
    time.after(0, () => callbacks.announce(message).finally(outstanding.end));
  }

  return { begin, cancel };
}
