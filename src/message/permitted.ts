import type { LimitsConfig } from '../config-limits.ts';
import type { MessageRequest, Tenant } from './message.ts';
import { countriesOf } from './phone-number.ts';

/** Who may send what where, before anything is asked of the database. */

/** Why a message is refused before anything is recorded. */
export type Refused = {
  readonly rule: 'country' | 'sender' | 'recipient limit' | 'daily cap';
  /** When the rule would let it pass, as far as is known; null = not as long as it stands. */
  readonly retryAfterS: number | null;
};

type Asked = { readonly tenant: Tenant; readonly request: Pick<MessageRequest, 'sender' | 'to'> };

/** Null when country and sender are permitted. A number whose country is not known counts as one of each that it may be in. */
export function ruleAgainst(limits: LimitsConfig, { tenant, request }: Asked): Refused | null {
  const { allowedCountries, allowedSenders } = limits;
  if (allowedCountries !== null && !isIn(allowedCountries, countriesOf(request.to))) {
    return { rule: 'country', retryAfterS: null };
  }
  const senders = allowedSenders.get(nameOf(tenant));
  return senders === undefined || senders.has(request.sender) ? null : { rule: 'sender', retryAfterS: null };
}

/** Null = any number of messages in a day. */
export function dailyCapOf(limits: LimitsConfig, tenant: Tenant): number | null {
  return limits.dailyCaps.get(nameOf(tenant)) ?? limits.dailyCap;
}

export function nameOf({ trustomerCode, productName }: Tenant): string {
  return `${trustomerCode}/${productName}`;
}

function isIn(allowed: ReadonlySet<string>, countries: readonly string[]): boolean {
  return countries.length > 0 && countries.every((country) => allowed.has(country));
}
