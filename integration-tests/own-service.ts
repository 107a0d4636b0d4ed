import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { CannotStart } from '../src/errors.ts';

/** The service in quiet mode, in a process of its own, with a database of its own unless DATABASE_* names one. */
export type OwnService = {
  readonly baseUrl: string;
  readonly databaseUrl: string;
  /** SIGTERM; says how the service ended: `exit code 0` is the good one. */
  end(): Promise<string>;
  /** The last lines it printed. */
  lastWords(): Promise<string>;
  /** Ends whatever still runs and removes every file. */
  cleanUp(): Promise<void>;
};

/** What the keeper says. */
const started = z.object({ baseUrl: z.string(), databaseUrl: z.string(), logFile: z.string() });
const ended = z.object({ ended: z.string() });
const failed = z.object({ failed: z.string() });
export type KeepersWord = z.infer<typeof started> | z.infer<typeof ended> | z.infer<typeof failed>;

const LAST_LINES = 30;

/**
 * Starts the keeper, which starts the rest and ends it when we go, however we go: kill -9 included. Resolves when
 * `/healthcheck` says that all is well; on failure, or when `signal` is aborted, leaves nothing behind.
 */
export async function startOwnService(signal: AbortSignal): Promise<OwnService> {
  // A session of its own: Ctrl-C reaches us alone.
  const keeper = fork(path.join(import.meta.dirname, 'keeper.ts'), { detached: true });
  const exited = once(keeper, 'exit');
  const cleanUp = async () => {
    if (keeper.connected) keeper.disconnect();
    await exited;
  };
  try {
    const { baseUrl, databaseUrl, logFile } = started.parse(await nextWord(keeper, signal));
    return {
      baseUrl,
      databaseUrl,
      end: async () => {
        const word = nextWord(keeper, signal);
        keeper.send('end');
        return ended.parse(await word).ended;
      },
      lastWords: async () => (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-LAST_LINES).join('\n'),
      cleanUp,
    };
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

async function nextWord(keeper: ChildProcess, signal: AbortSignal): Promise<unknown> {
  const waiting = new AbortController();
  const options = { signal: AbortSignal.any([signal, waiting.signal]) };
  const fallenSilent = once(keeper, 'exit', options).then(() => [{ failed: 'the keeper ended unasked' }]);
  try {
    const [word] = await Promise.race([once(keeper, 'message', options), fallenSilent]);
    const { data: failure } = failed.safeParse(word);
    if (failure !== undefined) throw new CannotStart(failure.failed);
    return word;
  } finally {
    fallenSilent.catch(() => {});
    waiting.abort();
  }
}
