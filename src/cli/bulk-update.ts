import { within } from '../clock.ts';
import type { Api } from './api.ts';
import type { Command } from './command.ts';
import { Failure } from './failure.ts';
import { print, printJson, remark } from './terminal.ts';
import { type Progress, readProgress } from './wire.ts';
import { count, grouped, WIDTH, wrap } from './words.ts';

const LOOK_EVERY_MS = 500;
const SAY_EVERY_MS = 5_000;
const LOOK_WITHIN_MS = 5_000;

export const bulkUpdate: Command = {
  about:
    'Asks Twilio about every recent message whose end is not known, and empties the finished ones there. Shows how far it is ' +
    'until it is done. When one runs already, waits for that.',
  flags: {},
  examples: ['', '--json'],
  timeoutS: 3_600,
  tenant: 'none',
  run: async (call) => {
    const api = call.api();
    const done = api.demand({ method: 'POST', path: '/dhos/v1/sms/bulk_update' });
    await watch(api, done).catch(tellItMayRun);
    const end = await readEnd(api);
    if (call.is('json')) print(end === null ? '{}\n' : '');
    if (call.is('json') && end !== null) printJson(end.json);
    if (!call.is('json')) print(end === null ? 'Done.\n' : summary(end.progress));
    return 'done';
  },
};

/** Looks again and again until `done` is; a look that fails changes nothing. */
async function watch(api: Api, done: Promise<unknown>): Promise<void> {
  const isTerminal = process.stderr.isTTY === true;
  const everyMs = isTerminal ? LOOK_EVERY_MS : SAY_EVERY_MS;
  try {
    while ((await within(everyMs, done)) === 'too late') {
      const progress = await within(LOOK_WITHIN_MS, look(api));
      if (progress === 'too late' || progress === null) continue;
      remark(isTerminal ? `\r${bar(progress)}` : `${inWords(progress)}\n`);
    }
  } finally {
    if (isTerminal) remark(`\r${' '.repeat(WIDTH - 1)}\r`);
  }
}

async function look(api: Api): Promise<Progress | null> {
  return (await readEnd(api))?.progress ?? null;
}

async function readEnd(api: Api): Promise<{ progress: Progress; json: string } | null> {
  try {
    const reply = await api.demand({ path: '/dhos/v1/sms/bulk_update/progress', timeoutMs: LOOK_WITHIN_MS });
    return { progress: readProgress(reply), json: reply.body };
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}

function tellItMayRun(error: unknown): never {
  if (!(error instanceof Failure) || error.name !== 'NoReply') throw error;
  throw new Failure('unreachable', `${error.message} If it had begun, it goes on; running it again is safe.`, {
    cause: error,
  });
}

const BAR = 16;

/** One line of less than 80 columns, which the next one covers. */
export function bar(progress: Progress): string {
  const part = progress.total === 0 ? 0 : Math.min(1, progress.asked / progress.total);
  const full = Math.floor(part * BAR);
  return `[${'#'.repeat(full)}${'.'.repeat(BAR - full)}] ${inWords(progress)}`.slice(0, WIDTH - 1).padEnd(WIDTH - 1);
}

/** How many were emptied is known at the end, and emptying comes last. */
function inWords({ running, total, asked, changed, failed }: Progress): string {
  const failures = failed === 0 ? '' : `, ${grouped(failed)} failed`;
  const now = running && asked >= total ? ', emptying' : '';
  return `${grouped(asked)} of ${grouped(total)} asked, ${grouped(changed)} changed${failures}${now}`;
}

function summary({ asked, changed, gone, failed, redacted }: Progress): string {
  const parts = [
    `Done: Twilio was asked about ${count(asked, 'message')}, and ${grouped(changed)} changed. ${count(redacted, 'text was', 'texts were')} emptied there by it.`,
    ...(gone > 0 ? [`Twilio no longer has ${count(gone, 'message')}.`] : []),
    ...(failed > 0 ? [`About ${count(failed, 'message')} it could not be asked; they are asked about again.`] : []),
  ];
  return wrap(parts.join(' '));
}
