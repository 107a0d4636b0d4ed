import type { MessagesApi } from './api.ts';
import { callerIdIn } from './caller-id.ts';
import { damage } from './damage.ts';
import { type Answer, answerWith, type Deed } from './deed.ts';
import { hashText } from './draw.ts';
import { maskNumber, type Tell } from './events.ts';
import type { Journal, RequestEntry } from './journal.ts';
import { drawLatency } from './latency.ts';
import type { Load } from './load.ts';
import type { Outstanding } from './outstanding.ts';
import type { Hit, Rules } from './rules.ts';
import type { Damage, RequestKind, RequestRule, Scenario } from './scenario.ts';
import type { Time } from './time.ts';
import { isRefused, refuseAsDown, type TwilioError } from './twilio-error.ts';

/** A request to the Messages API, as far as its form goes. */
type Asked = {
  readonly kind: RequestKind;
  readonly accountSid: string;
  /** '' where none is named */
  readonly sid: string;
  /** of a list its query */
  readonly form: URLSearchParams;
};

/** What goes back, and how. */
export type Served = {
  readonly answer: Answer;
  readonly manner: 'whole' | 'html' | Damage;
  readonly afterMs: number;
};

export type ExchangeParts = {
  readonly api: MessagesApi;
  readonly seed: number;
  readonly time: Time;
  readonly load: Load;
  readonly journal: Journal;
  readonly outstanding: Outstanding;
  readonly tell: Tell;
  /** what is in force at the moment */
  readonly scenario: () => Scenario;
  readonly rules: () => Rules;
};

export type Exchange = {
  /** Carries a request out, or not, as the scenario wants it, and says what to answer. */
  serve(asked: Asked): Served;
  /** Refuses what came no further than the door. */
  refuse(entry: RequestEntry, error: TwilioError): Served;
};

