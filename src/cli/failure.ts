/** What the shell is told; `--help` says the same. */
export const exitCodes = {
  done: 0,
  /** The service refused (4xx), the message failed, a check failed. */
  refused: 1,
  wrongUse: 2,
  /** The service or its database cannot be reached, or it has a fault (5xx). */
  unreachable: 3,
} as const;

export type Ending = keyof typeof exitCodes;

/** The command ends here: a sentence for the operator, without a number, a text or a secret. */
export class Failure extends Error {
  override name = 'Failure';
  readonly ending: Ending;
  /** The API's own JSON about it, for --json. */
  readonly json: string | null;

  constructor(ending: Ending, sentence: string, options: { readonly json?: string; readonly cause?: unknown } = {}) {
    super(sentence, { cause: options.cause });
    this.ending = ending;
    this.json = options.json ?? null;
  }
}
