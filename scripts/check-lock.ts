import { readFileSync } from 'node:fs';
import { z } from 'zod';

/**
 * Is package-lock.json complete, and free of addresses? Every optional dependency that a package names needs an entry of
 * its own, or `npm ci` fails on machines of another kind; a `resolved` address would tie everybody to one registry.
 */
const lock = z.object({
  packages: z.record(
    z.string(),
    z.object({ resolved: z.string().optional(), optionalDependencies: z.record(z.string(), z.string()).optional() }),
  ),
});

const { packages } = lock.parse(JSON.parse(readFileSync(process.argv[2] ?? 'package-lock.json', 'utf8')));
const nameOf = (place: string) => place.split('node_modules/').at(-1) ?? '';
const present = new Set(Object.keys(packages).map(nameOf));
const problems = Object.entries(packages).flatMap(([place, entry]) => [
  ...Object.keys(entry.optionalDependencies ?? {})
    .filter((name) => !present.has(name))
    .map((name) => `missing from the lock file: ${name}, which ${nameOf(place) || 'the project'} names`),
  ...(entry.resolved?.startsWith('http') ? [`the lock file holds an address: ${place}`] : []),
]);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
console.log(`the lock file is complete: ${present.size} packages`);
