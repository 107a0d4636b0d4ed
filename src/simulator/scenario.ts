import { z } from 'zod';
import { parseDuration, parseMoment } from './duration.ts';

/**
 * What goes wrong in a run, and when. Written as YAML or JSON, read by read-scenario.ts; durations arrive here in milliseconds.
 * Of the rules for a request the first that matches wins; of those for a callback all that match count.
 */

const duration = inMs(parseDuration, 'must be a duration as 500ms, 90s, 30m or 1h');
const moment = inMs(parseMoment, 'must be a time since the start, as "00:30", "01:30:15", 90s or 2h');
const yes = z.literal(true, { error: 'can only be true; leave it out otherwise' });
const count = z.int({ error: 'must be a whole number' }).min(1, { error: 'must be at least 1' });
const fraction = z
  .number({ error: 'must be a number' })
  .min(0, { error: 'must be from 0 to 1' })
  .max(1, { error: 'must be from 0 to 1' });
const words = z.string({ error: 'must be a text' });
const parameters = z.array(words, { error: 'must be a list of parameter names' });

const receiver = words.regex(/^[+*\d]+$/, {
  error: 'must be a number in which * stands for any digits, as "*0123" or "+44*"',
});

/** An empty `do` would be a rule that nobody notices. */
const saysSomething = (actions: object) => Object.keys(actions).length > 0;
const nothing = { error: 'must say what happens' };
type Answering = { answer?: string | number | undefined; retryAfter?: unknown; html?: unknown };
const fitsAnswer = ({ answer, retryAfter, html }: Answering) =>
  typeof answer === 'number' || (retryAfter === undefined && html === undefined);
const misfit = { error: 'has retryAfter or html, which need an answer from 400 to 599' };

/** When a rule applies: all of these must hold. */
const always = {
  /** from this moment on; moments count from when the scenario came into force */
  from: moment.optional(),
  /** up to, not including, this one */
  until: moment.optional(),
  /** drawn for each text, message, list or callback by itself (see rules.ts) */
  probability: fraction.optional(),
  /** only the n-th that comes to this rule and meets the other conditions; chance is asked after it */
  nth: count.optional(),
  /** every n-th of these */
  every: count.optional(),
  /** `*` stands for any digits */
  receiver: receiver.optional(),
};
const whenAsked = z
  .strictObject({
    ...always,
    /** the how-manieth request about the same text to the same receiver, the same message or the same list */
    occurrence: count.optional(),
    /** this one included */
    inFlightAbove: z.int({ error: 'must be a whole number' }).min(0, { error: 'must be at least 0' }).optional(),
  })
  .default({});
const whenCalledBack = z.strictObject({ ...always, status: words.optional() }).default({});

const damages = ['reset', 'hang', 'truncated', 'drip', 'endless', 'wrong-types'] as const;

function answerOf<const Manner extends string>(manners: readonly Manner[]) {
  const said = { error: `must be an HTTP status from 400 to 599 or one of ${manners.join(', ')}` };
  return z.union([z.int(said).min(400, said).max(599, said), z.enum(manners)], said);
}

/** What is answered, and how. Without `answer` that is what Twilio would answer. */
const answering = {
  /** with a 4xx or 5xx: what its Retry-After says */
  retryAfter: duration.optional(),
  /** with a 4xx or 5xx: a proxy's HTML page instead of Twilio's JSON */
  html: yes.optional(),
  /** what is asked happens at once, and the answer comes so much later: callbacks may overtake it */
  answerAfter: duration.optional(),
};
/** Left out: false for an HTTP error, `reset` and `hang`; true for every other answer. */
const isDone = z.boolean({ error: 'must be true or false' });

const createRule = z.strictObject({
  on: z.literal('create'),
  when: whenAsked,
  do: z
    .strictObject({
      answer: answerOf([...damages, 'foreign-sid']).optional(),
      ...answering,
      created: z
        .union([isDone, duration], { error: 'must be true, false, or a duration after which it is created' })
        .optional(),
    })
    .refine(saysSomething, nothing)
    .refine(fitsAnswer, misfit),
});
const changeRule = z.strictObject({
  on: z.enum(['update', 'delete']),
  when: whenAsked,
  do: z
    .strictObject({ answer: answerOf(damages).optional(), ...answering, done: isDone.optional() })
    .refine(saysSomething, nothing)
    .refine(fitsAnswer, misfit),
});
const readRule = z.strictObject({
  on: z.enum(['fetch', 'list']),
  when: whenAsked,
  do: z
    .strictObject({ answer: answerOf(damages).optional(), ...answering })
    .refine(saysSomething, nothing)
    .refine(fitsAnswer, misfit),
});
const callbackRule = z.strictObject({
  on: z.literal('callback'),
  when: whenCalledBack,
  do: z
    .strictObject({
      lose: yes.optional(),
      double: yes.optional(),
      delay: duration.optional(),
      /** waits a drawn time up to this one, so that callbacks overtake each other */
      shuffle: duration.optional(),
      /** one more callback, with another status and a wrong signature */
      forge: yes.optional(),
      extra: z.record(words, words).optional(),
      without: parameters.optional(),
      /** the same callback once more */
      repeatAfter: z.strictObject({ delay: duration, without: parameters.default([]) }).optional(),
      signWith: z.enum(['secondary', 'wrong'], { error: 'must be secondary or wrong' }).optional(),
    })
    .refine(saysSomething, nothing),
});

const rule = z.discriminatedUnion('on', [createRule, changeRule, readRule, callbackRule], {
  error: 'must be create, fetch, list, update, delete or callback',
});

export const scenarioSchema = z.strictObject({
  about: words.optional(),
  /** --seed wins over it */
  seed: z.int({ error: 'must be a whole number' }).min(0, { error: 'must be at least 0' }).optional(),
  /** How long an answer takes: log-normal, with these two points. On a driven clock nobody waits for it. */
  latency: z.strictObject({ median: duration, p99: duration }).optional(),
  /** With more requests in flight than this, the one too many is answered 429 / 20429. */
  concurrency: count.optional(),
  /** Messages appear in lists so much later. */
  list: z.strictObject({ lag: duration }).optional(),
  /** The account's second auth token signs the callbacks. */
  signWith: z.literal('secondary', { error: 'can only be secondary; leave it out for the first token' }).optional(),
  rules: z.array(rule, { error: 'must be a list of rules' }).default([]),
});

export type Scenario = z.output<typeof scenarioSchema>;
export type Rule = Scenario['rules'][number];
export type CallbackRule = Extract<Rule, { on: 'callback' }>;
export type RequestRule = Exclude<Rule, CallbackRule>;
export type RequestKind = RequestRule['on'];
export type Damage = (typeof damages)[number] | 'foreign-sid';

export const calmScenario: Scenario = { rules: [] };

function inMs(parse: (text: string) => number | undefined, error: string) {
  return z.string({ error }).transform((text, context) => {
    const ms = parse(text);
    if (ms !== undefined) return ms;
    context.addIssue({ code: 'custom', message: error });
    return z.NEVER;
  });
}
