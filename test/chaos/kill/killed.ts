import type { Fate } from './fates.ts';
import { brokenFirst, takenWith500 } from './fates.ts';
import { attemptsOf, type End, judgeAnswer, judgeHandedOver, judgeReplay, rowsOf, untilOver } from './judge.ts';
import { createFindings, type Findings, inTime, type KillPoint, killPoint, MissedMoment } from './point.ts';
import { type Answer, type Order, post, type Scene } from './scene.ts';

type Killed = {
  readonly id: string;
  readonly name: string;
  readonly inWords: string;
  readonly isAsync?: boolean;
  readonly isCalledBack?: boolean;
  readonly fate?: Fate;
  /** Sets the trap; what it answers resolves when the moment has come. */
  readonly trap: (scene: Scene, answered: Promise<Answer | null>) => Promise<unknown>;
  /** What must be the case at that moment, or it was another one. */
  readonly atKill: { readonly rows: number; readonly attempts: number; readonly atTwilio: number };
  readonly end: End;
  /** Twilio's log is not looked at: the SID was on record already. */
  readonly needsNoLook?: boolean;
};

const nothing = { rows: 0, attempts: 0, atTwilio: 0 };
const first = { rows: 1, attempts: 1, atTwilio: 0 };
const firstTaken = { rows: 1, attempts: 1, atTwilio: 1 };
const second = { rows: 1, attempts: 2, atTwilio: 0 };
const secondTaken = { rows: 1, attempts: 2, atTwilio: 1 };

const sentOnce: End = { outcomes: ['accepted'], creates: 1 };
const sentAgain: End = { outcomes: ['absent', 'accepted'], creates: 1 };
const sentAgainAfter500: End = { outcomes: ['absent', 'accepted'], creates: 2 };

const asked = (statement: string) => (scene: Scene) => scene.postgres.holdRequest(statement).reached;
const committed = (statement: string) => (scene: Scene) => scene.postgres.holdAnswer(statement).reached;
/** Of the n-th create; the cut moves through the request from run to run. */
const stopped = (where: 'half-way' | 'answer', nth = 1) => {
  return (scene: Scene) => {
    const treatment = where === 'answer' ? 'keep answer' : { stopAfter: scene.run / (scene.runs + 1) };
    scene.twilio.treat((create) => (create.nth === nth ? treatment : 'pass'));
    return scene.twilio.stopped();
  };
};

const whilePosting: Killed[] = [
  {
    id: '1',
    name: 'before-tx-1',
    inWords: 'before tx 1 reaches PostgreSQL',
    trap: asked('record-message'),
    atKill: nothing,
    end: sentOnce,
  },
  {
    id: '2',
    name: 'after-tx-1',
    inWords: 'tx 1 committed, nothing sent',
    trap: committed('record-message'),
    atKill: first,
    end: sentAgain,
  },
  {
    id: '3',
    name: 'mid-write',
    inWords: 'part of the create has reached Twilio',
    trap: stopped('half-way'),
    atKill: first,
    end: sentAgain,
  },
  {
    id: '4',
    name: 'written',
    inWords: 'Twilio has it, its answer is on the way',
    trap: stopped('answer'),
    atKill: firstTaken,
    end: sentOnce,
  },
  {
    id: '5',
    name: 'before-tx-2',
    inWords: 'Twilio has answered, tx 2 not begun',
    trap: asked('record-evidence'),
    atKill: firstTaken,
    end: sentOnce,
  },
  {
    id: '6',
    name: 'after-tx-2',
    inWords: 'tx 2 committed, the caller not answered',
    trap: committed('record-evidence'),
    atKill: firstTaken,
    end: sentOnce,
    needsNoLook: true,
  },
];

const calledBack = whilePosting
  .slice(1, 5)
  .map((point) => ({ ...point, id: `${point.id}c`, name: `${point.name}-called-back`, isCalledBack: true }))
  .map((point) => ({ ...point, inWords: `${point.inWords}; with callbacks` }));

const whileSendingLater: Killed[] = asAsync([
  {
    id: '7',
    name: 'before-claim',
    inWords: '202 answered, not claimed yet',
    trap: (scene, answered) => {
      scene.postgres.holdRequest('claim-to-send');
      return answered;
    },
    atKill: { rows: 1, attempts: 0, atTwilio: 0 },
    end: sentOnce,
  },
  {
    id: '8',
    name: 'after-claim',
    inWords: 'claim committed, nothing sent',
    trap: committed('claim-to-send'),
    atKill: first,
    end: sentAgain,
  },
  {
    id: '9',
    name: 'async-written',
    inWords: 'Twilio has it, its answer is on the way',
    trap: stopped('answer'),
    atKill: firstTaken,
    end: sentOnce,
  },
  {
    id: '10',
    name: 'async-before-record',
    inWords: 'Twilio has answered, nothing recorded',
    trap: asked('record-evidence'),
    atKill: firstTaken,
    end: sentOnce,
  },
]);

