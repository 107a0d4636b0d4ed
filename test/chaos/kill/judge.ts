import { type Findings, until } from './point.ts';
import type { Answer, Order, Scene } from './scene.ts';

export type Row = {
  readonly uuid: string;
  readonly status: string;
  readonly twilio_sid: string | null;
  readonly step: string | null;
  readonly unresolved: boolean;
};

export type Attempt = { readonly n: number; readonly outcome: string | null; readonly deadline: Date };

/** The exact end of a message: how each attempt ended, in their order, and how often Twilio was asked to create it. */
export type End = {
  readonly outcomes: readonly string[];
  readonly creates: number;
};

export async function rowsOf({ database }: Scene, { receiver, content }: Order): Promise<Row[]> {
  const text = 'SELECT * FROM message WHERE receiver = $1 AND content = $2 ORDER BY created';
  return (await database.query<Row>(text, [receiver, content])).rows;
}

export async function attemptsOf({ database }: Scene, uuid: string): Promise<Attempt[]> {
  return (await database.query<Attempt>('SELECT * FROM attempt WHERE message_uuid = $1 ORDER BY n', [uuid])).rows;
}

/** The order's row once nothing is left to do about it. */
export function untilOver(scene: Scene, order: Order): Promise<Row> {
  return until('the end of the message', async () => {
    const rows = await rowsOf(scene, order);
    return (rows.every(isOver) && rows[0]) || null;
  });
}

export function isOver({ step, unresolved }: Row): boolean {
  return (step === null || step === 'poll' || step === 'redact') && unresolved === false;
}

/** Exactly one row, exactly one message at Twilio, each knows the other, and no attempt without evidence that allowed it. */
export async function judgeHandedOver(scene: Scene, order: Order, end: End, { must }: Findings): Promise<Row | null> {
  const [row, ...others] = await rowsOf(scene, order);
  must(row !== undefined && others.length === 0, `${others.length + (row ? 1 : 0)} rows`);
  if (row === undefined) return null;
  const { creates, sids } = await scene.atTwilio(order);
  must(sids.length === 1, `${sids.length} at Twilio (${sids.join(', ')})`);
  must(row.twilio_sid === sids[0], `the row has SID ${row.twilio_sid}, Twilio ${sids.join(', ')}`);
  must(creates === end.creates, `Twilio was asked ${creates} times, not ${end.creates}`);
  const attempts = await attemptsOf(scene, row.uuid);
  const outcomes = attempts.map(({ outcome }) => outcome ?? 'open');
  must(outcomes.join() === end.outcomes.join(), `attempts ended ${show(outcomes)}, not ${show(end.outcomes)}`);
  must(
    outcomes.slice(0, -1).every((outcome) => ['absent', 'not processed', 'refused'].includes(outcome)),
    `sent again after an attempt that ended ${show(outcomes.slice(0, -1))}`,
  );
  return row;
}

/** Two answers to one key may differ in what was known by then, never in which message they speak of. */
export function judgeAnswer(answer: Answer | null, uuid: string, findings: Findings, when: string): void {
  if (answer?.status === 409) return;
  const named = answer?.headers.get('x-message-id');
  findings.must([200, 202].includes(answer?.status ?? 0), `${when}: answered ${answer?.status ?? 'nothing'}`);
  findings.must(named === uuid, `${when}: the answer names message ${named}, the row is ${uuid}`);
}

/** The client's last word: the same key again, when all is over. */
export function judgeReplay(answer: Answer | null, row: Row, { must }: Findings): void {
  const isReplayed = answer?.headers.get('idempotency-replayed') === 'true';
  must(answer?.status === 200, `the key again: answered ${answer?.status ?? 'nothing'}`);
  must(isReplayed, 'the key again: not marked as replayed');
  must(answer?.json.uuid === row.uuid, `the key again: message ${answer?.json.uuid}, not ${row.uuid}`);
  must(
    (answer?.json.twilio_sid ?? null) === row.twilio_sid,
    `the key again: SID ${answer?.json.twilio_sid}, not ${row.twilio_sid}`,
  );
}

function show(words: readonly string[]): string {
  return words.length === 0 ? 'none' : words.join(' → ');
}
