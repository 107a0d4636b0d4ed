import { hashText } from '../../src/simulator/draw.ts';
import type { Answer, Story } from './clients.ts';
import { type Accepted, type Evidence, isSuccess, type Row } from './evidence.ts';
import { isBackward, isOurs, isTerminal } from './moves.ts';

/** One message for which a promise was broken. Holds ids and words, never a number or a text. */
export type Case = { readonly uuid: string | null; readonly sid: string | null; readonly why: string };

/** A promise, and every case in which it was broken; none is expected. */
export type Finding = {
  readonly name: 'lost' | 'duplicates' | 'wrong final' | 'backward' | (string & {});
  readonly promise: string;
  readonly cases: readonly Case[];
};

/** Holds what the clients were told and what the database says against what Twilio really has. */
export function judge(evidence: Evidence): Finding[] {
  const facts = lookUp(evidence);
  const extra = copies(evidence);
  return [
    { name: 'lost', promise: 'sent with no row, or taken and never ended', cases: lost(evidence, facts) },
    { name: 'broken word', promise: 'answered “not sent”, and sent', cases: brokenWords(evidence, facts) },
    { name: 'duplicates', promise: 'sent more than once', cases: extra },
    { name: 'silent', promise: 'duplicate that nobody noted', cases: silent(evidence, extra) },
    { name: 'wrong final', promise: 'last status is not Twilio’s', cases: wrongFinals(evidence, facts) },
    { name: 'misplaced', promise: 'SID on two rows, or on the wrong one', cases: misplaced(evidence, facts) },
    { name: 'backward', promise: 'status went back', cases: backward(evidence) },
    { name: 'unresolved', promise: 'not over 30 s after the last fault', cases: unresolved(evidence) },
    { name: 'unredacted', promise: 'over, and Twilio has the text still', cases: unredacted(evidence) },
    { name: 'unlicensed', promise: 'sent with no attempt on record', cases: unlicensed(evidence) },
    { name: 'forgotten', promise: 'callback answered 2xx, and not on record', cases: forgottenCallbacks(evidence) },
    { name: 'forged', promise: 'forged callback, and taken', cases: takenForgeries(evidence) },
    { name: 'keys', promise: 'same key, another message', cases: otherMessages(evidence) },
    { name: 'answers', promise: 'answer outside the contract', cases: oddAnswers(evidence) },
  ];
}

type Facts = {
  readonly acceptedBySid: ReadonlyMap<string, Accepted>;
  readonly acceptedByText: ReadonlyMap<string, readonly Accepted[]>;
  readonly acceptedByUuid: ReadonlyMap<string | null, readonly Accepted[]>;
  readonly rowsBySid: ReadonlyMap<string | null, readonly Row[]>;
  readonly rowByUuid: ReadonlyMap<string | null, Row>;
};

function lookUp({ accepted, rows }: Evidence): Facts {
  return {
    acceptedBySid: new Map(accepted.map((one) => [one.sid, one])),
    acceptedByText: Map.groupBy(accepted, ({ text }) => text),
    acceptedByUuid: Map.groupBy(accepted, ({ uuid }) => uuid),
    rowsBySid: Map.groupBy(rows, ({ sid }) => sid),
    rowByUuid: new Map(rows.map((row) => [row.uuid, row])),
  };
}

function lost({ accepted, rows, stories, recordedDuplicates }: Evidence, facts: Facts): Case[] {
  const withoutRow = accepted.filter(
    ({ sid, uuid }) => !facts.rowsBySid.has(sid) && !facts.rowByUuid.has(uuid) && !recordedDuplicates.has(sid),
  );
  const withoutEnd = rows.filter(({ sid, status }) => sid === null && !isOurs(status) && status !== 'canceled');
  return [
    ...withoutRow.map(({ sid, uuid }) => ({ uuid, sid, why: 'Twilio has it, and no row does' })),
    ...withoutEnd.map(({ uuid, sid, status }) => ({ uuid, sid, why: `ended nowhere: ${status}` })),
    ...stories.flatMap((story) => lostAfterAnswer(story, facts)),
  ];
}

function lostAfterAnswer({ answers }: Story, { rowByUuid, acceptedBySid }: Facts): Case[] {
  const last = answers.at(-1);
  if (last?.kind !== 'answer' || (last.status !== 200 && last.status !== 202)) return [];
  const { uuid, sid, status } = last;
  if (!rowByUuid.has(uuid)) return [{ uuid, sid, why: `answered ${status}, and there is no row` }];
  if (status === 200 && !acceptedBySid.has(sid ?? ''))
    return [{ uuid, sid, why: 'answered 200, and Twilio has nothing' }];
  return [];
}

/**
 * The answer names its message, unless there is none. Without a name only the text tells, and only if no request of this client
 * was left without an answer: that one may have been carried out after all.
 */
function brokenWords({ stories }: Evidence, { acceptedByUuid, acceptedByText }: Facts): Case[] {
  return stories.flatMap(({ planned, answers }) => {
    const refusals = answers.filter((answer) => answer.kind === 'answer').filter(({ status }) => saysNotSent(status));
    const named = refusals.flatMap(({ uuid }) => (uuid === null ? [] : (acceptedByUuid.get(uuid) ?? [])));
    const isPlain = answers.length === refusals.length;
    const sent = isPlain ? (acceptedByText.get(hashText(planned.content)) ?? []) : named;
    return sent.slice(0, 1).map(({ uuid, sid }) => ({
      uuid,
      sid,
      why: `answered ${refusals.map(({ status }) => status).join(', ')}, and Twilio has it`,
    }));
  });
}

