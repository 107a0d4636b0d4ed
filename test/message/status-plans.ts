import fc from 'fast-check';
import type { Start } from './status-driver.ts';
import { type Step, strangeWords, twilioWords, words } from './status-model.ts';

/** A step whose SID stands for the message's own (0) or for a second copy (1). */
export type Planned = Step extends infer One
  ? One extends { sid: string }
    ? Omit<One, 'sid'> & { sid: 0 | 1 }
    : One
  : never;
export type Plan = { readonly start: Start; readonly steps: readonly Planned[] };

export const withSid = (step: Planned, sids: readonly [string, string]): Step =>
  ('sid' in step ? { ...step, sid: sids[step.sid] } : step) as Step;

export const starts: readonly Start[] = [
  ...[...words, null, 'imported'].map((status) => ({ status, hasSid: true, isPlaceholder: false })),
  ...['error', 'unconfirmed', 'accepted', 'canceled', null].map((status) => ({
    status,
    hasSid: false,
    isPlaceholder: false,
  })),
  { status: 'sent', hasSid: true, isPlaceholder: true },
];

const sid = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0 as const) },
  { weight: 1, arbitrary: fc.constant(1 as const) },
);
const code = fc.option(fc.constantFrom('30003', '30005', '30008'), { freq: 2 });
const dateSent = fc.option(fc.constantFrom('2026-11-24T10:00:00.000Z', '2026-11-24T10:00:01.000Z'), { freq: 2 });
const word = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom(...twilioWords) },
  { weight: 1, arbitrary: fc.constantFrom(...words, ...strangeWords) },
);
const said = { sid, word, code, dateSent };
const n = fc.constantFrom(1, 1, 1, 2);
const planned: fc.Arbitrary<Planned> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('callback' as const), bearsOurId: fc.boolean(), ...said }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom('answer' as const, 'list' as const, 'fetch' as const), ...said }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('verify' as const), ...said }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('join' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('refused' as const, 'put back' as const, 'unknown' as const),
      n,
      code,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('settled' as const),
      outcome: fc.constantFrom('sent' as const, 'not-sent' as const),
    }),
  },
);
/** Twilio doubles what it says: each step may come again at once. */
const steps = (max: number) =>
  fc
    .array(fc.record({ step: planned, isDoubled: fc.integer({ min: 0, max: 3 }) }), { minLength: 1, maxLength: max })
    .map((some) => some.flatMap(({ step, isDoubled }) => (isDoubled === 0 ? [step, step] : [step])));
export const plan = (max: number): fc.Arbitrary<Plan> =>
  fc.record({ start: fc.constantFrom(...starts), steps: steps(max) });
