import type { Command, Fate } from './hand-over-commands.ts';

/** Lives written out: one for each transition, because chance alone would need millions of steps for some of them. */

const record = (validS: number | null = null): Command => ({ do: 'record', when: 'now', text: 0, validS });
const call = (fate: Fate, isListed = true): Command => ({ do: 'call', pick: 0, fate, isListed });
const report = (pick = 0): Command => ({ do: 'report', pick, isAgain: false });
const wait = (ms: number): Command => ({ do: 'wait', ms });
const claimToSend: Command = { do: 'claim to send', limit: 1, isOwn: false };
const claimToResolve: Command = { do: 'claim to resolve', limit: 1 };
const look = (pick = 0): Command => ({ do: 'look', pick, canSee: true });
const conclude = (mayResend = true): Command => ({ do: 'conclude', pick: 0, mayResend, isAgain: false });
const remove: Command = { do: 'delete', pick: 0 };

const settled = wait(140_001);
const leaseOver = wait(61_001);
const untilSecondLook = wait(31_001);

/** Twilio takes it later than the settle time. Its answer is held, and so is the claim of a resolver that sleeps (the first in line). */
const begun = (validS: number | null = null): Command[] => [
  record(validS),
  call('taken', false),
  settled,
  claimToResolve,
  leaseOver,
  claimToResolve,
  look(1),
  conclude(),
  untilSecondLook,
  claimToResolve,
  look(1),
];
const waiting = [...begun(), conclude()];
const sentAgain = (fate: Fate) => [...waiting, claimToSend, call(fate), report(1)];

/** The way to each place, with evidence on the way that says otherwise. */
const places: Record<string, Command[]> = {
  open: begun(),
  waiting,
  'handed over': sentAgain('taken'),
  refused: sentAgain('refused'),
  expired: [...begun(30), conclude(), wait(1_001), { do: 'expire' }],
  cancelled: [...waiting, remove],
  unconfirmed: [...begun(), conclude(false)],
};

/** What Twilio says at last: the answer of the first attempt, a callback, or what the sleeping resolver finds when it wakes. */
const evidence: Record<string, Command[]> = {
  'a late answer': [report(0)],
  'a callback': [{ do: 'call back', pick: 0, word: 'sent', bearsOurId: true }],
  'a look': [{ do: 'catch up' }, look(0), conclude()],
};

const unknown = [record(), call('lost'), report()];
const firstLook = [settled, claimToResolve, look(), conclude()];
const secondLook = [untilSecondLook, claimToResolve, look()];

export const scripts: Record<string, Command[]> = {
  ...Object.fromEntries(
    Object.entries(places).flatMap(([place, way]) => [
      ...Object.entries(evidence).map(([what, said]) => [`${what} wins over ${place}`, [...way, ...said]]),
      [`a caller deletes one that is ${place}`, [...way, remove]],
    ]),
  ),
  'two looks that show nothing, and it is sent again': [
    ...unknown,
    ...firstLook,
    ...secondLook,
    conclude(),
    claimToSend,
    call('taken'),
    report(),
  ],
  'two looks that show nothing, and nobody is asked to send again': [
    ...unknown,
    ...firstLook,
    ...secondLook,
    conclude(false),
  ],
  'two looks that show nothing of a message that was deleted meanwhile: it is not sent again': [
    ...unknown,
    remove,
    ...firstLook,
    ...secondLook,
    conclude(),
    settled,
    claimToSend,
  ],
  'a look that cannot see counts for nothing': [
    ...unknown,
    settled,
    claimToResolve,
    { do: 'look', pick: 0, canSee: false },
    conclude(),
    ...[untilSecondLook, claimToResolve, look(), conclude()],
    ...secondLook,
    conclude(),
  ],
  'a refusal for good that a sleeping sender tells late ends what was to be sent again': [
    record(),
    call('refused'),
    ...firstLook,
    ...secondLook,
    conclude(),
    report(),
    claimToSend,
  ],
  'a sender that slept past its licence does not call, and leaves alone what is to be sent again': [
    record(),
    ...firstLook,
    ...secondLook,
    conclude(),
    call('taken'),
    report(),
    claimToSend,
  ],
  'a sender that slept with its refusal tells it after the first look: it is put back, and the record says why': [
    { do: 'record', when: 'later', text: 0, validS: null },
    wait(21_001),
    claimToSend,
    call('too many'),
    ...firstLook,
    report(),
    ...secondLook,
    conclude(),
    claimToSend,
  ],
  'a message that was deleted while its call was under way is not put back': [
    { do: 'record', when: 'later', text: 0, validS: null },
    wait(21_001),
    claimToSend,
    remove,
    call('not reached'),
    report(),
  ],
  'too many requests, three times': [
    record(),
    ...[1, 2, 3].flatMap(() => [call('too many'), report()]),
    call('refused'),
    report(),
  ],
  'a message whose twin is open holds no other text up': [
    record(),
    { do: 'record', when: 'later', text: 0, validS: null },
    { do: 'record', when: 'later', text: 1, validS: null },
    wait(21_001),
    { do: 'claim to send', limit: 2, isOwn: false },
  ],
  'a message that waits its turn while its twin is open is sent once that is resolved': [
    record(),
    { do: 'record', when: 'later', text: 0, validS: null },
    { do: 'record', when: 'now', text: 0, validS: null },
    wait(21_001),
    claimToSend,
    call('taken'),
    report(),
    claimToSend,
    call('taken'),
    report(),
  ],
};
