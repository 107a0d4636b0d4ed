import { within } from '../clock.ts';
import { DatabaseUnavailable, type Db } from '../db/db.ts';
import { checkDatabase } from '../db/installation.ts';
import { classOf } from '../twilio/error-codes.ts';
import {
  type Attempts,
  listAttempts,
  MOST_COUNTED,
  MOST_WAITING,
  measureSilence,
  measureUnredacted,
  measureUnresolved,
  type Silence,
  type Waiting,
} from './check-numbers.ts';
import { durationInWords } from './duration-in-words.ts';
import type { Reach } from './message.ts';

/** Does everything that ought to happen happen? Said with numbers, and with what it means if not. */

export const checkTitles = {
  callbacks: 'Twilio’s callbacks arrive',
  signatures: 'Callbacks are signed by Twilio',
  unresolved: 'It is known which messages Twilio has',
  redaction: 'Texts are emptied at Twilio',
  twilio: 'Twilio takes messages',
  database: 'The database answers',
} as const;
type CheckName = keyof typeof checkTitles;

type Finding = { readonly state: 'ok' | 'failing' | 'unknown'; readonly reason: string; readonly since?: Date | null };
export type Check = Finding & { readonly name: CheckName; readonly title: string };

export type CheckDeps = {
  readonly db: Db;
  readonly log: { error(details: object, line: string): void };
  /** Callbacks that this process refused in the last quarter of an hour. */
  readonly refusedCallbacks: () => Refused;
};

/** `unsigned`: without a signature, or none that Twilio could have made; of the others, when the first and the last came. */
type Refused = { readonly unsigned: number; readonly wrong: number; readonly first: Date | null };

const WITHIN_MS = 3_500;
/** Of a statement: its connection is given up then, and does not keep others from theirs. */
const STATEMENT_WITHIN_MS = 3_000;
const MINUTE_S = 60;

export async function checkAll(deps: CheckDeps, reach: Reach): Promise<Check[]> {
  const db: Db = {
    ...deps.db,
    query: (statement) => deps.db.query({ query_timeout: STATEMENT_WITHIN_MS, ...statement }),
  };
  const find: Record<CheckName, () => Promise<Finding>> = {
    callbacks: async () => judgeCallbacks(await measureSilence(db, reach)),
    signatures: async () => judgeSignatures(deps.refusedCallbacks()),
    unresolved: async () => judgeUnresolved(await measureUnresolved(db, reach)),
    redaction: async () => judgeRedaction(await measureUnredacted(db, reach)),
    twilio: async () => judgeTwilio(await listAttempts(db, reach)),
    database: () => askDatabase(db),
  };
  const names = Object.keys(checkTitles) as CheckName[];
  return Promise.all(
    names.map(async (name) => ({ name, title: checkTitles[name], ...(await findOut(deps, name, find[name])) })),
  );
}

async function findOut({ log }: CheckDeps, name: CheckName, find: () => Promise<Finding>): Promise<Finding> {
  try {
    const found = await within(WITHIN_MS, find());
    if (found !== 'too late') return found;
  } catch (error) {
    if (!(error instanceof DatabaseUnavailable)) log.error({ err: error, check: name }, 'a check could not be made');
  }
  if (name !== 'database') return { state: 'unknown', reason: 'The database did not answer, so nobody can say.' };
  return { state: 'failing', reason: 'It cannot be reached, or did not answer in time: no message can be taken.' };
}

const SILENT_AFTER_S = 10 * MINUTE_S;

function judgeCallbacks({ lastCallback, sinceS, handedOver, waitedS, isInUse }: Silence): Finding {
  const last = sinceS === null ? 'No callback has come yet' : `The last callback came ${durationInWords(sinceS)} ago`;
  if (!isInUse) {
    return { state: 'ok', reason: 'Nothing was handed to Twilio in the last hour, so no callback is expected.' };
  }
  if (waitedS <= SILENT_AFTER_S) return { state: 'ok', reason: `${last}.` };
  const count = handedOver > MOST_COUNTED ? `more than ${inDigits(MOST_COUNTED)}` : inDigits(handedOver);
  const reason =
    `${last}, and ${count} ${handedOver === 1 ? 'message was' : 'messages were'} handed to Twilio since. ` +
    'Statuses are late until callbacks arrive: is the callback address reachable from Twilio?';
  return { state: 'failing', reason, since: lastCallback };
}

function judgeSignatures({ unsigned, wrong, first }: Refused): Finding {
  const turnedAway = `turned away ${countOf(unsigned, 'callback')} without a signature of Twilio’s form`;
  if (wrong === 0) {
    const what = unsigned === 0 ? 'found' : `${turnedAway}, and found`;
    return { state: 'ok', reason: `This replica ${what} no wrong signature in the last 15 minutes.` };
  }
  const also = unsigned === 0 ? '' : ` It also ${turnedAway}: those are not Twilio’s.`;
  const reason =
    `This replica refused ${countOf(wrong, 'callback')} in the last 15 minutes for a wrong signature or another account. ` +
    `Either somebody forges them, or the token or the callback address is not what Twilio signs with: the log says which.${also}`;
  return { state: 'failing', reason, since: first };
}

const UNRESOLVED_AFTER_S = 15 * MINUTE_S;