/** A 409 says that the first request with this key is still running; it says nothing of the message. */
function saysNotSent(status: number): boolean {
  return status === 503 || (status >= 400 && status < 500 && status !== 409);
}

/** Every copy but the first, of one text or for one message. */
function copies({ accepted }: Evidence): Case[] {
  const named = accepted.filter(({ uuid }) => uuid !== null);
  const groups = [...Map.groupBy(accepted, ({ text }) => text), ...Map.groupBy(named, ({ uuid }) => uuid)];
  const extra = new Map(groups.flatMap(([, same]) => same.slice(1)).map((one) => [one.sid, one]));
  return [...extra.values()].map(({ uuid, sid }) => ({ uuid, sid, why: 'one more of the same' }));
}

/** G4. Whoever gives Twilio no id of his own cannot note anything. */
function silent({ recordedDuplicates, accepted }: Evidence, extra: readonly Case[]): Case[] {
  const ofMessage = Map.groupBy(accepted, ({ uuid }) => uuid);
  return extra.filter(({ uuid }) => {
    const sids = uuid === null ? [] : (ofMessage.get(uuid) ?? []);
    // Which of two is the second one is the service's to say.
    return sids.filter(({ sid }) => recordedDuplicates.has(sid)).length < sids.length - 1;
  });
}

function wrongFinals({ rows }: Evidence, { acceptedBySid, acceptedByUuid }: Facts): Case[] {
  return rows.flatMap(({ uuid, sid, status }) => {
    const truth = sid === null ? acceptedByUuid.get(uuid)?.[0] : acceptedBySid.get(sid);
    if (truth === undefined || (sid !== null && truth.status === status)) return [];
    return [{ uuid, sid: truth.sid, why: `is ${truth.status} at Twilio, ${status} here` }];
  });
}

function misplaced({ rows }: Evidence, { acceptedBySid, rowsBySid }: Facts): Case[] {
  return rows.flatMap(({ uuid, sid, text }) => {
    if (sid === null) return [];
    if (!acceptedBySid.has(sid)) return [{ uuid, sid, why: 'a SID that Twilio does not know' }];
    if (acceptedBySid.get(sid)?.text !== text) return [{ uuid, sid, why: 'the SID of another text' }];
    return rowsBySid.get(sid)?.length === 1 ? [] : [{ uuid, sid, why: 'a SID on two rows' }];
  });
}

function backward({ moves }: Evidence): Case[] {
  return moves.filter(isBackward).map(({ uuid, sid, before, after, source }) => ({
    uuid,
    sid,
    why: `from ${before} to ${after} (${source})`,
  }));
}

function unresolved({ open }: Evidence): Case[] {
  return open.map(({ uuid, sid, state }) => ({ uuid, sid, why: state }));
}

function unredacted({ accepted }: Evidence): Case[] {
  const left = accepted.filter(({ status, hasText }) => hasText && isTerminal(status));
  return left.map(({ uuid, sid, status }) => ({ uuid, sid, why: `${status}, with its text` }));
}

function takenForgeries({ forgeries }: Evidence): Case[] {
  return forgeries
    .filter(({ outcome }) => isSuccess(outcome))
    .map(({ sid, outcome }) => ({ uuid: null, sid, why: `answered ${outcome}` }));
}

/** G1. */
function unlicensed({ creates, recordedAttempts }: Evidence): Case[] {
  const calls = creates.filter(({ uuid, attempt }) => !recordedAttempts.has(`${uuid} ${attempt}`));
  return calls.map(({ uuid, sid, attempt }) => ({ uuid, sid, why: `attempt ${attempt} is not on record` }));
}

/** G6. */
function forgottenCallbacks({ acknowledged, recordedCallbacks }: Evidence): Case[] {
  const forgotten = acknowledged.filter(({ sid, status }) => !recordedCallbacks.has(`${sid} ${status}`));
  return forgotten.map(({ sid, status }) => ({ uuid: null, sid, why: `the callback ${status} is not on record` }));
}

/** G7. */
function otherMessages({ replays }: Evidence): Case[] {
  return replays.flatMap(({ story, answer }) => {
    const first = story.answers.at(-1);
    if (first?.kind !== 'answer') return [];
    const said = answer.kind === 'answer' ? `${answer.status}` : 'nothing';
    if (answer.kind === 'answer' && isSameMessage(first, answer)) return [];
    return [{ uuid: first.uuid, sid: first.sid, why: `asked again with its key: ${said} instead of ${first.status}` }];
  });
}

type Answered = Extract<Answer, { kind: 'answer' }>;

function isSameMessage(first: Answered, again: Answered): boolean {
  const isToldAgain = [200, 202, 422].includes(again.status);
  return isToldAgain && again.uuid === first.uuid && (first.sid === null || again.sid === first.sid);
}

/** A 503 without `Retry-After`, a 500 or anything else that CONTRACT does not have for a request that is as it should be. */
function oddAnswers({ stories }: Evidence): Case[] {
  const given = stories.flatMap(({ answers }) => answers.filter((answer) => answer.kind === 'answer'));
  const odd = given.filter(
    ({ status, asksToRepeat }) =>
      ![200, 202, 422].includes(status) && !(asksToRepeat && [409, 429, 503].includes(status)),
  );
  return odd.map(({ uuid, sid, status }) => ({ uuid, sid, why: `answered ${status}` }));
}
