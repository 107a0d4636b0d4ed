import { readFileSync } from 'node:fs';
import { Pool } from 'undici';

export type Load = { readonly requests: number; readonly seconds: number; readonly perSecond: number };

/** Keeps `connections` requests under way until `count` are answered. Throws on any answer but `expected`. */
export async function load(options: {
  readonly url: string;
  readonly connections: number;
  readonly count: number;
  readonly expected: number;
  readonly request: (n: number) => {
    path: string;
    method: 'GET' | 'POST';
    headers: Record<string, string>;
    body?: string;
  };
  readonly onProgress?: (done: number) => void;
}): Promise<Load> {
  const pool = new Pool(options.url, { connections: options.connections, pipelining: 1 });
  let next = 0;
  const worker = async () => {
    while (next < options.count) {
      const n = next;
      next += 1;
      if (n % 1000 === 0) options.onProgress?.(n);
      const { statusCode, body } = await pool.request(options.request(n));
      await body.dump();
      if (statusCode !== options.expected) throw new Error(`request ${n} was answered ${statusCode}`);
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: options.connections }, worker));
  const seconds = (performance.now() - began) / 1000;
  await pool.destroy();
  return { requests: options.count, seconds, perSecond: options.count / seconds };
}

/** CPU seconds that a process has used, user and system; from /proc, so on Linux only. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  // Fields 14 and 15 of proc(5), in ticks of 10 ms; the first two are cut off here.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Memory of a process that is really there, in MB. */
export function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}
