import { globSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { apiTypes } from '../scripts/api-types.ts';
import { readmeParts, withParts } from '../scripts/readme-parts.ts';
import { startTestService, type TestService } from './support/service.ts';

let service: TestService;

beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());

const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');

test('docs/openapi.yaml is what the service serves (else: make openapi)', async () => {
  const served = await service.call('/openapi.yaml');
  expect(read('docs/openapi.yaml')).toBe(served.text);
});

test('the types of the console are those of the API (else: make openapi)', () => {
  expect(read('console/api/types.ts')).toBe(apiTypes(read('docs/openapi.yaml')));
});

test('the generated parts of the README are what the code says (else: make readme)', async () => {
  const readme = read('README.md');
  expect(readme).toBe(withParts(readme, await readmeParts(service.databaseUrl)));
});

test('the README names every variable that the configuration reads', () => {
  const variables = new Set(
    globSync('src/config*.ts', { cwd: new URL('..', import.meta.url) })
      .map(read)
      .join()
      .match(/'[A-Z][A-Z_]{3,}'/g)
      ?.map((word) => word.slice(1, -1)),
  );
  const words = ['PRODUCTION', 'DEMO', 'DEVELOPMENT', 'STAGING', 'TRAINING', 'TEST'];
  const levels = [
    'NONE',
    'APIKEY',
    'RESOLVE',
    'NEVER-RESEND',
    'ERROR',
    'WARN',
    'INFO',
    'DEBUG',
    'COLOUR',
    'PLAIN',
    'JSON',
    'TRUE',
    'FALSE',
  ];
  const missing = [...variables].filter(
    (name) => ![...words, ...levels].includes(name) && !read('README.md').includes(`\`${name}\``),
  );
  expect(missing).toEqual([]);
});
