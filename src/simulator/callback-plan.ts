import type { Hit } from './rules.ts';
import type { CallbackRule } from './scenario.ts';

/** One callback on its way: what differs from the usual one. */
export type Delivery = {
  readonly afterMs: number;
  readonly extra: Readonly<Record<string, string>>;
  readonly without: readonly string[];
  readonly signWith: 'usual' | 'secondary' | 'wrong';
  /** a forged callback claims something else than the truth */
  readonly isForged: boolean;
  /** what was done to it, in the words of the scenario */
  readonly fault: string;
};

/** Every callback that one status gives rise to. None: it is lost. `fractionOf` draws for the rule of this number. */
export function planDeliveries(
  hits: readonly Hit<CallbackRule>[],
  fractionOf: (rule: number) => number,
): readonly Delivery[] {
  if (hits.length === 0) return [usual];
  const actions = hits.map(({ number, rule }) => ({ ...rule.do, fraction: rule.do.shuffle ? fractionOf(number) : 0 }));
  const changes = ['delay', 'shuffle', 'extra', 'without', 'signWith'] as const;
  const base: Delivery = {
    afterMs: actions.reduce((ms, { delay = 0, shuffle = 0, fraction }) => ms + delay + shuffle * fraction, 0),
    extra: Object.assign({}, ...actions.map(({ extra = {} }) => extra)),
    without: actions.flatMap(({ without = [] }) => without),
    signWith: actions.findLast(({ signWith }) => signWith !== undefined)?.signWith ?? 'usual',
    isForged: false,
    fault: changes.filter((change) => actions.some((action) => action[change] !== undefined)).join(' '),
  };
  const forged = actions.filter(({ forge }) => forge).map(() => ({ ...base, ...forgery }));
  if (actions.some(({ lose }) => lose)) return forged;
  const doubled = actions.filter(({ double }) => double).map(() => ({ ...base, fault: 'double' }));
  const repeated = actions.flatMap(({ repeatAfter }) => (repeatAfter ? [repeat(base, repeatAfter)] : []));
  return [base, ...doubled, ...repeated, ...forged];
}

const usual: Delivery = { afterMs: 0, extra: {}, without: [], signWith: 'usual', isForged: false, fault: '' };
const forgery = { isForged: true, signWith: 'wrong', fault: 'forge' } as const;

function repeat(base: Delivery, { delay, without }: { delay: number; without: readonly string[] }): Delivery {
  return { ...base, afterMs: base.afterMs + delay, without: [...base.without, ...without], fault: 'repeatAfter' };
}
