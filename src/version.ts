import { readFileSync } from 'node:fs';
import path from 'node:path';
import packageJson from '../package.json' with { type: 'json' };

const root = path.dirname(import.meta.dirname);

/** What /version tells: build number and git hash stand in files that the build writes beside the application. */
export function readVersion(folder = root): { circle: string; hash: string; version: string } {
  return {
    circle: readLine(path.join(folder, 'build-circleci.txt')),
    hash: readLine(path.join(folder, 'build-githash.txt')),
    version: packageJson.version,
  };
}

function readLine(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim() || 'unknown';
  } catch {
    return 'unknown';
  }
}
