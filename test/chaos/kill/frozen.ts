import { setTimeout as pause } from 'node:timers/promises';
import type { Hold } from '../postgres-proxy.ts';
import { brokenFirst, type Fate, taken } from './fates.ts';
import { attemptsOf, type End, judgeAnswer, judgeHandedOver, judgeReplay, rowsOf, untilOver } from './judge.ts';
import { createFindings, inTime, type KillPoint, killPoint, until } from './point.ts';
import { type Order, post, type Scene } from './scene.ts';

/** Somebody who may call Twilio, or is about to decide that, and sleeps until others have had to take it over. */
type Frozen = Pick<KillPoint, 'id' | 'name' | 'inWords'> & {
  readonly fate: Fate;
  readonly isAsync: boolean;
  /** Where it is stopped. */
  readonly hold: (scene: Scene) => Hold;
  /** It sleeps at least so long past the deadline, whatever the others do. */
  readonly pastDeadlineMs: number;
  /** How often it has called Twilio by then; it must not call again. */
  readonly calls: number;
  readonly end: End;
};

/** From GUARANTEES: how long after the deadline nobody else may take a sender's message from it. */
const LEASE_MS = 5_000;

const points: Frozen[] = [
  {
    id: '15',
    name: 'sigstop-sender',
    inWords: 'SIGSTOP after tx 1, SIGCONT past deadline and lease',
    fate: taken,
    isAsync: false,
    hold: ({ postgres }) => postgres.holdAnswer('record-message'),
    pastDeadlineMs: LEASE_MS,
    calls: 0,
    end: { outcomes: ['absent', 'accepted'], creates: 1 },
  },
  {
    id: '15a',
    name: 'sigstop-recorder',
    inWords: 'async: SIGSTOP after tx 1, SIGCONT when another replica has sent it',
    fate: taken,
    isAsync: true,
    hold: ({ postgres }) => postgres.holdAnswer('record-message'),
    pastDeadlineMs: 0,
    calls: 0,
    end: { outcomes: ['accepted'], creates: 1 },
  },
  {
    id: '16',
    name: 'sigstop-claimer',
    inWords: 'async: SIGSTOP after the claim, SIGCONT past deadline and lease',
    fate: taken,
    isAsync: true,
    hold: ({ postgres }) => postgres.holdAnswer('claim-to-send'),
    pastDeadlineMs: LEASE_MS,
    calls: 0,
    end: { outcomes: ['absent', 'accepted'], creates: 1 },
  },
  {
    id: '16r',
    name: 'sigstop-resolver',
    inWords: 'SIGSTOP of a resolver about to record that it found nothing',
    fate: brokenFirst,
    isAsync: false,
    hold: ({ postgres }) => postgres.holdRequest('record-look', 2),
    pastDeadlineMs: LEASE_MS,
    calls: 1,
    end: { outcomes: ['absent', 'accepted'], creates: 2 },
  },
];

export const frozen: KillPoint[] = points.map((spec) => {
  const { id, name, inWords, fate } = spec;
  const endState = '1 at Twilio, sent by the other replica; the woken one starts no call';
  return killPoint({ id, name, inWords, fate, endState, play: (scene) => play(scene, spec) });
});

/** Even runs: also the sleeper's patience with PostgreSQL, and its caller's with it, is over when it wakes. */
const MORE_SLEEP_MS = 8_000;
/** Everything that a woken process had planned for the time it slept is over by then. */
const WAKING_MS = 1_500;

async function play(scene: Scene, spec: Frozen): Promise<string[]> {
  const findings = createFindings();
  const order = scene.order({ isAsync: spec.isAsync });
  const sleeper = await scene.startWatched();
  const hold = spec.hold(scene);
  const asking = post(sleeper, order);
  await inTime('the moment to stop', hold.reached);
  sleeper.child.kill('SIGSTOP');
  const [recorded] = await rowsOf(scene, order);
  if (recorded === undefined) throw new Error('a message whose attempt is committed has a row');

  const other = await scene.startFresh();
  await untilTakenOver(scene, order);
  await untilLeaseIsOver(scene, recorded.uuid, spec.pastDeadlineMs + (scene.run % 2 === 1 ? 0 : MORE_SLEEP_MS));
  hold.release();
  sleeper.child.kill('SIGCONT');

  const answer = await inTime("the woken one's answer", asking);
  await pause(WAKING_MS);
  const row = await untilOver(scene, order);
  const calls = scene.twilio.creates();
  findings.must(calls === spec.calls, `the woken one has called Twilio ${calls} times, not ${spec.calls}`);
  // When its caller's time is over it may hang up: no answer promises nothing.
  if (answer !== null) judgeAnswer(answer, row.uuid, findings, 'by the woken one');
  await judgeHandedOver(scene, order, spec.end, findings);
  judgeReplay(await post(other, order), row, findings);
  judgeReplay(await post(sleeper, order), row, findings);
  await judgeHandedOver(scene, order, spec.end, findings);
  return [...new Set(findings.list)];
}

function untilTakenOver(scene: Scene, order: Order): Promise<true> {
  return until('the hand-over by the other replica', async () => {
    const rows = await rowsOf(scene, order);
    return rows.some(({ twilio_sid }) => twilio_sid !== null) && true;
  });
}

async function untilLeaseIsOver(scene: Scene, uuid: string, afterDeadlineMs: number): Promise<void> {
  const [first] = await attemptsOf(scene, uuid);
  if (first === undefined) throw new Error('the attempt is gone');
  await until("the end of the sender's lease", async () => {
    const text = `SELECT started FROM attempt WHERE message_uuid = $1 AND n = 1
                  AND deadline + $2 * interval '1 ms' < now() AT TIME ZONE 'utc'`;
    return (await scene.database.query(text, [uuid, afterDeadlineMs])).rowCount === 1;
  });
}
