import { sign, signedPartOf } from '../twilio/signature.ts';
import { changeForm, formOf, headersOf } from './callback-form.ts';
import { type Delivery, planDeliveries } from './callback-plan.ts';
import type { CallbackTried, Tries } from './callback-tries.ts';
import type { CallbackOutcome, Courier } from './courier.ts';
import { fractionOf } from './draw.ts';
import type { Tell } from './events.ts';
import type { Journal } from './journal.ts';
import type { Message } from './messages.ts';
import type { Outstanding } from './outstanding.ts';
import { readOverrides } from './overrides.ts';
import type { Rules } from './rules.ts';
import type { Scenario } from './scenario.ts';
import type { Time } from './time.ts';

export type CallbackParts = {
  readonly authToken: string;
  readonly authTokenSecondary: string | undefined;
  readonly seed: number;
  readonly time: Time;
  readonly courier: Courier;
  readonly outstanding: Outstanding;
  readonly journal: Journal;
  readonly tries: Tries;
  readonly tell: Tell;
  /** what is in force at the moment */
  readonly scenario: () => Scenario;
  readonly rules: () => Rules;
};

export type Callbacks = {
  /**
   * Tells the message's callback URL, if it has one, its status as it is now. Resolves after the last try of what goes out at
   * once; what the scenario delays goes out later. Never rejects.
   */
  announce(message: Message): Promise<void>;
};

/** One status to be told, with the numbers of the rules that meddle with it. */
type News = {
  readonly sid: string;
  readonly status: string;
  readonly callbackUrl: string;
  readonly form: Readonly<Record<string, string>>;
  readonly rules: readonly number[];
};

export function createCallbacks(parts: CallbackParts): Callbacks {
  const { time, courier, outstanding, journal, tries, tell } = parts;

  async function announce(message: Message): Promise<void> {
    if (message.statusCallback === null) return;
    const { sid, status, to } = message;
    const fate = `${sid} ${status}`;
    const hits = parts.rules().forCallback({ receiver: to, status, fate });
    const deliveries = planDeliveries(hits, (rule) => fractionOf(parts.seed, `wait of rule ${rule}`, fate));
    const rules = hits.map(({ number }) => number);
    const news = { sid, status, callbackUrl: message.statusCallback, form: formOf(message, time.now()), rules };
    if (deliveries.every(({ isForged }) => isForged)) recordLost(news);
    const soon = deliveries.filter((delivery) => !isLater(news, delivery));
    if (!time.isDriven) await Promise.all(soon.map((delivery) => deliver(news, delivery)));
    // One by one, or the order of the journal would be the network's.
    else for (const delivery of soon) await deliver(news, delivery);
  }

  /** Puts off what is to come later. */
  function isLater(news: News, delivery: Delivery): boolean {
    if (delivery.afterMs === 0) return false;
    outstanding.begin();
    time.after(delivery.afterMs, () => deliver(news, delivery).finally(outstanding.end));
    return true;
  }

  async function deliver(news: News, delivery: Delivery): Promise<void> {
    outstanding.begin();
    const url = signedPartOf(news.callbackUrl);
    const form = changeForm(news.form, delivery);
    const signature = sign(tokenFor(delivery), url, form);
    const body = form.toString();
    const headers = headersOf(news.callbackUrl, news.sid, news.status, signature);
    const letter = { url, body, headers, overrides: readOverrides(news.callbackUrl) };
    await courier.carry(letter, (attempt, outcome) => {
      record(news, delivery, { attempt, outcome });
      tries.add({ url, body, signature, attempt, outcome });
    });
    outstanding.end();
  }

  function tokenFor({ signWith }: Delivery): string {
    if (signWith === 'wrong') return 'a token of nobody';
    const isSecondary = signWith === 'secondary' || parts.scenario().signWith === 'secondary';
    return (isSecondary ? parts.authTokenSecondary : undefined) ?? parts.authToken;
  }

  function record(
    { sid, status, callbackUrl, rules }: News,
    { fault }: Delivery,
    tried: Pick<CallbackTried, 'attempt'> & { outcome: CallbackOutcome },
  ): void {
    const faulty = { ...(rules.length > 0 && { rules }), ...(fault !== '' && { fault }) };
    journal.write({ kind: 'callback', sid, status, url: withoutHost(callbackUrl), ...tried, ...faulty });
    tell({ kind: 'called back', sid, status, ...tried, ...(fault !== '' && { fault }) });
  }

  function recordLost({ sid, status, callbackUrl, rules }: News): void {
    journal.write({
      kind: 'callback',
      sid,
      status,
      url: withoutHost(callbackUrl),
      outcome: 'lost',
      rules,
      fault: 'lose',
    });
    tell({ kind: 'callback lost', sid, status });
  }

  return { announce };
}

/** Two runs with other ports shall have the same journal. */
function withoutHost(callbackUrl: string): string {
  return signedPartOf(callbackUrl).replace(/^[a-z]+:\/\/[^/?]*/i, '');
}
