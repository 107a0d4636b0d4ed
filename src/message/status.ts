/**
 * Every word a message's status can be: how far along it is, who says it and what it tells a reader. Ranks give the
 * rule that a status never goes back (G5): a word of higher rank replaces one of lower rank, nothing else does.
 * Words: https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
 */
export const statuses = {
  error: {
    rank: 0,
    saidBy: 'this service',
    means: 'Twilio refused it, or never got it and never will; `error_code` says why',
    next: 'nothing (any evidence from Twilio wins over it)',
  },
  unconfirmed: {
    rank: 0,
    saidBy: 'this service',
    means: 'we could not find out whether Twilio took it',
    next: 'nothing by itself (any evidence from Twilio wins over it)',
  },
  accepted: {
    rank: 1,
    saidBy: 'this service, Twilio',
    means: 'recorded here, Twilio has not confirmed it yet; or Twilio has it and is choosing a sender',
    next: 'queued, error, unconfirmed',
  },
  scheduled: { rank: 1, saidBy: 'Twilio', means: 'Twilio will send it at the given time', next: 'queued, canceled' },
  queued: { rank: 2, saidBy: 'Twilio', means: 'waits at Twilio', next: 'sending, sent, failed' },
  sending: { rank: 3, saidBy: 'Twilio', means: 'on its way to the carrier', next: 'sent, failed' },
  sent: {
    rank: 4,
    saidBy: 'Twilio',
    means: 'the carrier has it; often the last word, as not every carrier reports delivery',
    next: 'delivered, undelivered',
  },
  delivered: { rank: 5, saidBy: 'Twilio', means: 'reached the phone', next: 'read; emptied at Twilio (`redacted`)' },
  undelivered: {
    rank: 5,
    saidBy: 'Twilio',
    means: 'the carrier could not deliver it; `error_code` says why',
    next: 'emptied at Twilio (`redacted`)',
  },
  failed: {
    rank: 5,
    saidBy: 'Twilio',
    means: 'Twilio could not send it; `error_code` says why',
    next: 'emptied at Twilio (`redacted`)',
  },
  canceled: {
    rank: 5,
    saidBy: 'Twilio',
    means: 'cancelled before it was sent',
    next: 'emptied at Twilio (`redacted`)',
  },
  read: { rank: 6, saidBy: 'Twilio', means: 'the reader opened it (channels that report it)', next: 'nothing' },
} as const satisfies Record<string, { rank: number; saidBy: string; means: string; next: string }>;

export type Status = keyof typeof statuses;

const TERMINAL_RANK = statuses.delivered.rank;

/** The words after which Twilio's copy may be emptied and nothing more is expected. */
export const terminalStatuses: readonly Status[] = words().filter((status) => isTerminal(status));

/** Twilio may add words; an unknown one is kept with its callback and changes no status. */
export function asStatus(word: string | null | undefined): Status | null {
  return words().find((status) => status === word) ?? null;
}

function isTerminal(status: Status): boolean {
  return statuses[status].rank >= TERMINAL_RANK;
}

/** The rank of an SQL expression that yields a status; an unknown word or NULL, as old rows may hold, ranks lowest. */
export function rankInSql(expression: string): string {
  const cases = words().map((status) => `WHEN '${status}' THEN ${statuses[status].rank}`);
  return `(CASE ${expression} ${cases.join(' ')} ELSE 0 END)`;
}

function words(): Status[] {
  return Object.keys(statuses) as Status[];
}
