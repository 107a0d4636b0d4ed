/**
 * What goes wrong at Twilio while the drill sends, as scenarios of the simulator (docs/simulator.md). Of the rules for a
 * request the first that fits counts, of those for a callback all.
 */

/** How long the service waits for Twilio; a hanging answer takes as long. */
export const TWILIO_TIMEOUT_MS = 1_500;
/** From the deadline of an unknown attempt to the look at Twilio's log. */
export const SETTLE_MS = 3_000;
/** Such callbacks come when everything else is over. */
export const LATE_MS = 25_000;

/**
 * Every way to leave a sender in doubt, with the message made, not made, and made late. Late means after the caller has
 * given up, and so early that a list shows it before the settle time is over.
 */
const doubts = [
  { answer: 'reset', created: true },
  { answer: 'reset', created: false },
  { answer: 'reset', created: '3s' },
  { answer: 500, created: true },
  { answer: 500, created: false },
  { answer: 500, created: '3s' },
  { answer: 502, html: true, created: true },
  { answer: 503, created: true },
  { answer: 503, created: false },
  { answer: 'hang', created: true },
  { answer: 'hang', created: false },
  { answer: 'hang', created: '3s' },
  { answer: 'truncated', created: true },
  { answer: 'truncated', created: false },
  { answer: 'drip', created: true },
];

const AMBIGUOUS = 0.1;

/** The faults of creates, lists, look-ups and redactions, and those of callbacks. */
export const storm = {
  about: 'The chaos drill: one create in ten ambiguous, callbacks lost, doubled, late, forged and out of order.',
  latency: { median: '200ms', p99: '1s' },
  // Well below the settle time, as the resolver relies on it.
  list: { lag: '1s' },
  rules: [
    ...doubts.map((act) => rule('create', AMBIGUOUS / doubts.length, act)),
    rule('create', 0.015, { answer: 429, retryAfter: '1s' }),
    rule('create', 0.015, { answer: 429 }),
    rule('list', 0.1, { answer: 503 }),
    rule('list', 0.03, { answer: 429, retryAfter: '1s' }),
    rule('list', 0.03, { answer: 'truncated' }),
    rule('list', 0.03, { answer: 'reset' }),
    rule('list', 0.02, { answer: 'hang' }),
    rule('fetch', 0.05, { answer: 500 }),
    rule('update', 0.03, { answer: 500, done: true }),
    rule('update', 0.03, { answer: 'reset', done: false }),
    rule('callback', 0.1, { lose: true }),
    rule('callback', 0.2, { double: true }),
    rule('callback', 0.5, { shuffle: '2s' }),
    rule('callback', 0.05, { forge: true }),
    rule('callback', 0.05, { extra: { AFieldOfNextYear: 'yes' } }),
    { on: 'callback', when: { probability: 0.08, status: 'sending' }, do: { delay: `${LATE_MS}ms` } },
    { on: 'callback', when: { probability: 0.08, status: 'sent' }, do: { delay: `${LATE_MS}ms` } },
  ],
};

/** Was this create one of the ambiguous ones? */
export function wasAmbiguous({ kind, fault }: { readonly kind?: unknown; readonly fault?: unknown }): boolean {
  return kind === 'create' && doubts.some(({ answer }) => String(answer) === fault);
}

/** What was lost stays lost; nothing more goes wrong. */
export const calm = { about: 'The chaos drill, afterwards.', rules: [] };

function rule(on: string, probability: number, act: object) {
  return { on, when: { probability }, do: act };
}