function judgeUnresolved({ count, oldest, ageS }: Waiting): Finding {
  if (count === 0) return { state: 'ok', reason: 'Of every message it is known whether Twilio has it.' };
  const [them, which] = count === 1 ? ['it', 'it'] : ['them', 'the oldest'];
  const reason = `Of ${countOf(count, 'message')} it is not known yet whether Twilio has ${them}; ${which} was tried ${durationInWords(ageS)} ago.`;
  if (ageS <= UNRESOLVED_AFTER_S) return { state: 'ok', reason };
  return { state: 'failing', reason: `${reason} Twilio’s log should have told: does Twilio answer?`, since: oldest };
}

const UNREDACTED_AFTER_S = 60 * MINUTE_S;

function judgeRedaction({ count, oldest, ageS }: Waiting): Finding {
  if (count === 0) return { state: 'ok', reason: 'Twilio holds no text of a message that has ended.' };
  const atLeast = count === MOST_WAITING ? 'At least ' : '';
  const reason =
    count === 1
      ? `1 text has waited to be emptied at Twilio for ${durationInWords(ageS)}.`
      : `${atLeast}${countOf(count, 'text')} wait to be emptied at Twilio, the oldest for ${durationInWords(ageS)}.`;
  if (ageS <= UNREDACTED_AFTER_S) return { state: 'ok', reason };
  return { state: 'failing', reason: `${reason} Patients’ texts stay there until Twilio empties them.`, since: oldest };
}

/** Of fewer, one alone would be a large share. */
const LEAST_TRIES = 5;
const MOST_UNANSWERED = 0.2;
const notHeard = ['not processed', 'unknown', 'absent'];

function judgeTwilio(attempts: readonly Attempts[]): Finding {
  const tries = total(attempts);
  if (tries === 0) return { state: 'ok', reason: 'Nothing was tried in the last 15 minutes.' };
  const ofClass = (name: string) =>
    attempts.filter((one) => one.outcome === 'refused' && classOf(one.httpStatus ?? 0, one.errorCode) === name);
  const unanswered = attempts.filter(({ outcome }) => notHeard.includes(outcome));
  const [account, misconfigured] = [ofClass('account'), ofClass('configuration')];
  const reason = inWords(tries, {
    refused: total(account),
    misconfigured: total(misconfigured),
    unheard: total(unanswered),
  });
  if (isAccountRefused(account, attempts)) {
    const what = 'Nothing can be sent until the account or its credentials are put right.';
    return { state: 'failing', reason: `${reason} ${what}`, since: earliest(account) };
  }
  if (tries >= LEAST_TRIES && total(unanswered) / tries > MOST_UNANSWERED) {
    const what = 'Messages are late or not sent: is Twilio up, and the way to it open?';
    return { state: 'failing', reason: `${reason} ${what}`, since: earliest(unanswered) };
  }
  return { state: 'ok', reason };
}

/** Of all attempts those that tell of trouble; nothing of what there was none of. */
function inWords(tries: number, of: Record<'refused' | 'misconfigured' | 'unheard', number>): string {
  const all = `${tries >= MOST_COUNTED ? 'the newest ' : ''}${countOf(tries, 'attempt')} of the last 15 minutes`;
  const only = 'the only attempt of the last 15 minutes';
  const trouble = [
    { count: of.refused, say: (some: string) => `Twilio refused ${some} because of the account` },
    { count: of.misconfigured, say: (some: string) => `Twilio refused ${some} because of how the account is set up` },
    { count: of.unheard, say: (some: string) => `${some} did not reach Twilio or got no answer` },
  ].filter(({ count }) => count > 0);
  if (trouble.length === 0) return asSentence(`${tries === 1 ? only : `all ${all}`} reached Twilio`);
  const first = (count: number) => (tries === 1 ? only : `${inDigits(count)} of ${all}`);
  return asSentence(trouble.map(({ count, say }, n) => say(n === 0 ? first(count) : inDigits(count))).join('; '));
}

function asSentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

/** What Twilio has accepted since then proves that the account was put right. */
function isAccountRefused(account: readonly Attempts[], attempts: readonly Attempts[]): boolean {
  const lastOf = (some: readonly Attempts[]) => Math.max(0, ...some.map(({ last }) => last.getTime()));
  return account.length > 0 && lastOf(attempts.filter(({ outcome }) => outcome === 'accepted')) <= lastOf(account);
}

function total(attempts: readonly Attempts[]): number {
  return attempts.reduce((sum, { count }) => sum + count, 0);
}

function earliest(attempts: readonly Attempts[]): Date | null {
  const times = attempts.map(({ first }) => first.getTime());
  return times.length === 0 ? null : new Date(Math.min(...times));
}

async function askDatabase(db: Db): Promise<Finding> {
  const began = performance.now();
  const said = await checkDatabase(db);
  const { waiting } = db.pool();
  const queue = `; ${countOf(waiting, 'request')} ${waiting === 1 ? 'waits' : 'wait'} for a connection`;
  const reason = `It answered in ${Math.ceil(performance.now() - began)} ms${waiting === 0 ? '' : queue}.`;
  return said === 'ok' ? { state: 'ok', reason } : { state: 'failing', reason: `${reason} But ${said}.` };
}

function countOf(count: number, what: string): string {
  return `${inDigits(count)} ${what}${count === 1 ? '' : 's'}`;
}

function inDigits(count: number): string {
  return count.toLocaleString('en');
}