const whileSendingAgain: Killed[] = [
  {
    id: '11',
    name: 'after-first-look',
    inWords: 'resolver: has looked once and found nothing',
    trap: committed('record-look'),
    atKill: first,
    end: sentAgainAfter500,
  },
  {
    id: '12',
    name: 'after-second-claim',
    inWords: 'resolver: attempt 2 committed, nothing sent',
    trap: committed('claim-to-send'),
    atKill: second,
    end: { outcomes: ['absent', 'absent', 'accepted'], creates: 2 },
  },
  {
    id: '13',
    name: 'second-written',
    inWords: 'resolver: Twilio has attempt 2, its answer is on the way',
    trap: stopped('answer', 2),
    atKill: secondTaken,
    end: sentAgainAfter500,
  },
  {
    id: '14',
    name: 'second-before-record',
    inWords: 'resolver: attempt 2 accepted, nothing recorded',
    trap: asked('record-evidence'),
    atKill: secondTaken,
    end: sentAgainAfter500,
  },
].map((point) => ({ ...point, fate: brokenFirst }));

const whileFinding: Killed = {
  id: '14f',
  name: 'found-before-record',
  inWords: "resolver: found in Twilio's log, nothing recorded",
  fate: takenWith500,
  trap: asked('record-evidence'),
  atKill: firstTaken,
  end: sentOnce,
};

function asAsync(points: Killed[]): Killed[] {
  return points.map((point) => ({ ...point, isAsync: true, inWords: `async: ${point.inWords}` }));
}

export const killed: KillPoint[] = [
  ...whilePosting,
  ...calledBack,
  ...whileSendingLater,
  ...whileSendingAgain,
  whileFinding,
].map((spec) => {
  const { trap, atKill, end, isAsync, needsNoLook, ...point } = spec;
  return killPoint({ ...point, endState: endStateOf(spec), play: (scene) => play(scene, spec) });
});

function endStateOf({ atKill, end, needsNoLook }: Killed): string {
  if (atKill === nothing) return 'nothing recorded, 0 at Twilio; the key again: 1 at Twilio';
  const attempts = end.outcomes.length === 1 ? '1 attempt' : `${end.outcomes.length} attempts`;
  return `1 at Twilio, ${attempts}, same uuid and SID${needsNoLook ? ', no look' : ''}`;
}

async function play(scene: Scene, spec: Killed): Promise<string[]> {
  const findings = createFindings();
  const order = scene.order({ isAsync: spec.isAsync ?? false });
  const watched = await scene.startWatched();
  // The trap is set before the order is sent, and may want to know when that is answered.
  const answer = Promise.withResolvers<Answer | null>();
  const moment = spec.trap(scene, answer.promise);
  const asking = post(watched, order);
  asking.then(answer.resolve, answer.reject);
  await inTime('the moment of the kill', Promise.race([moment, untilGivenUp(answer.promise)]));
  await judgeMoment(scene, order, spec.atKill, findings);
  await scene.kill(watched);
  const before = await rowsOf(scene, order);

  const fresh = await scene.startFresh();
  const again = await post(fresh, order);
  const row = await untilOver(scene, order);
  await judgeHandedOver(scene, order, spec.end, findings);
  const promised = before[0]?.uuid ?? row.uuid;
  findings.must(row.uuid === promised, `the message was ${promised} and became ${row.uuid}`);
  const answered = await asking;
  if (answered !== null) judgeAnswer(answered, promised, findings, 'before the kill');
  judgeAnswer(again, promised, findings, 'the key again at once');
  judgeReplay(await post(fresh, order), row, findings);
  await judgeHandedOver(scene, order, spec.end, findings);
  await judgeLooks(scene, order, spec, findings);
  return [...new Set(findings.list)];
}

/** A 503 says that the message is over: nothing will happen to it any more. */
async function untilGivenUp(answered: Promise<Answer | null>): Promise<never> {
  const answer = await answered;
  if (answer?.status === 503) throw new MissedMoment('the sender gave up before the moment of the kill');
  return new Promise(() => {});
}

/** Two complete looks before each further attempt (G3); none where the SID is on record already. */
async function judgeLooks(scene: Scene, order: Order, { end, needsNoLook }: Killed, { must }: Findings): Promise<void> {
  const looks = await (needsNoLook ? scene.looks(order) : scene.looksBeforeCreate(order));
  const absent = end.outcomes.filter((outcome) => outcome === 'absent').length;
  must(looks >= 2 * absent, `${looks} looks at Twilio's log before the last of ${absent + 1} attempts`);
  if (needsNoLook) must(looks === 0, `${looks} looks at Twilio's log`);
}

/** A kill somewhere else would prove nothing. */
async function judgeMoment(scene: Scene, order: Order, expected: Killed['atKill'], { must }: Findings): Promise<void> {
  const rows = await rowsOf(scene, order);
  const attempts = (await Promise.all(rows.map(({ uuid }) => attemptsOf(scene, uuid)))).flat();
  const { sids } = await scene.atTwilio(order);
  const found = { rows: rows.length, attempts: attempts.length, atTwilio: sids.length };
  const same = found.rows === expected.rows && found.attempts === expected.attempts;
  must(same && found.atTwilio === expected.atTwilio, `killed at another moment: ${JSON.stringify(found)}`);
}
