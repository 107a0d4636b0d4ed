import { type Fired, fire } from './fire.ts';
import { readKnobs } from './knobs.ts';
import { type Replica, type Stage, setStage } from './stage.ts';
import { drawCallbacks, inBytes } from './storm-callbacks.ts';
import { judgeStorm, type Told } from './storm-judge.ts';
import { prepareMessages, type StormMessage } from './storm-messages.ts';
import { isBroken, printVerdicts, showProgress, type Verdict } from './verdict.ts';

const help = `Callbacks at the highest rate that this machine takes, at one service process with a PostgreSQL of its own.

  --seconds N      how long to fire (60)
  --seed N         order, doubles and forgeries (1)
  --messages N     how many are made ready at a time; when their callbacks run out, so many more are (1,200 a second)
  --connections N  how many callbacks are under way at once (32)
  --kill           kill -9 the service half-way and start it again
  --control        spoil what the database says before it is judged: exits 0 only when the judge finds it
  --help           this text

Each message gets 'sent' and its final status in an order of chance; 20 % of the callbacks come twice, 5 % more are
forged, 1 % are about SIDs that nobody knows. Each final status makes the service empty the text at the simulator, on the
same two cores; these redactions are let run and may lag behind. Exits 1 when a promise is broken; the rate is an aim.
`;

const TARGET_RATE = 2_000;
/** Of two or three callbacks each: enough for a rate well above the target. */
const MESSAGES_A_SECOND = 1_200;
const callbackUrl = 'https://sms.example/dhos/v1/sms/callback';
const REDACTIONS_WITHIN_MS = 20_000;

const knobs = readKnobs(help, { seconds: 60, seed: 1, messages: 0, connections: 32 }, ['kill', 'control']);
process.exitCode = await main();

async function main(): Promise<number> {
  const { seconds, seed, connections, kill, control } = knobs;
  const together = knobs.messages || seconds * MESSAGES_A_SECOND;
  const stage = await setStage({ seed, speed: 0, callbackUrl });
  try {
    const storm = await rage(stage, { seconds, seed, connections, together });
    const redactions = await watchRedactions(stage);
    if (control) await spoil(stage, storm.messages);
    const verdicts = [
      ...figuresOf(storm),
      redactions,
      ...(await judgeStorm(stage, storm.messages, storm.told)),
      ...(kill ? [{ what: 'killed and started again', found: storm.kills, isKept: storm.kills === 1 }] : []),
    ];
    printVerdicts(`Storm of ${seconds} s, seed ${seed}${kill ? ', with a kill -9' : ''}`, verdicts);
    return control ? verdictOnControl(verdicts) : isBroken(verdicts) ? 1 : 0;
  } finally {
    await stage.stop();
  }
}

type Storm = {
  readonly messages: readonly StormMessage[];
  readonly told: readonly Told[];
  readonly latencies: readonly number[];
  readonly seconds: number;
  readonly kills: number;
};

async function rage(
  stage: Stage,
  options: { seconds: number; seed: number; connections: number; together: number },
): Promise<Storm> {
  const storm = { messages: [] as StormMessage[], told: [] as Told[], latencies: [] as number[], seconds: 0, kills: 0 };
  let replica = await stage.startReplica();
  const port = Number(new URL(replica.baseUrl).port);
  // A last round of a second or two would not be worth making messages ready for.
  for (let round = 0; storm.seconds < options.seconds * 0.95; round += 1) {
    showProgress(`making ${options.together} messages ready …`);
    const messages = await prepareMessages(stage, replica, options.together);
    const drawn = drawCallbacks(messages, options.seed + round);
    const requests = drawn.map((one) => inBytes(one, callbackUrl));
    const forMs = (options.seconds - storm.seconds) * 1_000;
    const halfAt = performance.now() + forMs / 2;
    let restarting: Promise<Replica> | null = null;
    const onAnswer = (sent: number) => {
      if (sent % 500 === 0) showProgress(`${sent} of ${requests.length} callbacks`);
      const isHalf = sent >= requests.length / 2 || performance.now() >= halfAt;
      if (knobs.kill && storm.kills === 0 && isHalf) {
        storm.kills += 1;
        restarting = killAndRestart(stage, replica, port);
      }
    };
    const fired = await fire({ port, connections: options.connections, requests, forMs, onAnswer });
    replica = (await restarting) ?? replica;
    add(storm, messages, drawn, fired);
  }
  showProgress('');
  return storm;
}

