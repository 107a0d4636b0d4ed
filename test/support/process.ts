import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

export type Run = {
  readonly child: ChildProcess;
  output(): string;
  /** The first match in what it has printed, now or later. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
  /** Exit code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals>;
};

/** Starts a program of the project as a process of its own, with this environment and nothing of the caller's. */
export function run(file: string, args: string[], env: Record<string, string>): Run {
  const child = spawn(process.execPath, [file, ...args], {
    cwd: root,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const waiting = new Set<() => void>();
  const onData = (chunk: Buffer) => {
    output += chunk.toString();
    for (const look of waiting) look();
  };
  child.stdout.on('data', onData);
  child.stderr.on('data', onData);
  // 'close' comes after the last output, 'exit' may come before it.
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  return {
    child,
    output: () => output,
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(output);
          if (match === null) return;
          waiting.delete(look);
          resolve(match);
        };
        waiting.add(look);
        look();
        ended.then(() => reject(new Error(`it ended without printing ${pattern}:\n${output}`)), reject);
      }),
    ended,
  };
}

/** The flags of `npm start` and the container: what they cost in speed they save in memory. */
export const startFlags = ['--max-semi-space-size=4', '--heap-growing-percent=20'] as const;

/** The service as a process, with flags for Node if there are any; `baseUrl` once it listens. */
export async function runService(
  env: Record<string, string>,
  nodeFlags: readonly string[] = [],
): Promise<Run & { baseUrl: string }> {
  const [file = '', ...args] = [...nodeFlags, 'src/index.ts'];
  const service = run(file, args, {
    ENVIRONMENT: 'DEVELOPMENT',
    LISTEN_ADDRESS: '127.0.0.1',
    PORT: '0',
    ...env,
  });
  const [, baseUrl = ''] = await service.printed(/listens on (http:\S+)/);
  return { ...service, baseUrl };
}
