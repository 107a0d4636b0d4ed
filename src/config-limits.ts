import { isSupportedCountry } from 'libphonenumber-js/max';
import type { VariableReader } from './variables.ts';

/** What is not sent, and how much is taken at once. Everything that refuses a text is off until it is configured. */
export type LimitsConfig = {
  /** ISO 3166-1 alpha-2; null = all. */
  readonly allowedCountries: ReadonlySet<string> | null;
  /** The senders of a tenant that is named here, letter by letter; the others may use any. By `trust/product`. */
  readonly allowedSenders: ReadonlyMap<string, ReadonlySet<string>>;
  /** Messages of a tenant in a UTC day; null = any number. */
  readonly dailyCap: number | null;
  /** By `trust/product`, instead of `dailyCap`. */
  readonly dailyCaps: ReadonlyMap<string, number>;
  /** So many identical texts to one number within so many seconds; null = any number. */
  readonly recipient: { readonly most: number; readonly windowS: number } | null;
  readonly requests: RequestLimits;
};

export type RequestLimits = {
  /** Of each caller; null = any number. */
  readonly rate: { readonly perS: number; readonly burst: number } | null;
  /** Requests at work in this process; as many callbacks on top. */
  readonly mostInFlight: number;
  readonly mostConnections: number;
};

/** `shortestRetentionS`: for how long a text can be known again; Infinity = for good. */
export function readLimits(
  reader: VariableReader,
  { isQuiet, shortestRetentionS }: { isQuiet: boolean; shortestRetentionS: number },
): LimitsConfig {
  const cap = reader.integer('DAILY_CAP', 0, 0, MOST_A_DAY);
  const countries = readCountries(reader);
  return {
    // Under TWILIO_DISABLED any receiver that parses is taken, and nothing is sent.
    allowedCountries: isQuiet ? null : countries,
    allowedSenders: readByTenant(reader, 'ALLOWED_SENDERS', 'ouh/gdm=+447700900001|Clinic', readSenders),
    dailyCap: cap === 0 ? null : cap,
    dailyCaps: readByTenant(reader, 'DAILY_CAPS', 'ouh/gdm=500,tvh/gdm=1000', readCap),
    recipient: readRecipientLimit(reader, shortestRetentionS),
    requests: {
      rate: readRate(reader),
      mostInFlight: reader.integer('MAX_REQUESTS', 1_000, 1, 100_000),
      mostConnections: reader.integer('MAX_CONNECTIONS', 4_000, 1, 100_000),
    },
  };
}

const MOST_A_DAY = 100_000_000;

function readCountries(reader: VariableReader): ReadonlySet<string> | null {
  const given = reader.text('ALLOWED_COUNTRIES');
  if (given === null) return null;
  const countries = given.split(',').map((country) => country.trim().toUpperCase());
  if (!countries.every((country) => isSupportedCountry(country))) {
    reader.problem('ALLOWED_COUNTRIES', 'must be countries in two letters, for example GB,IE');
  }
  return new Set(countries);
}

/** `trust/product=value,trust/product=value`; the names in any case. `read` answers null for what is no value. */
function readByTenant<Value>(
  reader: VariableReader,
  name: string,
  example: string,
  read: (text: string) => Value | null,
): ReadonlyMap<string, Value> {
  const byTenant = new Map<string, Value>();
  for (const part of reader.text(name)?.split(',') ?? []) {
    const at = part.indexOf('=');
    const tenant = part.slice(0, Math.max(at, 0)).trim().toLowerCase();
    const value = read(part.slice(at + 1));
    // A name that comes twice would silently lose one of its values.
    if (value === null || !/^[^/]+\/[^/]+$/.test(tenant) || byTenant.has(tenant)) {
      reader.problem(name, `must be trust/product=value, once for each, with commas between: ${example}`);
    } else {
      byTenant.set(tenant, value);
    }
  }
  return byTenant;
}

function readSenders(text: string): ReadonlySet<string> | null {
  const senders = text.split('|').map((sender) => sender.trim());
  return senders.includes('') ? null : new Set(senders);
}

function readCap(text: string): number | null {
  const cap = /^\d{1,9}$/.test(text.trim()) ? Number(text) : 0;
  return cap >= 1 && cap <= MOST_A_DAY ? cap : null;
}

const unitS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
const LONGEST_WINDOW_S = 30 * 86_400;

function readRecipientLimit(reader: VariableReader, shortestRetentionS: number): LimitsConfig['recipient'] {
  const given = reader.text('RECIPIENT_LIMIT');
  if (given === null) return null;
  const match = /^([1-9]\d{0,5})\/([1-9]\d{0,6})([smhd])$/.exec(given.toLowerCase());
  const [, most, times, unit] = match ?? [];
  const windowS = Number(times) * unitS[unit as keyof typeof unitS];
  if (match === null || windowS > LONGEST_WINDOW_S) {
    reader.problem('RECIPIENT_LIMIT', 'must be a number and a time of at most 30d, for example 3/1h');
  } else if (windowS > shortestRetentionS) {
    reader.problem('RECIPIENT_LIMIT', 'must not be longer than CONTENT_RETENTION_DAYS or NUMBER_RETENTION_DAYS');
  }
  return { most: Number(most), windowS };
}

function readRate(reader: VariableReader): RequestLimits['rate'] {
  const perS = reader.integer('RATE_LIMIT_PER_S', 0, 0, 1_000_000);
  const burst = reader.integer('RATE_LIMIT_BURST', perS, 1, 1_000_000);
  if (perS === 0 && reader.text('RATE_LIMIT_BURST') !== null) {
    reader.problem('RATE_LIMIT_BURST', 'needs RATE_LIMIT_PER_S');
  }
  return perS === 0 ? null : { perS, burst };
}
