import { asStatus, statuses } from '../../src/message/status.ts';
import { BROKEN } from './fire.ts';
import type { Stage } from './stage.ts';
import { FORGED_MARK, type StormCallback } from './storm-callbacks.ts';
import type { StormMessage } from './storm-messages.ts';
import { mustBeZero, type Verdict } from './verdict.ts';

/** What was sent to the service and how it was answered; 0 = not sent. */
export type Told = { readonly callback: StormCallback; readonly answer: number };

/** Holds what the service has acknowledged against what its database says. */
export async function judgeStorm(
  stage: Stage,
  messages: readonly StormMessage[],
  told: readonly Told[],
): Promise<Verdict[]> {
  const forged = told.filter(({ callback, answer }) => callback.kind === 'forged' && answer !== 0);
  return [
    mustBeZero('messages with a wrong status', await countWrongStatuses(stage, messages, told)),
    ...(await judgeCallbackRows(stage, told)),
    ...(await judgeMoves(stage)),
    mustBeZero('forged, not answered 403', forged.filter(({ answer }) => answer !== 403 && answer !== BROKEN).length),
    mustBeZero('genuine, answered neither 2xx nor 503', told.filter(isWronglyRefused).length),
  ];
}

/** A 503 promises nothing, as a broken connection does. */
function isWronglyRefused({ callback, answer }: Told): boolean {
  return callback.kind !== 'forged' && answer !== 0 && answer !== BROKEN && answer !== 503 && !isPromise(answer);
}

function isPromise(answer: number): boolean {
  return answer >= 200 && answer < 300;
}

/** Right is the furthest status acknowledged, or one beyond it that was sent and got no answer. */
async function countWrongStatuses(
  stage: Stage,
  messages: readonly StormMessage[],
  told: readonly Told[],
): Promise<number> {
  const rows = await stage.query<{ sid: string; status: string; error_code: string | null }>(
    'SELECT twilio_sid AS sid, status, error_code FROM message WHERE twilio_sid IS NOT NULL',
  );
  const found = new Map(rows.map((row) => [row.sid, row]));
  const bySid = Map.groupBy(
    told.filter(({ callback, answer }) => callback.kind === 'genuine' && answer !== 0),
    ({ callback }) => callback.sid,
  );
  return messages.filter(({ sid, end }) => {
    const row = found.get(sid);
    if (row === undefined) return true;
    const about = bySid.get(sid) ?? [];
    const promised = about.filter(({ answer }) => isPromise(answer)).map(({ callback }) => callback.status);
    const least = furthest(['queued', ...promised]);
    const possible = [least, ...about.map(({ callback }) => callback.status).filter((s) => rankOf(s) > rankOf(least))];
    return !possible.includes(row.status) || (row.status === end.status && row.error_code !== end.errorCode);
  }).length;
}

function furthest(words: readonly string[]): string {
  return words.reduce((a, b) => (rankOf(b) > rankOf(a) ? b : a));
}

function rankOf(word: string | null): number {
  const status = asStatus(word);
  return status === null ? 0 : statuses[status].rank;
}

async function judgeCallbackRows(stage: Stage, told: readonly Told[]): Promise<Verdict[]> {
  const rows = await stage.query<{ key: string; rows: number; apart: number }>(
    `SELECT twilio_sid || ' ' || message_status AS key, count(*)::int AS rows,
            (count(*) FILTER (WHERE message_uuid IS NULL))::int AS apart
     FROM callback GROUP BY 1`,
  );
  const [forged] = await stage.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM callback WHERE jsonb_exists(parameters, $1)',
    [FORGED_MARK],
  );
  const found = new Map(rows.map((row) => [row.key, row]));
  const sent = told.filter(({ callback, answer }) => callback.kind !== 'forged' && answer !== 0);
  let [lost, unasked, apart] = [0, 0, 0];
  for (const [key, same] of Map.groupBy(sent, ({ callback }) => `${callback.sid} ${callback.status}`)) {
    const promised = same.filter(({ answer }) => isPromise(answer)).length;
    const row = found.get(key);
    lost += Math.max(0, promised - (row?.rows ?? 0));
    unasked += Math.max(0, (row?.rows ?? 0) - same.length);
    if (same[0]?.callback.kind === 'genuine') apart += row?.apart ?? 0;
  }
  return [
    mustBeZero('answered 2xx and lost', lost),
    mustBeZero('callbacks in the database that nobody sent', unasked),
    mustBeZero('of a known message, yet not joined to it', apart),
    mustBeZero('forged, and written all the same', forged?.n ?? 0),
  ];
}

/** Where the tables tell each move of a status: before and after. */
async function judgeMoves(stage: Stage): Promise<Verdict[]> {
  const tables = await stage.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.columns
     WHERE column_name IN ('status_before', 'status_after') AND table_name IN ('callback', 'event')
     GROUP BY 1 HAVING count(*) = 2 ORDER BY 1`,
  );
  if (tables.length === 0) return [{ what: 'status went back', found: 'not recorded: no status_before and _after' }];
  let backwards = 0;
  for (const { name } of tables) {
    const moves = await stage.query<{ before: string | null; after: string | null; n: number }>(
      `SELECT status_before AS before, status_after AS after, count(*)::int AS n FROM ${name} GROUP BY 1, 2`,
    );
    for (const { before, after, n } of moves) if (after !== null && rankOf(after) < rankOf(before)) backwards += n;
  }
  return [mustBeZero('status went back', backwards)];
}
