import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readCliConfig } from '../config.ts';
import { type Api, openApi } from './api.ts';
import { type Ending, Failure } from './failure.ts';

/** A flag; `value` is what stands after it, a switch has none. */
export type Flag = { readonly value?: string; readonly about: string };

export type Command = {
  /** What stands after its name, but flags. */
  readonly words?: readonly string[];
  /** Sentences, for --help. */
  readonly about: string;
  readonly flags: Readonly<Record<string, Flag>>;
  readonly examples: readonly string[];
  readonly timeoutS: number;
  /** Takes --trustomer and --product; `needed`: refuses without them. */
  readonly tenant: 'needed' | 'taken' | 'none';
  run(call: Call): Promise<Ending>;
};

/** One call of a command: its flags, read and checked, and the service that it is about. */
export type Call = {
  /** What stands in the place of the nth word. */
  word(n: number): string;
  text(flag: string): string | undefined;
  needed(flag: string): string;
  is(flag: string): boolean;
  whole(flag: string, byDefault: number, least: number, most: number): number;
  /** Refuses with CannotStart where POLARIS_SMS_URL or PORT is bad. */
  api(): Api;
  tenant(): Tenant;
};

export type Tenant = { readonly trustomer: string | null; readonly product: string | null };

const commonFlags: Readonly<Record<string, Flag>> = {
  url: { value: 'URL', about: 'where the service is (POLARIS_SMS_URL, else http://127.0.0.1:$PORT)' },
  'key-file': { value: 'FILE', about: 'holds an API key, where the service asks for one (else POLARIS_SMS_KEY)' },
  json: { about: "the API's JSON as it is, for programs" },
  help: { about: 'this text' },
};

const tenantFlags: Readonly<Record<string, Flag>> = {
  trustomer: { value: 'TRUST', about: 'on whose behalf, for example OUH (POLARIS_SMS_TRUSTOMER)' },
  product: { value: 'PRODUCT', about: 'for example GDM (POLARIS_SMS_PRODUCT)' },
};

export function flagsOf(command: Command): Record<string, Flag> {
  const timeout = { value: 'S', about: `give up after so many seconds (${command.timeoutS})` };
  return { ...command.flags, ...(command.tenant !== 'none' && tenantFlags), ...commonFlags, timeout };
}

/** Reads the arguments of a command; refuses wrong use, and never repeats what was given: it may be a number. */
export function readCall(name: string, command: Command, args: readonly string[]): Call | 'help' {
  const { values, positionals } = parse(name, flagsOf(command), args);
  if (values.help === true) return 'help';
  const words = command.words ?? [];
  if (positionals.length !== words.length) {
    const missing = words.slice(positionals.length);
    throw wrongUse(name, missing.length > 0 ? `${missing.join(', ')} is missing.` : 'There are words too many.');
  }
  const text = (flag: string) => {
    const value = values[flag];
    if (value === '') throw wrongUse(name, `--${flag} must not be empty.`);
    return typeof value === 'string' ? value : undefined;
  };
  const whole = (flag: string, byDefault: number, least: number, most: number) => {
    const given = text(flag) ?? String(byDefault);
    const number = /^\d{1,9}$/.test(given) ? Number(given) : Number.NaN;
    if (number >= least && number <= most) return number;
    throw wrongUse(name, `--${flag} must be a whole number from ${least} to ${most}.`);
  };
  const timeoutMs = whole('timeout', command.timeoutS, 1, 86_400) * 1000;
  return {
    word: (n) => positionals[n] ?? '',
    text,
    whole,
    is: (flag) => values[flag] === true,
    needed: (flag) => {
      const value = text(flag);
      if (value === undefined) throw wrongUse(name, `--${flag} is missing.`);
      return value;
    },
    api: () => {
      const { url, key } = readCliConfig();
      const apiKey = readKey(name, text('key-file')) ?? key;
      return openApi({ baseUrl: readUrl(name, text('url')) ?? url, timeoutMs, apiKey });
    },
    tenant: () => readTenant(name, command, { trustomer: text('trustomer'), product: text('product') }),
  };
}

/** Not its form: the service may know others. What cannot stand in a header is refused, and never shown. */
function readKey(name: string, file: string | undefined): string | null {
  if (file === undefined) return null;
  try {
    const key = readFileSync(file, 'utf8').trim();
    if (/^[\x21-\x7e]+$/.test(key)) return key;
  } catch (cause) {
    throw wrongUse(name, '--key-file cannot be read.', cause);
  }
  throw wrongUse(name, '--key-file must hold an API key and nothing else.');
}

function readUrl(name: string, url: string | undefined): string | null {
  if (url === undefined) return null;
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed !== null && /^https?:$/.test(parsed.protocol) && parsed.username + parsed.password === '') return url;
  throw wrongUse(name, '--url must begin with http:// or https:// and hold no user and password.');
}

function readTenant(
  name: string,
  command: Command,
  given: { trustomer?: string | undefined; product?: string | undefined },
) {
  const variables = readCliConfig();
  const tenant = {
    trustomer: given.trustomer ?? variables.trustomer,
    product: given.product ?? variables.product,
  };
  if (command.tenant === 'needed' && (tenant.trustomer === null || tenant.product === null)) {
    throw wrongUse(
      name,
      'On whose behalf? Give --trustomer and --product, or set POLARIS_SMS_TRUSTOMER and POLARIS_SMS_PRODUCT.',
    );
  }
  return tenant;
}

/** The headers that name the tenant; the key goes with every request, api.ts sees to that. */
export function callerHeaders({ trustomer, product }: Tenant): Record<string, string> {
  return {
    ...(trustomer !== null && { 'x-trustomer': trustomer }),
    ...(product !== null && { 'x-product': product }),
  };
}

function parse(name: string, flags: Readonly<Record<string, Flag>>, args: readonly string[]) {
  const options = Object.fromEntries(
    Object.entries(flags).map(([flag, { value }]) => [
      flag,
      { type: value === undefined ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options });
  } catch (cause) {
    const [reason = ''] = (cause instanceof Error ? cause.message : String(cause)).split(/\. |\n/);
    throw wrongUse(name, reason.replace(/\.?$/, '.'), cause);
  }
}

export function wrongUse(name: string, sentence: string, cause?: unknown): Failure {
  return new Failure('wrongUse', `${sentence} See polaris-sms ${name} --help.`, { cause });
}
