import { defineConfig } from 'vitest/config';

/** `make test-browser`: the console in a real browser. */
export default defineConfig({
  test: {
    include: ['test/browser/*.browser.ts'],
    globalSetup: ['test/support/postgres.ts', 'test/browser/build.ts'],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
