import { Refusal, type RefusalKind } from '../errors.ts';
import type { Refused } from '../message/permitted.ts';

/** The limits that a request can meet, as `sms_refused_total` names them. */
export type Rule = Refused['rule'] | 'rate limit' | 'busy';

/** What is said of each: the variable, never the value that met it. */
const words: Readonly<Record<Rule, { kind: RefusalKind; detail: string }>> = {
  country: {
    kind: 'forbidden',
    detail: 'ALLOWED_COUNTRIES: nothing is sent from here to the country of the receiver.',
  },
  sender: { kind: 'forbidden', detail: 'ALLOWED_SENDERS: this tenant may not use this sender.' },
  'recipient limit': {
    kind: 'too many requests',
    detail: 'RECIPIENT_LIMIT: this text went to this number as often as it may for now. Nothing was sent.',
  },
  'daily cap': {
    kind: 'too many requests',
    detail: 'DAILY_CAP: this tenant has sent as much as it may until midnight UTC. Nothing was sent.',
  },
  'rate limit': {
    kind: 'too many requests',
    detail: 'RATE_LIMIT_PER_S: too many requests of this caller. Nothing was done.',
  },
  busy: { kind: 'unavailable', detail: 'Too many requests are at work. Nothing was done: ask again.' },
};

/** Refused before anything was recorded. */
export function refusalOf(rule: Rule, retryAfterS: number | null): Refusal {
  const { kind, detail } = words[rule];
  return new Refusal(kind, detail, retryAfterS === null ? {} : { retryAfterS });
}
