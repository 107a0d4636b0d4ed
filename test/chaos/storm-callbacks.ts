import { fractionOf } from '../../src/simulator/draw.ts';
import { callbackInBytes } from './callback-bytes.ts';
import type { StormMessage } from './storm-messages.ts';

/** `stranger`: signed, but of a SID that nobody knows. */
export type StormCallback = {
  readonly kind: 'genuine' | 'forged' | 'stranger';
  readonly sid: string;
  readonly status: string;
};

/** A field that only forged callbacks carry, so that any trace of one can be found. */
export const FORGED_MARK = 'ForgedByTheStorm';

const DOUBLED = 0.2;
const FORGED = 0.05;
const STRANGERS = 0.01;

/** Every callback of these messages in an order of chance: across messages, and within each. */
export function drawCallbacks(messages: readonly StormMessage[], seed: number) {
  const drawn = messages.flatMap((message, n) => callbacksOf(message, (name) => fractionOf(seed, n, name)));
  const keyed = drawn.map((one, n) => ({ one, key: fractionOf(seed, n, 'order') }));
  return keyed.sort((a, b) => a.key - b.key).map(({ one }) => one);
}

type Drawn = { readonly callback: StormCallback; readonly message: StormMessage };

function callbacksOf(message: StormMessage, draw: (name: string) => number): Drawn[] {
  const { sid, end } = message;
  const genuine = ['sent', end.status].flatMap((status) => {
    const callback = { kind: 'genuine', sid, status } as const;
    return draw(`double ${status}`) < DOUBLED ? [callback, callback] : [callback];
  });
  // A status that nothing else here tells: should it ever be believed, it shows.
  const forged = [1, 2].filter((n) => draw(`forge ${n}`) < FORGED);
  const strangers = [1, 2].filter((n) => draw(`stranger ${n}`) < STRANGERS);
  return [
    ...genuine,
    ...forged.map(() => ({ kind: 'forged', sid, status: 'canceled' }) as const),
    ...strangers.map((n) => ({ kind: 'stranger', sid: strangerTo(sid, n), status: end.status }) as const),
  ].map((callback) => ({ callback, message }));
}

/** The simulator gives out hexadecimal digits, so no message of its has this one. */
function strangerTo(sid: string, n: number): string {
  return `${sid.slice(0, -1)}${'xy'[n - 1]}`;
}

export function inBytes({ callback, message }: Drawn, callbackUrl: string): Buffer {
  const { kind, sid, status } = callback;
  const { uuid, receiver, end } = message;
  const toSend = {
    // Twilio calls the URL that it was given with the create; a stranger's was not ours.
    uuid: kind === 'stranger' ? null : uuid,
    sid,
    status,
    receiver,
    errorCode: status === end.status ? end.errorCode : null,
    ...(kind === 'forged' && { moreFields: { [FORGED_MARK]: 'yes' } }),
  };
  return callbackInBytes(toSend, callbackUrl, kind === 'forged' ? 'a token of nobody' : undefined);
}
