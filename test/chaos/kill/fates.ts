/** What a range of receivers meets at the simulator. None ends in 0190 to 0199 or 0990 to 0999, which have fates of their own. */
export type Fate = {
  receiver(number: number): string;
  readonly rules: readonly object[];
};

/** Twilio takes every message at once. */
export const taken = fateOf(200, 499, () => []);

/** The first create of each text is answered 500, and Twilio has the message all the same. */
export const takenWith500 = fateOf(500, 599, (receiver) => [
  { on: 'create', when: { receiver, occurrence: 1 }, do: { answer: 500, created: true } },
]);

/** The first create of each text is answered 500 and makes no message: nothing in the log, however often one looks. */
export const brokenFirst = fateOf(600, 699, (receiver) => [
  { on: 'create', when: { receiver, occurrence: 1 }, do: { answer: 500, created: false } },
]);

/** The first create is never answered, and becomes a message only so much later: when it has been given up and sent again. */
export const takenAfter6s = fateOf(700, 799, (receiver) => [
  { on: 'create', when: { receiver, occurrence: 1 }, do: { answer: 'hang', created: '6500ms' } },
]);
export const takenAfter8s = fateOf(800, 899, (receiver) => [
  { on: 'create', when: { receiver, occurrence: 1 }, do: { answer: 'hang', created: '8s' } },
]);

export const scenario = {
  rules: [taken, takenWith500, brokenFirst, takenAfter6s, takenAfter8s].flatMap(({ rules }) => rules),
};

/** Whole hundreds, which a pattern of the scenario can name. */
function fateOf(from: number, to: number, rulesFor: (receiver: string) => object[]): Fate {
  const hundreds = Array.from({ length: (to + 1 - from) / 100 }, (_, i) => from / 100 + i);
  return {
    receiver: (number) => `+447700900${from + (number % (to + 1 - from))}`,
    rules: hundreds.flatMap((hundred) => rulesFor(`+447700900${hundred}*`)),
  };
}