export function createExchange(parts: ExchangeParts): Exchange {
  const { api, time, journal, load, tell } = parts;
  const timesBefore = new Map<string, number>();

  function serve(asked: Asked): Served {
    const inFlight = load.inFlight();
    if (inFlight > (parts.scenario().concurrency ?? Number.POSITIVE_INFINITY)) {
      return refuse({ ...entryOf(asked), fault: 'concurrency', inFlight }, refuseAsDown(429));
    }
    const deed = deedFor(asked);
    if (isRefused(deed)) return refuse(entryOf(asked), deed);
    const fate = deed.fate ?? fateOf(asked);
    const hit = parts.rules().forRequest({
      kind: asked.kind,
      receiver: deed.receiver,
      fate: fate.key,
      occurrence: fate.occurrence,
      inFlight,
    });
    return { ...(hit ? disturb(asked, deed, hit) : please(asked, deed)), afterMs: waitOf(fate.key, hit) };
  }

  function deedFor({ kind, accountSid, sid, form }: Asked): Deed | TwilioError {
    switch (kind) {
      case 'create':
        return api.create(accountSid, form);
      case 'list':
        return api.list(accountSid, form);
      case 'fetch':
        return api.fetch(accountSid, sid);
      case 'update':
        return api.update(accountSid, sid, form);
      case 'delete':
        return api.remove(accountSid, sid);
      default:
        return kind satisfies never;
    }
  }

  function please(asked: Asked, deed: Deed): Pick<Served, 'answer' | 'manner'> {
    deed.carryOut();
    const answer = deed.answer();
    record(asked, deed, answer);
    return { answer, manner: 'whole' };
  }

  function disturb(asked: Asked, deed: Deed, { number, rule }: Hit<RequestRule>): Pick<Served, 'answer' | 'manner'> {
    const fault = String(rule.do.answer ?? 'answerAfter');
    const done = doneBy(rule);
    if (done === true) deed.carryOut();
    if (typeof done === 'number') carryOutLater(asked, deed, done);
    const answer = answerBy(rule, deed);
    record(asked, deed, answer, { rule: number, fault, ...(rule.on !== 'fetch' && rule.on !== 'list' && { done }) });
    tell({ kind: 'disturbed', request: asked.kind, rule: number, fault });
    return { answer, manner: mannerOf(rule) };
  }

  function carryOutLater(asked: Asked, deed: Deed, ms: number): void {
    parts.outstanding.begin();
    time.after(ms, () => {
      deed.carryOut();
      const { code } = deed.answer();
      journal.write({ ...aboutDeed(asked, deed), kind: 'late create', ...(code !== undefined && { code }) });
      parts.outstanding.end();
    });
  }

  function answerBy({ do: { answer, retryAfter } }: RequestRule, deed: Deed): Answer {
    if (typeof answer !== 'number') return damage(answer, deed.answer(), () => api.sidOtherThan(deed.sid));
    return answerWith(refuseAsDown(answer, retryAfter === undefined ? undefined : Math.ceil(retryAfter / 1000)));
  }

  /** How long the answer takes. On a driven clock only a rule makes it wait: who waits for an answer cannot drive. */
  function waitOf(fate: string, hit: Hit<RequestRule> | undefined): number {
    const { latency } = parts.scenario();
    const ruled = hit?.rule.do.answerAfter ?? 0;
    return latency === undefined || time.isDriven ? ruled : ruled + drawLatency(latency, parts.seed, fate);
  }

  /** Counts how often this was asked; only where somebody wants to know, or every SID ever fetched would be kept. */
  function fateOf({ kind, sid, form }: Asked): { key: string; occurrence: number } {
    const { rules, latency } = parts.scenario();
    const asked = `${kind} ${sid}${kind === 'list' ? form.toString() : ''}`;
    if (latency === undefined && rules.length === 0) return { key: asked, occurrence: 1 };
    const occurrence = (timesBefore.get(asked) ?? 0) + 1;
    timesBefore.set(asked, occurrence);
    return { key: `${asked} ${occurrence}`, occurrence };
  }

  function record(asked: Asked, deed: Deed, { status, code }: Answer, ruled: Partial<RequestEntry> = {}): void {
    const isAnswered = ruled.fault !== 'reset' && ruled.fault !== 'hang';
    const said = isAnswered ? { http: status, ...(code !== undefined && { code }) } : {};
    journal.write({ ...aboutDeed(asked, deed), ...said, ...ruled });
    load.answered(isAnswered ? status : 500);
    if (code !== undefined) tell({ kind: 'refused', code, to: maskNumber(deed.receiver) });
  }

  function refuse(entry: RequestEntry, error: TwilioError): Served {
    journal.write({ ...entry, http: error.status, code: error.code });
    load.answered(error.status);
    tell({ kind: 'refused', code: error.code, to: maskNumber(entry.to ?? '') });
    return { answer: answerWith(error), manner: 'whole', afterMs: 0 };
  }

  return { serve, refuse };
}

/** Did it happen, or when will it? */
function doneBy(rule: RequestRule): boolean | number {
  const said = rule.on === 'create' ? rule.do.created : 'done' in rule.do ? rule.do.done : undefined;
  const { answer } = rule.do;
  return said ?? !(typeof answer === 'number' || answer === 'reset' || answer === 'hang');
}

function mannerOf({ do: { answer, html } }: RequestRule): Served['manner'] {
  if (typeof answer === 'number') return html ? 'html' : 'whole';
  return answer ?? 'whole';
}

/** What is known of a request that nobody has understood. */
function entryOf({ kind, sid, form }: Asked): RequestEntry {
  if (kind === 'list') return { kind, asked: form.toString() };
  if (kind !== 'create') return { kind, sid };
  const [to, text] = [form.get('To'), form.get('Body')];
  const known = { ...(to !== null && { to }), ...(text !== null && { text: hashText(text) }) };
  return { kind, ...known, ...callerIdIn(form.get('StatusCallback')) };
}

function aboutDeed({ kind, form }: Asked, { receiver, textHash, sid, callerId }: Deed): RequestEntry {
  return {
    kind,
    ...(receiver !== '' && { to: receiver }),
    ...(textHash !== undefined && { text: textHash }),
    ...(sid !== undefined && { sid }),
    ...callerId,
    ...(kind === 'list' && { asked: form.toString() }),
  };
}
