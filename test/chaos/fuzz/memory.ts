import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const ask = promisify(execFile);

/** Reads a process's memory (MB resident) every second until it is told to stop. */
export function watchMemory(pid: number) {
  const read: number[] = [];
  const timer = setInterval(async () => {
    const { stdout } = await ask('ps', ['-o', 'rss=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
    if (Number(stdout) > 0) read.push(Number(stdout) / 1024);
  }, 1_000);
  return {
    stop: () => clearInterval(timer),
    /** The middle of the last third over the middle of the third before it: what warms up is left out. */
    growthMb: () => {
      const third = Math.floor(read.length / 3);
      return third === 0 ? 0 : middle(read.slice(2 * third)) - middle(read.slice(third, 2 * third));
    },
    /** A minute's readings, the least that says something. */
    isEnough: () => read.length >= 60,
    latestMb: () => read.at(-1) ?? 0,
  };
}

const middle = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
