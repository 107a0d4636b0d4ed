import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type DrillResult, drill } from './drill.ts';
import { type Finding, judge } from './judge.ts';
import { asTable, atLeast, createProgress, type Line, lineOf, showExamples } from './report.ts';
import { wasAmbiguous } from './weather.ts';

/** `make chaos` and `make chaos-control`: whether the promises hold when everything breaks, and whether the judge would see it. */

const help = `Sends messages while replicas are killed and stopped, PostgreSQL crashes and Twilio (the simulator) does everything a
sender fears, then holds what the clients were told and what the database says against what Twilio really has.

  --messages N   how many (2000); 300 take about a minute, 2000 about three
  --seed N       decides about messages, faults and kills (1); interleavings differ all the same
  --control      the order of steps of the original instead: call Twilio, then insert.
                 Exits 0 only when the judge catches it
  --keep FOLDER  keep journal, rows and the replicas' output there (they hold fictional numbers)
  --help         this text

Exits 1 when a promise is broken, 2 when the drill could not be carried out.
`;

const values = readArguments();
if (values.help) process.stdout.write(help);
else process.exitCode = await run(wholeNumber('messages', 1, 100_000), wholeNumber('seed', 0, 2 ** 32 - 1));

async function run(messages: number, seed: number): Promise<0 | 1> {
  const began = performance.now();
  const progress = createProgress(messages);
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  const options = { messages, seed, isControl: values.control, onProgress: progress.show, interrupted };
  const result = await drill(options).catch(fail);
  progress.end();
  const findings = judge(result.evidence);
  if (values.keep !== undefined) await keep(values.keep, result);
  const lines = [...findings.map(lineOf), ...proofOfDamage(result, messages)];
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(`${heading(messages, seed, seconds, result)}\n\n${asTable(lines)}\n`);
  if (values.control) return verdictOnControl(findings);
  for (const finding of findings.filter(({ cases }) => cases.length > 0)) {
    console.log(showExamples(finding, result.journal, result.attempts));
  }
  const isKept = lines.every(({ isOk }) => isOk);
  console.log(`${isKept ? 'Every promise was kept.' : 'A promise was broken.'} Again: ${again(messages, seed)}`);
  return isKept ? 0 : 1;
}

function heading(messages: number, seed: number, seconds: number, { damage, settledAfterMs }: DrillResult): string {
  return (
    `${values.control ? 'Control (the order of the original)' : 'Chaos'}: ${messages} messages, seed ${seed}, ` +
    `${damage.kills} × SIGKILL, ${damage.freezes} × SIGSTOP, ${damage.crashes} crashes of PostgreSQL, ` +
    `${seconds} s; all was over ${(settledAfterMs / 1000).toFixed(1)} s after the last fault`
  );
}

function again(messages: number, seed: number): string {
  return `make chaos${values.control ? '-control' : ''} MESSAGES=${messages} SEED=${seed}`;
}

/** A run in which nothing went wrong proves nothing. */
function proofOfDamage({ journal, damage, bulkUpdate, evidence }: DrillResult, messages: number): Line[] {
  const callbacks = journal.filter(({ kind }) => kind === 'callback');
  const withFault = (fault: string) => callbacks.filter((line) => line.fault === fault).length;
  return [
    { what: 'bulk update answered', expected: '204', seen: String(bulkUpdate), isOk: bulkUpdate === 204 },
    atLeast('replicas killed', 3, damage.kills),
    atLeast('crashes of PostgreSQL', 2, damage.crashes),
    atLeast('ambiguous creates', Math.floor(messages / 20), journal.filter(wasAmbiguous).length),
    atLeast('callbacks lost', Math.floor(messages / 10), withFault('lose')),
    atLeast('callbacks doubled', Math.floor(messages / 5), withFault('double')),
    atLeast('callbacks forged', 1, withFault('forge')),
    atLeast(
      'requests that broke off',
      1,
      evidence.stories.flatMap(({ answers }) => answers).filter(({ kind }) => kind === 'none').length,
    ),
  ];
}

/** The judge has to see each of the four things that the order of the original cannot prevent. */
function verdictOnControl(findings: readonly Finding[]): 0 | 1 {
  const missed = ['lost', 'duplicates', 'wrong final', 'backward'].filter(
    (name) => findings.find((finding) => finding.name === name)?.cases.length === 0,
  );
  console.log(
    missed.length === 0
      ? 'The judge has caught the control, as it must.'
      : `The judge has missed what the control does wrong: ${missed.join(', ')}.`,
  );
  return missed.length === 0 ? 0 : 1;
}

async function keep(folder: string, { journal, evidence, output, attempts }: DrillResult): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'journal.ndjson'), journal.map((line) => `${JSON.stringify(line)}\n`).join(''));
  await writeFile(
    path.join(folder, 'evidence.json'),
    JSON.stringify({ ...evidence, attempts: [...attempts] }, null, 1),
  );
  await writeFile(path.join(folder, 'replicas.log'), output);
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        messages: { type: 'string', default: '2000' },
        seed: { type: 'string', default: '1' },
        control: { type: 'boolean', default: false },
        keep: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    return giveUp(error instanceof Error ? error.message : String(error));
  }
}

function wholeNumber(name: 'messages' | 'seed', least: number, most: number): number {
  const number = Number(values[name]);
  if (Number.isInteger(number) && number >= least && number <= most) return number;
  return giveUp(`--${name} must be a whole number from ${least} to ${most}`);
}

/** The drill itself could not be carried out; everything that it had started has been ended. */
function fail(error: unknown): never {
  process.stderr.write(`\n${error instanceof Error ? error.stack : error}\n`);
  process.exit(2);
}

function giveUp(why: string): never {
  process.stderr.write(`${why}\n\n${help}`);
  process.exit(2);
}
