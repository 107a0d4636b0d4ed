import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export type CliRun = {
  /** What it has written to stderr so far. */
  remarks(): string;
  /** Stops reading after the first bytes, as `head` does. */
  closeStdout(): Promise<void>;
  readonly ended: Promise<Ended>;
};

/** The command line as a process of its own, with this environment and nothing of the caller's. */
export function startCli(args: readonly string[], env: Record<string, string> = {}, input = ''): CliRun {
  const child = spawn(process.execPath, ['src/cli/index.ts', ...args], {
    cwd: root,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      written[name] += chunk;
    });
  }
  // It may end before it has read what it is given.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return {
    remarks: () => written.stderr,
    closeStdout: async () => {
      await once(child.stdout, 'data');
      child.stdout.destroy();
    },
    ended: once(child, 'close').then(([code]) => ({ code, ...written })),
  };
}

/** Runs it to its end. */
export function cli(args: readonly string[], env: Record<string, string> = {}, input = ''): Promise<Ended> {
  return startCli(args, env, input).ended;
}

/** The environment of an operator of the tests' own tenant. */
export function operatorAt(baseUrl: string): Record<string, string> {
  return { POLARIS_SMS_URL: baseUrl, POLARIS_SMS_TRUSTOMER: 'OUH', POLARIS_SMS_PRODUCT: 'GDM' };
}

export function widest(output: string): number {
  return Math.max(...output.split('\n').map((line) => [...line].length));
}
