import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');
const files = globSync('src/**/*.ts', { cwd: root }).map((file) => ({
  file,
  text: readFileSync(path.join(root, file), 'utf8'),
}));
const placesOf = (pattern: RegExp) => files.filter(({ text }) => pattern.test(text)).map(({ file }) => file);

/** The tables: all SQL of the life of a message. */
const tables =
  /^src\/message\/(messages|orders|allowances|outcomes|due-messages|open-messages|redactions|emptyings|lists|counts|sealed-texts|attempts|callbacks|events|idempotency-keys|forward-only|searches|error-counts|standings|delivery-times|check-numbers)\.ts$|^src\/tenant\/(api-keys|audit-entries|sessions)\.ts$/;

/** words ← edges ← tables ← steps ← doors ← roots: who is further right may import who is further left. */
function layerOf(file: string): number {
  if (
    /^src\/tenant\/(caller|api-key)\.ts$|^src\/message\/(status|message|phone-number|permitted|evidence|keyed-hash|sealing|twilio-log|poll-schedule|list-reach|masked|search-term|explanation|explained-actions|duration-in-words)\.ts$|^src\/twilio\/error-(codes|table)\.ts$/.test(
      file,
    )
  )
    return 0;
  if (
    /^src\/(twilio|db|simulator)\//.test(file) ||
    /^src\/(config|config-database|config-limits|config-sending|config-twilio|variables|errors|clock|log|log-fields|version|metrics)\.ts$/.test(
      file,
    )
  )
    return 1;
  if (tables.test(file)) return 2;
  if (/^src\/(message|tenant)\//.test(file)) return 3;
  if (/^src\/(http|jobs)\//.test(file)) return 4;
  // The roots: app.ts and main.ts, and src/cli, a program of its own.
  return 5;
}

describe('the map of the code', () => {
  test('nobody imports from a layer above, and no step imports a step', () => {
    const wrong = files.flatMap(({ file, text }) =>
      [...text.matchAll(/^(import type|import|export) [^;]*?from '(\..*?)';/gms)]
        .map(([, kind, target = '']) => ({ kind, to: path.posix.join(path.posix.dirname(file), target) }))
        // Types leave no trace at run time; a word may be made of what an edge says.
        .filter(({ kind, to }) => kind !== 'import type' && to.endsWith('.ts'))
        .filter(({ to }) => layerOf(to) > layerOf(file) || (layerOf(file) === 3 && layerOf(to) === 3))
        .map(({ to }) => `${file} imports ${to}`),
    );
    expect(wrong).toEqual([]);
  });

  test('only config.ts reads the environment', () => {
    expect(placesOf(/process\.env/)).toEqual(['src/config.ts']);
  });

  test('only clock.ts asks the time', () => {
    expect(placesOf(/Date\.now\(\)|new Date\(\)/)).toEqual(['src/clock.ts']);
  });

  test('only the tables hold SQL that writes', () => {
    const writers = placesOf(
      /\b(UPDATE|INSERT INTO|DELETE FROM) (message|attempt|callback|event|duplicate_handover|idempotency_key|api_key|audit)\b/,
    ).filter((file) => !file.includes('/migrations/'));
    expect(writers.filter((file) => !tables.test(file))).toEqual([]);
  });

  test('nothing outside twilio/ and the simulator opens sockets to others', () => {
    expect(placesOf(/from 'undici'/).filter((file) => !/^src\/(twilio|simulator)\//.test(file))).toEqual([]);
  });

  test('the command line knows the service by its API; only doctor, keys and rotate-keys open a database, and doctor asks Twilio', () => {
    const imports = files
      .filter(({ file }) => file.startsWith('src/cli/'))
      .flatMap(({ file, text }) =>
        [...text.matchAll(/from '(\.[^']*)'/g)].map(([, target = '']) => ({
          file,
          to: path.posix.join(path.posix.dirname(file), target),
        })),
      )
      .filter(({ to }) => !to.startsWith('src/cli/'));
    const own = /^src\/(config|clock|errors)\.ts$/;
    const ofDoctor = /^src\/(config|config-database|config-twilio|clock|errors|version)\.ts$|^src\/(db|twilio)\//;
    const ofKeys = /^src\/(config|errors)\.ts$|^src\/(db|tenant)\//;
    const ofRotation = /^src\/config\.ts$|^src\/db\/|^src\/message\/(sealing|reseal)\.ts$/;
    const ofFile = new Map([
      ['src/cli/keys.ts', ofKeys],
      ['src/cli/rotate-keys.ts', ofRotation],
    ]);
    const allowedTo = (file: string) => (file.startsWith('src/cli/doctor/') ? ofDoctor : (ofFile.get(file) ?? own));
    const wrong = imports.filter(({ file, to }) => !allowedTo(file).test(to));
    expect(wrong).toEqual([]);
    expect(files.filter(({ file }) => !file.startsWith('src/cli/')).filter(({ text }) => /\/cli\//.test(text))).toEqual(
      [],
    );
  });

  test('one file of the command line speaks HTTP', () => {
    const speakers = placesOf(/from 'node:https?'|\bfetch\(/).filter((file) => file.startsWith('src/cli/'));
    expect(speakers).toEqual(['src/cli/api.ts']);
  });
});
