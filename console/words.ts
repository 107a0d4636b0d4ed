import type { Operations } from './api/types.ts';

/** The console's words and tones for what the service says. */

/** `unknown` is not `bad`: nobody knows, and it has a colour of its own. */
export type Tone = 'good' | 'waiting' | 'bad' | 'unknown' | 'neutral';

/** Stages of a message's life, as the funnel and the charts group them. */
export const groups = ['delivered', 'sent', 'waiting', 'failed', 'unknown', 'cancelled'] as const;
export type Group = (typeof groups)[number];

export const toneOfGroup: Readonly<Record<Group, Tone>> = {
  delivered: 'good',
  sent: 'waiting',
  waiting: 'neutral',
  failed: 'bad',
  unknown: 'unknown',
  cancelled: 'neutral',
};

const known: Readonly<Record<string, { group: Group; means: string }>> = {
  accepted: { group: 'waiting', means: 'recorded here, not confirmed by Twilio yet' },
  scheduled: { group: 'waiting', means: 'Twilio will send it at the given time' },
  queued: { group: 'waiting', means: 'waits at Twilio' },
  sending: { group: 'waiting', means: 'on its way to the carrier' },
  sent: { group: 'sent', means: 'the carrier has it; no word yet from the phone' },
  delivered: { group: 'delivered', means: 'reached the phone' },
  read: { group: 'delivered', means: 'was opened on the phone' },
  undelivered: { group: 'failed', means: 'the carrier could not deliver it' },
  failed: { group: 'failed', means: 'Twilio could not send it' },
  error: { group: 'failed', means: 'Twilio refused it, or never got it' },
  canceled: { group: 'cancelled', means: 'cancelled before it was sent' },
  unconfirmed: { group: 'unknown', means: 'nobody knows whether Twilio took it' },
};

export const statuses = Object.keys(known);

/** A word that is not ours or Twilio's is unknown, and shown as it is. */
function groupOf(status: string | undefined): Group {
  return known[status ?? '']?.group ?? 'unknown';
}

export function meaningOf(status: string | undefined): string {
  return known[status ?? '']?.means ?? 'a word that this console does not know';
}

export function toneOf(status: string | undefined): Tone {
  return toneOfGroup[groupOf(status)];
}

export type CountsByDay = Operations['GET /dhos/v1/sms_status_counts']['answer']['data'];
export type Groups = Readonly<Record<Group, number>>;

export function sumGroups(days: CountsByDay): Groups {
  const sum = Object.fromEntries(groups.map((group) => [group, 0])) as Record<Group, number>;
  for (const counts of Object.values(days)) {
    for (const [status, count] of Object.entries(counts)) sum[groupOf(status)] += count;
  }
  return sum;
}

export function totalOf(sum: Groups): number {
  return groups.reduce((total, group) => total + sum[group], 0);
}

const number = new Intl.NumberFormat('en-GB');
export function count(n: number): string {
  return number.format(n);
}

/** One or many: `many(2, 'message')` is "2 messages". */
export function many(n: number, thing: string): string {
  return `${count(n)} ${thing}${n === 1 ? '' : 's'}`;
}

export function share(part: number, whole: number): string {
  if (whole === 0) return '–';
  const percent = (100 * part) / whole;
  if (part > 0 && percent < 0.1) return '< 0.1 %';
  if (part < whole && percent > 99.9) return '> 99.9 %';
  return `${percent === 100 || percent === 0 ? percent.toFixed(0) : percent.toFixed(1)} %`;
}
