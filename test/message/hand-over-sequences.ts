import fc from 'fast-check';
import type { Command, Fate } from './hand-over-commands.ts';

/** Commands one after the other; a pair is two at once, on two connections. */
export type Sequence = {
  readonly commands: readonly (Command | readonly [Command, Command])[];
  /** Does Twilio take some texts later than the settle time? */
  readonly isLate: boolean;
};

const oneIn = (many: number) => fc.integer({ min: 1, max: many }).map((one) => one === 1);
const pick = fc.nat(7);
const limit = fc.integer({ min: 1, max: 3 });
const fates: readonly Fate[] = ['taken', 'taken, answer lost', 'refused', 'too many', 'not reached', 'lost', 'lost'];
const commandOf = <Name extends Command['do']>(name: Name, rest: object = {}) =>
  fc.record({ do: fc.constant(name), ...rest }) as unknown as fc.Arbitrary<Command>;

const record = commandOf('record', {
  when: fc.constantFrom('now', 'later'),
  text: fc.nat(1),
  validS: fc.constantFrom(null, null, null, 30),
});
const claimToSend = commandOf('claim to send', { limit, isOwn: fc.boolean() });
const call = commandOf('call', { pick, fate: fc.constantFrom(...fates), isListed: fc.boolean() });
const report = commandOf('report', { pick, isAgain: oneIn(5) });
const claimToResolve = commandOf('claim to resolve', { limit });
const look = commandOf('look', { pick, canSee: oneIn(6).map((one) => !one) });
const conclude = commandOf('conclude', { pick, mayResend: oneIn(5).map((one) => !one), isAgain: oneIn(5) });
const callBack = commandOf('call back', {
  pick,
  word: fc.constantFrom('queued', 'sent', 'delivered'),
  bearsOurId: oneIn(5).map((one) => !one),
});
const wait = commandOf('wait', { ms: fc.constantFrom(3_001, 21_001, 61_001, 140_001) });

const command = fc.oneof(
  { weight: 3, arbitrary: record },
  { weight: 4, arbitrary: claimToSend },
  { weight: 4, arbitrary: call },
  { weight: 4, arbitrary: report },
  { weight: 1, arbitrary: commandOf('die', { pick }) },
  { weight: 4, arbitrary: claimToResolve },
  { weight: 4, arbitrary: look },
  { weight: 4, arbitrary: conclude },
  { weight: 2, arbitrary: callBack },
  { weight: 1, arbitrary: commandOf('delete', { pick }) },
  { weight: 1, arbitrary: commandOf('expire') },
  { weight: 4, arbitrary: wait },
  { weight: 1, arbitrary: commandOf('wait', { ms: fc.constantFrom(86_300_001, 1) }) },
  { weight: 1, arbitrary: commandOf('catch up') },
);

/** Pieces of a life that would seldom come about by chance: a whole try, a whole look, a claim that somebody sleeps on. */
const after = (ms: number): fc.Arbitrary<Command> => fc.constant({ do: 'wait', ms });
const piece = fc.oneof(
  fc.tuple(record, call, report),
  fc.tuple(after(21_001), claimToSend, call, report),
  fc.tuple(after(140_001), claimToResolve, look, conclude),
  fc.tuple(after(31_001), claimToResolve, look, conclude),
  fc.tuple(after(140_001), claimToResolve, look, after(31_001), claimToResolve, look, conclude, after(31_001)),
  fc.tuple(claimToResolve, after(61_001), claimToResolve, look, conclude),
);

const single = fc.oneof(
  { weight: 4, arbitrary: command.map((one) => [one]) },
  { weight: 1, arbitrary: fc.tuple(command, command).map((pair) => [pair]) },
  { weight: 5, arbitrary: piece },
);

export const sequence: fc.Arbitrary<Sequence> = fc.record({
  commands: fc.array(single, { minLength: 2, maxLength: 14, size: 'max' }).map((some) => some.flat()),
  isLate: fc.boolean(),
});
