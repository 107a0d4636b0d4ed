import { setTimeout as pause } from 'node:timers/promises';
import type { Replica } from '../stage.ts';
import { isOver, judgeHandedOver, judgeReplay, rowsOf, untilOver } from './judge.ts';
import { createFindings, type Findings, inTime, type KillPoint, killPoint, until } from './point.ts';
import { type Answer, type Order, post, type Scene } from './scene.ts';

/** Something happens to tx 1 after which its sender must not call Twilio: it answers 503, and that must be true for good. */
export const lostCommit: KillPoint[] = [
  killPoint({
    id: '15d',
    name: 'sigstop-past-deadline',
    inWords: 'SIGSTOP after tx 1, SIGCONT just past the deadline',
    endState: '503 is true: 0 at Twilio for good; the key again: 1 at Twilio',
    play: (scene) => play(scene, sleepPastDeadline),
  }),
  killPoint({
    id: '18',
    name: 'commit-lost',
    inWords: "PostgreSQL's backend dies: tx 1 committed, its answer lost",
    endState: '503 is true: 0 at Twilio for good; the key again: 1 at Twilio',
    play: (scene) => play(scene, loseAnswer),
  }),
  killPoint({
    id: '18r',
    name: 'commit-rolled-back',
    inWords: "PostgreSQL's backend dies: tx 1 under way, rolled back",
    endState: '503 is true: 0 at Twilio for good; the key again: 1 at Twilio',
    play: (scene) => play(scene, rollBack),
  }),
  killPoint({
    id: '18k',
    name: 'commit-lost-cut-off',
    inWords: 'tx 1 committed, its answer lost, PostgreSQL out of reach; then killed',
    endState: 'hung up, for 503 would be a lie; 1 at Twilio, same uuid and SID',
    play: playCutOff,
  }),
];

/** Past the deadline, the settle time and both looks: whoever would send it again has done so. */
const FOR_GOOD_MS = 5_000;

async function play(scene: Scene, disturb: (scene: Scene, sender: Replica) => Promise<void>): Promise<string[]> {
  const findings = createFindings();
  const order = scene.order();
  const replica = await scene.startWatched();
  const disturbed = disturb(scene, replica);
  const answer = await inTime('an answer', post(replica, order));
  await disturbed;
  judgeRefusal(answer, findings);
  await pause(FOR_GOOD_MS);
  await judgeNotSent(scene, order, findings);

  const again = await post(replica, order);
  findings.must(again?.status === 200, `the key again: answered ${again?.status ?? 'nothing'}`);
  const { creates, sids } = await scene.atTwilio(order);
  findings.must(sids.length === 1 && creates === 1, `the key again: ${sids.length} at Twilio, ${creates} creates`);
  const sent = (await rowsOf(scene, order)).filter(({ twilio_sid }) => twilio_sid !== null);
  findings.must(sent.length === 1 && sent[0]?.twilio_sid === sids[0], `${sent.length} rows have a SID`);
  if (sent[0] !== undefined) judgeReplay(await post(replica, order), sent[0], findings);
  return [...new Set(findings.list)];
}

/** Nobody can make the recording void, so the caller must not be told that nothing was sent. */
async function playCutOff(scene: Scene): Promise<string[]> {
  const findings = createFindings();
  const order = scene.order();
  const cutOff = await scene.startWatched();
  const hold = scene.postgres.holdAnswer('record-message');
  const asking = post(cutOff, order);
  await inTime('the commit', hold.reached);
  scene.postgres.cut();
  const answer = await inTime('an answer, or that it hung up', asking);
  findings.must(answer === null, `answered ${answer?.status}`);
  await scene.kill(cutOff);

  const fresh = await scene.startFresh();
  const row = await untilOver(scene, order);
  await judgeHandedOver(scene, order, { outcomes: ['absent', 'accepted'], creates: 1 }, findings);
  judgeReplay(await post(fresh, order), row, findings);
  return [...findings.list];
}

function judgeRefusal(answer: Answer | null, { must }: Findings): void {
  must(answer?.status === 503, `answered ${answer?.status ?? 'nothing'}, not 503`);
  must(answer?.headers.has('retry-after') === true, '503 without Retry-After');
}

async function judgeNotSent(scene: Scene, order: Order, { must }: Findings): Promise<void> {
  const { creates } = await scene.atTwilio(order);
  must(creates === 0 && scene.twilio.creates() === 0, `Twilio was asked ${creates} times after the 503`);
  for (const row of await rowsOf(scene, order)) {
    must(isOver(row), `the row is not over: step ${row.step}, unresolved ${row.unresolved}`);
    must(['error', 'canceled'].includes(row.status), `the row is ${row.status}`);
  }
}

async function sleepPastDeadline(scene: Scene, { child }: Replica): Promise<void> {
  const hold = scene.postgres.holdAnswer('record-message');
  await inTime('the commit', hold.reached);
  child.kill('SIGSTOP');
  await until('the deadline', async () => {
    const over = "SELECT FROM attempt WHERE deadline < now() AT TIME ZONE 'utc'";
    return (await scene.database.query(over)).rowCount === 1;
  });
  hold.release();
  child.kill('SIGCONT');
}

async function loseAnswer(scene: Scene): Promise<void> {
  const hold = scene.postgres.holdAnswer('record-message');
  const { backendPid } = await inTime('the commit', hold.reached);
  await scene.database.query('SELECT pg_terminate_backend($1)', [backendPid]);
  hold.lose();
}

/** A lock on the table stops the statement inside PostgreSQL, where its backend is then ended. */
async function rollBack(scene: Scene): Promise<void> {
  const hold = scene.postgres.holdRequest('record-message');
  const { backendPid } = await inTime('tx 1', hold.reached);
  const locker = await scene.database.connect();
  try {
    await locker.query('BEGIN');
    await locker.query('LOCK TABLE message IN SHARE ROW EXCLUSIVE MODE');
    hold.release();
    await until('PostgreSQL at work on tx 1', async () => {
      const waits = "SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'";
      return (await scene.database.query(waits, [backendPid])).rowCount === 1;
    });
    await locker.query('SELECT pg_terminate_backend($1)', [backendPid]);
  } finally {
    await locker.query('ROLLBACK');
    locker.release();
  }
}