async function killAndRestart(stage: Stage, replica: Replica, port: number): Promise<Replica> {
  replica.child.kill('SIGKILL');
  await replica.ended;
  return stage.startReplica({ PORT: String(port) });
}

function add(
  storm: { messages: StormMessage[]; told: Told[]; latencies: number[]; seconds: number },
  messages: readonly StormMessage[],
  drawn: ReturnType<typeof drawCallbacks>,
  { answers, ms, seconds }: Fired,
): void {
  for (const message of messages) storm.messages.push(message);
  for (const [n, { callback }] of drawn.entries()) {
    const answer = answers[n] ?? 0;
    storm.told.push({ callback, answer });
    if (answer > 0) storm.latencies.push(ms[n] ?? 0);
  }
  storm.seconds += seconds;
}

function figuresOf({ told, latencies, seconds, messages }: Storm): Verdict[] {
  const sorted = latencies.toSorted((a, b) => a - b);
  const percentile = (p: number) => `${(sorted[Math.floor((sorted.length - 1) * p)] ?? 0).toFixed(1)} ms`;
  const sent = told.filter(({ answer }) => answer !== 0);
  const acknowledged = sent.filter(({ answer }) => answer >= 200 && answer < 300).length;
  const rate = acknowledged / seconds;
  const byAnswer = [...Map.groupBy(sent, ({ answer }) => answer)].sort(([a], [b]) => b - a);
  return [
    { what: 'messages', found: messages.length },
    { what: 'fired for', found: `${seconds.toFixed(1)} s` },
    ...byAnswer.map(([answer, those]) => ({ what: nameOf(answer), found: those.length })),
    {
      what: 'acknowledged a second',
      found: Math.round(rate),
      expected: `≥ ${TARGET_RATE.toLocaleString('en')}`,
      isKept: rate >= TARGET_RATE,
      isAim: true,
    },
    { what: 'answered within, p50', found: percentile(0.5) },
    { what: 'answered within, p99', found: percentile(0.99) },
  ];
}

function nameOf(answer: number): string {
  return answer > 0 ? `answered ${answer}` : 'broken off';
}

/** Only told, not judged: they go on by themselves. */
async function watchRedactions(stage: Stage): Promise<Verdict> {
  const count = async () => {
    const [row] = await stage.query<{ ended: number; redacted: number }>(
      `SELECT count(*)::int AS ended, count(redacted)::int AS redacted FROM message
       WHERE status IN ('delivered', 'undelivered', 'failed')`,
    );
    return row ?? { ended: 0, redacted: 0 };
  };
  const atTheEnd = await count();
  const giveUpAt = performance.now() + REDACTIONS_WITHIN_MS;
  let now = atTheEnd;
  while (now.redacted < now.ended && performance.now() < giveUpAt) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    now = await count();
  }
  const inWords = ({ redacted, ended }: typeof now) =>
    `${redacted.toLocaleString('en')} of ${ended.toLocaleString('en')}`;
  return { what: 'texts emptied at the end, and up to 20 s later', found: `${inWords(atTheEnd)}, ${inWords(now)}` };
}

/** One of each: a status that went back, an acknowledged callback that is gone, a forged one that was believed. */
async function spoil(stage: Stage, messages: readonly StormMessage[]): Promise<void> {
  const sids = messages.map(({ sid }) => sid);
  await stage.query(
    `UPDATE message SET status = 'queued' WHERE uuid =
    (SELECT uuid FROM message WHERE twilio_sid = ANY($1) AND status = 'delivered' LIMIT 1)`,
    [sids],
  );
  await stage.query('DELETE FROM callback WHERE id = (SELECT max(id) FROM callback)');
  await stage.query(
    `INSERT INTO callback (received, twilio_sid, message_status, parameters)
     VALUES (now(), $1, 'canceled', '{"ForgedByTheStorm":"yes"}')`,
    [sids[0]],
  );
}

function verdictOnControl(verdicts: readonly Verdict[]): number {
  const found = verdicts.filter(({ isKept, isAim }) => isKept === false && isAim !== true);
  const isCaught = found.length >= 3;
  console.log(isCaught ? 'The judge found what was spoiled.' : 'The judge did NOT find everything that was spoiled.');
  return isCaught ? 0 : 1;
}
