import { fractionOf } from './draw.ts';
import type { CallbackRule, RequestKind, RequestRule, Rule, Scenario } from './scenario.ts';

/** What rules ask about a request. */
export type RequestFacts = {
  readonly kind: RequestKind;
  /** '' when it is about nobody in particular */
  readonly receiver: string;
  /** What chance is drawn for: the same words meet the same fate, whatever happens at the same time. */
  readonly fate: string;
  readonly occurrence: number;
  readonly inFlight: number;
};

type CallbackFacts = { readonly receiver: string; readonly status: string; readonly fate: string };

/** A rule that applies, with its number in the file: 1 is the first. */
export type Hit<R extends Rule = Rule> = { readonly number: number; readonly rule: R };

/** The rules of one scenario, with what they have counted. `sinceStart`: milliseconds since it came into force. */
export type Rules = {
  /** The first rule that applies to a request. */
  forRequest(facts: RequestFacts): Hit<RequestRule> | undefined;
  /** All rules that apply to a callback. */
  forCallback(facts: CallbackFacts): Hit<CallbackRule>[];
};

export function createRules(scenario: Scenario, seed: number, sinceStart: () => number): Rules {
  const compiled = scenario.rules.map((rule, index) => ({
    number: index + 1,
    rule,
    isMeant: matcherOf(rule.when.receiver),
    met: 0,
  }));
  type Compiled = (typeof compiled)[number];
  const requests = compiled.flatMap((one) => (one.rule.on === 'callback' ? [] : [{ one, rule: one.rule }]));
  const callbacks = compiled.flatMap((one) => (one.rule.on === 'callback' ? [{ one, rule: one.rule }] : []));

  function forRequest(facts: RequestFacts): Hit<RequestRule> | undefined {
    const hit = requests.find(({ one, rule }) => {
      const { occurrence, inFlightAbove = -1 } = rule.when;
      if (rule.on !== facts.kind || facts.inFlight <= inFlightAbove) return false;
      return (occurrence ?? facts.occurrence) === facts.occurrence && applies(one, facts);
    });
    return hit && { number: hit.one.number, rule: hit.rule };
  }

  function forCallback(facts: CallbackFacts): Hit<CallbackRule>[] {
    return callbacks
      .filter(({ one, rule }) => (rule.when.status ?? facts.status) === facts.status && applies(one, facts))
      .map(({ one, rule }) => ({ number: one.number, rule }));
  }

  /** Counts come before chance: `nth` names a request that one can point at. */
  function applies(one: Compiled, { receiver, fate }: { receiver: string; fate: string }): boolean {
    const { from = 0, until = Number.POSITIVE_INFINITY, nth, every, probability = 1 } = one.rule.when;
    const at = sinceStart();
    if (at < from || at >= until || !one.isMeant(receiver)) return false;
    one.met += 1;
    if (nth !== undefined && one.met !== nth) return false;
    if (every !== undefined && one.met % every !== 0) return false;
    return probability === 1 || fractionOf(seed, `rule ${one.number}`, fate) < probability;
  }

  return { forRequest, forCallback };
}

function matcherOf(pattern: string | undefined): (receiver: string) => boolean {
  if (pattern === undefined) return () => true;
  const expression = new RegExp(`^${pattern.replaceAll('+', '\\+').replaceAll('*', '.*')}$`);
  return (receiver) => expression.test(receiver);
}
