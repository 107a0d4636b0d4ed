import { createHash, randomUUID } from 'node:crypto';
import type { Db } from '../../src/db/db.ts';
import type { Closing } from '../../src/message/attempts.ts';
import { recordCallback } from '../../src/message/callbacks.ts';
import {
  claimToLookBack,
  claimToResolve,
  claimToSend,
  expireMessages,
  recordChecked,
  recordLook,
  type ToResolve,
} from '../../src/message/due-messages.ts';
import { markDeleted } from '../../src/message/messages.ts';
import { recordMessage } from '../../src/message/orders.ts';
import { recordPutBack, recordRefused, recordRetry, recordUnknown } from '../../src/message/outcomes.ts';
import type { LogReading } from '../../src/message/twilio-log.ts';
import type { Command, Fate } from './hand-over-commands.ts';
import { forgetAll, letPass } from './hand-over-rows.ts';
import { hear, makeTwilio, receiver, sender, type Taken } from './hand-over-twilio.ts';

const WITHIN_MS = 10_000;
const SETTLE_MS = 120_000;
const LEASE_MS = 60_000;
const tenant = { trustomerCode: 'ouh', productName: 'gdm' };

type Held = {
  readonly uuid: string;
  readonly n: number;
  readonly content: string;
  /** When the licence ends. */
  readonly until: number;
  /** Somebody waits for the answer: what is not taken ends, and too many requests are asked again. */
  readonly isAwaited: boolean;
  fate: Fate | null;
  taken: Taken | null;
};
type Looking = { readonly claim: ToResolve; reading: LogReading | 'unseen' | null };

/** What a command did: to whom, by which statement, and whether what it acted on was still good. */
export type Did = {
  readonly what: string;
  readonly uuid: string | null;
  /** The attempt or the epoch that it acts on. */
  readonly holds?: { readonly n: number } | { readonly epoch: number };
  /** What the statement said of itself, where it says something. */
  readonly took?: boolean;
};
const nothing: readonly Did[] = [];

