import { CannotStart } from './errors.ts';

export type Variables = Readonly<Record<string, string | undefined>>;

/** Reads variables one by one and remembers every problem, so that they are named all at once. */
export class VariableReader {
  readonly #env: Variables;
  readonly #problems = new Map<string, string>();

  constructor(env: Variables) {
    this.#env = env;
  }

  /** An empty variable counts as one that is not set: compose files pass those. */
  text(name: string, { minLength = 1 } = {}): string | null {
    const value = this.textOrEmpty(name);
    if (value === null || value === '') return null;
    if (value.length < minLength) this.problem(name, `must have ${minLength} characters or more`);
    return value;
  }

  textOrEmpty(name: string): string | null {
    return this.#env[name] ?? null;
  }

  required(name: string): string {
    const value = this.text(name);
    if (value === null) this.problem(name, 'is missing');
    return value ?? '';
  }

  integer(name: string, byDefault: number, least: number, most: number): number {
    const value = this.text(name);
    if (value === null) return byDefault;
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= least && number <= most) return number;
    this.problem(name, `must be a whole number from ${least} to ${most}`);
    return byDefault;
  }

  boolean(name: string, byDefault: boolean): boolean {
    const word = this.oneOf(name, ['TRUE', 'FALSE', '1', '0', 'YES', 'NO'] as const, byDefault ? 'TRUE' : 'FALSE');
    return word === 'TRUE' || word === '1' || word === 'YES';
  }

  oneOf<Word extends string>(name: string, words: readonly Word[], byDefault: NoInfer<Word>): Word {
    const value = this.text(name);
    if (value === null) return byDefault;
    const word = words.find((known) => known === value.toUpperCase());
    if (word === undefined) this.problem(name, `must be one of ${words.join(', ')}`);
    return word ?? byDefault;
  }

  url(name: string, protocols: readonly string[]): string | null {
    const value = this.text(name);
    if (value === null) return null;
    if (URL.canParse(value) && protocols.includes(new URL(value).protocol)) return value;
    this.problem(name, `must be an address that begins with ${protocols.map((p) => `${p}//`).join(' or ')}`);
    return null;
  }

  noneOf(names: readonly string[]): boolean {
    return names.every((name) => this.text(name) === null);
  }

  problem(name: string, what: string): void {
    if (!this.#problems.has(name)) this.#problems.set(name, what);
  }

  refuseProblems(): void {
    if (this.#problems.size === 0) return;
    throw new CannotStart([...this.#problems].map(([name, what]) => `${name} ${what}`).join('\n'));
  }
}

export function lowerCase<Word extends string>(word: Word): Lowercase<Word> {
  return word.toLowerCase() as Lowercase<Word>;
}
