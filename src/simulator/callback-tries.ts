import type { CallbackOutcome } from './courier.ts';

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

/** As it is kept: with the form as it was sent, which takes a third of the place. */
type Kept = Omit<CallbackTried, 'form'> & { readonly body: string };

/** The latest tries, in the order of their ends. */
export type Tries = {
  add(tried: Kept): void;
  list(): CallbackTried[];
};

export function createTries(capacity = 10_000): Tries {
  const kept: Kept[] = [];
  let count = 0;

  function add(tried: Kept): void {
    kept[count % capacity] = tried;
    count += 1;
  }

  function list(): CallbackTried[] {
    const oldest = count > capacity ? count % capacity : 0;
    return [...kept.slice(oldest), ...kept.slice(0, oldest)].map(({ body, ...tried }) => ({
      ...tried,
      form: Object.fromEntries(new URLSearchParams(body)),
    }));
  }

  return { add, list };
}
