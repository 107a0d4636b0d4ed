import { parseArgs } from 'node:util';
import type { Pool } from 'pg';
import { ambiguous } from './kill/ambiguous.ts';
import { crowd } from './kill/crowd.ts';
import { scenario } from './kill/fates.ts';
import { frozen } from './kill/frozen.ts';
import { killed } from './kill/killed.ts';
import { lostCommit } from './kill/lost-commit.ts';
import { makePlaces, type Places } from './kill/places.ts';
import { type KillPoint, MissedMoment, NeverCame } from './kill/point.ts';
import { type Scene, setScene } from './kill/scene.ts';
import { asTable, isExact, type Played } from './kill/table.ts';
import { type Stage, setStage } from './stage.ts';

/**
 * `make kill-matrix`: kills the real service exactly where it hurts, and looks whether each message comes to the end that
 * docs/guarantees.md promises. The simulator's journal is the judge. Proxies in front of PostgreSQL and Twilio make the moment
 * exact; the service itself knows nothing of the drill.
 */
const points: readonly KillPoint[] = [...killed, ...frozen, ...lostCommit, crowd, ...ambiguous].toSorted((a, b) =>
  a.id.localeCompare(b.id, 'en', { numeric: true }),
);

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '10' },
    point: { type: 'string', multiple: true },
    seed: { type: 'string', default: '1' },
    'at-once': { type: 'string', default: '6' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** Tells each run of this command from every other one. */
let serial = 0;
/** A run that misses its moment is played so often. */
const TRIES = 3;

if (values.help) console.log(usage());
else {
  const { runs, seed, 'at-once': atOnce } = values;
  process.exitCode = await main(Number(runs), Number(seed), Number(atOnce), chosenPoints(values.point));
}

function usage(): string {
  const names = points.map(({ id, name, inWords }) => `    ${id.padEnd(4)}${name.padEnd(26)}${inWords}`);
  return `Kills the service at each of these points and looks how every message ends. Exit code 1 when an end is not exact.

  --runs N       how often each point is played (10)
  --point NAME   only this one, by number or name; may be given several times
  --seed N       of the simulator (1)
  --at-once N    so many runs go on at the same time, each in a database of its own (6)
  --verbose      print the rows of a failed run and what its replicas have said
  --help         this text

${names.join('\n')}`;
}

function chosenPoints(names: readonly string[] | undefined): readonly KillPoint[] {
  if (names === undefined) return points;
  return names.map((wanted) => {
    const point = points.find(({ id, name }) => id === wanted || name === wanted);
    if (point !== undefined) return point;
    console.error(`There is no point ${wanted}.\n\n${usage()}`);
    return process.exit(2);
  });
}

async function main(runs: number, seed: number, atOnce: number, chosen: readonly KillPoint[]): Promise<number> {
  if (![runs, seed, atOnce].every((n) => Number.isInteger(n) && n >= 0) || runs === 0 || atOnce === 0) {
    console.error('--runs, --seed and --at-once must be whole numbers.');
    return 2;
  }
  const stage = await setStage({ seed, scenario });
  process.once('SIGINT', () => void stage.stop().finally(() => process.exit(130)));
  try {
    const places = makePlaces(atOnce);
    const played = await Promise.all(chosen.map((point) => playPoint(stage, places, point, runs)));
    console.log(asTable(played));
    return played.every(isExact) ? 0 : 1;
  } finally {
    await stage.stop();
  }
}

/** Plays all runs of a point, as there are places. */
async function playPoint(stage: Stage, places: Places, point: KillPoint, runs: number): Promise<Played> {
  let exact = 0;
  let longestMs = 0;
  const play = async (run: number) => {
    const leave = await places.take(point.weight);
    const startedAt = performance.now();
    if (await playUntilMoment(stage, point, run, runs)) exact += 1;
    longestMs = Math.max(longestMs, performance.now() - startedAt);
    leave();
  };
  await Promise.all(Array.from({ length: runs }, (_, index) => play(index + 1)));
  process.stderr.write(`${point.id.padEnd(4)}${point.name.padEnd(26)}${exact}/${runs} exact\n`);
  return { point, runs, exact, longestMs };
}

/** A run whose moment did not come, because the machine was too slow for the short times of the drill, proves nothing. */
async function playUntilMoment(stage: Stage, point: KillPoint, run: number, runs: number): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    serial += 1;
    const isExact = await playRun(stage, point, { run, runs, serial, isLastTry: tries === TRIES });
    if (isExact !== null) return isExact;
    process.stderr.write(`${point.id} ${point.name}, run ${run}: missed its moment, is played again\n`);
  }
}

async function playRun(
  stage: Stage,
  point: KillPoint,
  { isLastTry, ...run }: { run: number; runs: number; serial: number; isLastTry: boolean },
): Promise<boolean | null> {
  const { fate, isCalledBack } = point;
  let scene: Scene | null = null;
  try {
    scene = await setScene(stage, { fate, isCalledBack, ...run });
    const findings = await point.play(scene);
    if (findings.length > 0) await report(scene, point, findings);
    return findings.length === 0;
  } catch (error) {
    if (error instanceof MissedMoment && !isLastTry) return null;
    const isKnown = error instanceof NeverCame || error instanceof MissedMoment;
    await report(scene, point, [isKnown ? error.message : String(error)]);
    return false;
  } finally {
    await scene?.close();
  }
}

/** What is not as it must be; and, where it is wanted, what database and replicas say about it. */
async function report(scene: Scene | null, { id, name }: KillPoint, findings: readonly string[]): Promise<void> {
  const lines = findings.map((finding) => `  ${finding}`);
  if (values.verbose && scene !== null) lines.push(...(await rowsIn(scene.database)), scene.output());
  process.stderr.write(`\n${id} ${name}, run ${scene?.run ?? 0}:\n${lines.join('\n')}\n`);
}

async function rowsIn(database: Pool): Promise<string[]> {
  const lines: string[] = [];
  for (const table of ['message', 'attempt', 'callback', 'duplicate_handover', 'event']) {
    const found = await database.query(`SELECT to_jsonb(t) AS row FROM ${table} t LIMIT 20`).catch(() => null);
    lines.push(...(found?.rows ?? []).map(({ row }) => `    ${table} ${JSON.stringify(row)}`));
  }
  return lines;
}
