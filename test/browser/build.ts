import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

/** Vitest runs it once, before the first test: the console is built from what is there now. */
export async function setup(): Promise<void> {
  const root = path.resolve(import.meta.dirname, '../..');
  await promisify(execFile)('npm', ['run', '--silent', 'console:build'], { cwd: root });
}
