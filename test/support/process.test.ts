import { expect, test } from 'vitest';
import { run } from './process.ts';

test('whoever waits for a program that cannot be started is told why, and can put things in order', async () => {
  const node = process.execPath;
  process.execPath = '/nowhere/node';
  try {
    await expect(run('src/index.ts', [], {}).printed(/listens/)).rejects.toMatchObject({ code: 'ENOENT' });
  } finally {
    process.execPath = node;
  }
});

test('whoever waits for words that a program never says is shown what it said', async () => {
  await expect(run('src/cli/index.ts', ['--version'], {}).printed(/no such words/)).rejects.toThrow(
    'it ended without printing /no such words/',
  );
});
