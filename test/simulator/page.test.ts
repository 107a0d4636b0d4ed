import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import twilio from 'twilio';
import { expect, test } from 'vitest';
import { receiveCallbacks, simulate } from './support.ts';

const root = path.resolve(import.meta.dirname, '../..');

test('the program of docs/simulator.md sends a text and gets callbacks that the official validator accepts', async () => {
  const page = readFileSync(path.join(root, 'docs/simulator.md'), 'utf8');
  const [, program = ''] = /```js\n(.*?)```/s.exec(page) ?? [];
  const simulator = await simulate();
  const sink = await receiveCallbacks();
  const here = program
    .replaceAll('http://127.0.0.1:4010', simulator.baseUrl)
    .replaceAll('http://127.0.0.1:3000/callback', sink.url);
  const node = promisify(execFile);
  const { stdout } = await node(process.execPath, ['--input-type=module', '--eval', here], { cwd: root });
  expect(stdout).toMatch(/^SM[0-9a-f]{32} queued\n$/);
  await simulator.settled();
  expect(sink.received.map(({ form }) => form.MessageStatus).sort()).toEqual(['delivered', 'sending', 'sent']);
  for (const { form, headers } of sink.received) {
    const signature = String(headers['x-twilio-signature']);
    expect(twilio.validateRequest(simulator.authToken, signature, sink.url, form)).toBe(true);
  }
});