/** Actors over real tables: senders, resolvers, a deleting caller, and Twilio. They forget nothing and may act late on anything. */
export function makeWorld(db: Db) {
  const twilio = makeTwilio();
  let now = 0;
  const uuids: string[] = [];
  const held: Held[] = [];
  const looking: Looking[] = [];

  const at = <Item>(items: readonly Item[], pick: number): Item | undefined => items[pick % Math.max(1, items.length)];
  const drop = <Item>(items: Item[], item: Item) => void items.splice(items.indexOf(item), 1);

  async function record({ when, text, validS }: Extract<Command, { do: 'record' }>): Promise<readonly Did[]> {
    const uuid = randomUUID();
    const content = `Text ${text}`;
    const inserted = await recordMessage(db, {
      uuid,
      tenant,
      author: null,
      request: {
        sender,
        receiver,
        to: receiver,
        content,
        validUntil: validS === null ? null : new Date(Date.now() + validS * 1000),
        errorCode: null,
        errorMessage: null,
      },
      textHash: createHash('sha256').update(content).digest('base64url'),
      key: null,
      send: when === 'now' ? { withinMs: WITHIN_MS, settleMs: SETTLE_MS } : 'later',
    });
    if (inserted.kind !== 'recorded') return [{ what: 'record: twin', uuid: null }];
    uuids.push(uuid);
    if (when === 'now') hold(uuid, 1, content, true);
    return [{ what: 'record', uuid }];
  }

  function hold(uuid: string, n: number, content: string, isAwaited: boolean): void {
    held.push({ uuid, n, content, until: now + WITHIN_MS, isAwaited, fate: null, taken: null });
  }

  async function claim({ limit, isOwn }: Extract<Command, { do: 'claim to send' }>): Promise<readonly Did[]> {
    const claimed = await claimToSend(db, {
      limit,
      withinMs: WITHIN_MS,
      settleMs: SETTLE_MS,
      own: isOwn ? uuids : [],
    });
    for (const { message, n } of claimed) hold(message.uuid, n, message.content, false);
    return claimed.map(({ message }) => ({ what: 'claim to send', uuid: message.uuid }));
  }

  async function call({ pick, fate, isListed }: Extract<Command, { do: 'call' }>): Promise<readonly Did[]> {
    const one = at(
      held.filter((some) => some.fate === null),
      pick,
    );
    if (one === undefined) return nothing;
    // A sender that cannot finish inside its licence does not start.
    one.fate = now < one.until ? fate : 'not reached';
    const { uuid, n, content } = one;
    if (one.fate.startsWith('taken')) one.taken = twilio.take({ uuid, n, content, at: now }, isListed);
    return nothing;
  }

  async function report({ pick, isAgain }: Extract<Command, { do: 'report' }>): Promise<readonly Did[]> {
    const one = at(
      held.filter((some) => some.fate !== null),
      pick,
    );
    if (one === undefined) return nothing;
    if (!isAgain) drop(held, one);
    const { uuid, n, fate } = one;
    const closed = (outcome: Closing['outcome']): Closing => ({
      outcome,
      httpStatus: null,
      errorCode: null,
      reason: null,
    });
    const end = (outcome: Closing['outcome'], freesKey: boolean) =>
      recordRefused(db, { uuid, n }, closed(outcome), { code: null, message: 'no', freesKey });
    const id = { uuid, n };
    const about = { uuid, holds: { n } };
    switch (fate) {
      case 'taken': {
        if (one.taken === null) throw new Error('Twilio does not know what it took');
        await hear(db, 'answer', uuid, one.taken.sid, n);
        return [{ what: 'answer', uuid }];
      }
      case 'taken, answer lost':
      case 'lost':
        await recordUnknown(db, id, closed('unknown'));
        return [{ what: 'unknown', ...about }];
      case 'refused':
        await end('refused', false);
        return [{ what: 'refused', ...about }];
      case 'too many': {
        if (!one.isAwaited) {
          await recordPutBack(db, id, closed('refused'), 2_000);
          return [{ what: 'put back', ...about }];
        }
        const next = { withinMs: WITHIN_MS, settleMs: SETTLE_MS };
        const took = (await recordRetry(db, id, closed('refused'), next)) === 'licensed';
        if (took) hold(uuid, n + 1, one.content, true);
        return [{ what: 'retry', took, ...about }];
      }
      case 'not reached':
        if (one.isAwaited) {
          await end('not processed', true);
          return [{ what: 'refused', ...about }];
        }
        await recordPutBack(db, id, closed('not processed'), 2_000);
        return [{ what: 'put back', ...about }];
      default:
        return nothing;
    }
  }

  async function look({ pick, canSee }: Extract<Command, { do: 'look' }>): Promise<readonly Did[]> {
    const one = at(
      looking.filter(({ reading }) => reading === null),
      pick,
    );
    if (one !== undefined) one.reading = canSee ? await twilio.look(db, one.claim, now) : 'unseen';
    return nothing;
  }

  /** As resolve.ts concludes. */
  async function conclude({ pick, mayResend, isAgain }: Extract<Command, { do: 'conclude' }>): Promise<readonly Did[]> {
    const one = at(
      looking.filter(({ reading }) => reading !== null),
      pick,
    );
    if (one === undefined || one.reading === null) return nothing;
    if (!isAgain) drop(looking, one);
    const { uuid, epoch, attempts, looks } = one.claim;
    const n = attempts.at(-1)?.n ?? 1;
    if (one.reading !== 'unseen' && one.reading.kind === 'found') {
      for (const { sid } of one.reading.copies) await hear(db, 'list', uuid, sid, n);
      return [{ what: 'found', uuid }];
    }
    const isSecond = one.reading !== 'unseen' && looks >= 1;
    const seen = one.reading === 'unseen' ? looks : looks + 1;
    const conclusion = !isSecond
      ? ({ kind: 'look again', afterMs: 30_000, looks: seen } as const)
      : ({ kind: mayResend ? 'send again' : 'unconfirmed' } as const);
    const took = await recordLook(db, { uuid, epoch, n, conclusion, details: {}, isTold: true });
    return [{ what: conclusion.kind, uuid, holds: { epoch }, took }];
  }

  async function callBack({ pick, word, bearsOurId }: Extract<Command, { do: 'call back' }>): Promise<readonly Did[]> {
    const one = at(twilio.taken, pick);
    if (one === undefined) return nothing;
    const callback = {
      twilioSid: one.sid,
      messageStatus: word,
      errorCode: null,
      errorMessage: null,
      parameters: {},
    };
    await recordCallback(db, callback, bearsOurId ? { uuid: one.uuid, attempt: one.n } : null);
    return [{ what: 'callback', uuid: one.uuid }];
  }

  async function run(command: Command): Promise<readonly Did[]> {
    switch (command.do) {
      case 'record':
        return record(command);
      case 'claim to send':
        return claim(command);
      case 'call':
        return call(command);
      case 'report':
        return report(command);
      case 'die': {
        const one = at(held, command.pick);
        if (one !== undefined) drop(held, one);
        return nothing;
      }
      case 'claim to resolve': {
        const claimed = await claimToResolve(db, { limit: command.limit, leaseMs: LEASE_MS });
        looking.push(...claimed.map((one) => ({ claim: one, reading: null })));
        return claimed.map(({ uuid }) => ({ what: 'claim to resolve', uuid }));
      }
      case 'look':
        return look(command);
      case 'conclude':
        return conclude(command);
      case 'call back':
        return callBack(command);
      case 'delete': {
        const uuid = at(uuids, command.pick);
        if (uuid === undefined) return nothing;
        const took = (await markDeleted(db, uuid, tenant, null)) !== null;
        return [{ what: 'delete', uuid, took }];
      }
      case 'expire':
        return (await expireMessages(db, 10)).map((uuid) => ({ what: 'expire', uuid }));
      case 'wait':
        now += command.ms;
        await letPass(db, command.ms);
        return nothing;
      case 'catch up':
        twilio.catchUp(now);
        return nothing;
      default:
        return command satisfies never;
    }
  }

  async function lookBack(): Promise<void> {
    for (const { uuid, epoch } of await claimToLookBack(db, { limit: 100, leaseMs: LEASE_MS })) {
      await recordChecked(db, { uuid, epoch, againAfterMs: null });
    }
  }

  return { begin: () => forgetAll(db), run, lookBack, taken: twilio.taken, uuids };
}

export type World = ReturnType<typeof makeWorld>;
