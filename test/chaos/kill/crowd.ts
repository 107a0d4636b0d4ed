import type { Replica } from '../stage.ts';
import { isOver, judgeHandedOver, type Row } from './judge.ts';
import { createFindings, type Findings, inTime, type KillPoint, killPoint, until } from './point.ts';
import { type Order, post, type Scene } from './scene.ts';

/** Many messages of unknown fate, of which Twilio has every other one, and replicas that all wake at once to resolve them. */
export const crowd: KillPoint = killPoint({
  id: '17',
  name: 'crowd',
  inWords: 'a sender dies with 50 in flight; 2 to 5 replicas resolve them at once',
  endState: '50 at Twilio, each sent again at most once, no SID on two rows',
  weight: 3,
  play,
});

const MESSAGES = 50;

async function play(scene: Scene): Promise<string[]> {
  const findings = createFindings();
  const orders = Array.from({ length: MESSAGES }, (_, number) => scene.order({ number }));
  const [sender, ...resolvers] = await startAll(scene, 2 + ((scene.run - 1) % 4));
  for (const { child } of resolvers) child.kill('SIGSTOP');

  const taken = new Set<string>();
  scene.twilio.treat(({ nth, form }) => {
    if (nth % 2 === 0) return 'keep';
    taken.add(form.get('Body') ?? '');
    return 'keep answer';
  });
  const asking = orders.map((order) => post(sender, order));
  await inTime(`${MESSAGES} creates in flight`, scene.twilio.stopped(MESSAGES));
  await scene.kill(sender);
  await Promise.all(asking);
  await untilDue(scene);
  for (const { child } of resolvers) child.kill('SIGCONT');

  await until('the end of all messages', async () => {
    const { rows } = await scene.database.query<Row>('SELECT * FROM message');
    return rows.length === MESSAGES && rows.every(isOver);
  });
  for (const order of orders) await judgeOne(scene, order, taken.has(order.content), findings);
  const sids = 'SELECT twilio_sid FROM message WHERE twilio_sid IS NOT NULL GROUP BY twilio_sid HAVING count(*) > 1';
  const twice = await scene.database.query(sids);
  findings.must(twice.rowCount === 0, `${twice.rowCount} SIDs on two rows`);
  return [...new Set(findings.list)];
}

async function startAll(scene: Scene, resolvers: number): Promise<[Replica, ...Replica[]]> {
  const patient = { TWILIO_TIMEOUT_MS: '3000', TWILIO_MAX_CONCURRENCY: '60' };
  const sender = await scene.startWatched(patient);
  return [sender, ...(await Promise.all(Array.from({ length: resolvers }, () => scene.startFresh())))];
}

/** Before the first of them is due nobody would do anything, and they are to do it all at once. */
async function untilDue(scene: Scene): Promise<void> {
  await until('the time to look', async () => {
    const text = "SELECT FROM message WHERE due IS NULL OR due > now() AT TIME ZONE 'utc'";
    return (await scene.database.query(text)).rowCount === 0;
  });
}

async function judgeOne(scene: Scene, order: Order, isTaken: boolean, findings: Findings): Promise<void> {
  const outcomes = isTaken ? ['accepted'] : ['absent', 'accepted'];
  const one = createFindings();
  await judgeHandedOver(scene, order, { outcomes, creates: 1 }, one);
  for (const finding of one.list) findings.must(false, `${isTaken ? 'taken' : 'not taken'}: ${finding}`);
}
