import { globSync, readFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { openLog } from '../src/log.ts';

const text = 'Mrs Tweety, your test is on Monday';

/** A log, and what it has written. */
function watchedLog() {
  const lines: string[] = [];
  const sink = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk));
      done();
    },
  });
  return {
    log: openLog({ level: 'debug', format: 'json' }, sink),
    lines,
    last: () => JSON.parse(lines.at(-1) ?? '{}'),
  };
}

test('a field that is not on the list is dropped, and the line says so by its name', () => {
  const { log, last } = watchedLog();
  log.info({ messageId: 'an-id', body: text, receiver: '+447700900877' }, 'sent');
  expect(last()).toMatchObject({ messageId: 'an-id', message: 'sent', dropped: ['body', 'receiver'] });
  expect(JSON.stringify(last())).not.toMatch(/Tweety|7700/);
});

test.each([
  ['a text in place of a status', { status: text }],
  ['a number in place of a SID', { twilioSid: '+447700900877' }],
  ['a number among the words of a reason', { reason: 'to 07700 900877' }],
  ['a text in place of a count', { text }],
  ['a text in place of a job', { job: `${text}!?` }],
  ['a text among moments', { upTo: { text } }],
  ['an address in place of a route', { route: '/dhos/v1/sms?receiver=+447700900877' }],
  ['a name that is a text', { [text]: 1 }],
  ['a name of the prototype', { constructor: text }],
])('%s is dropped', (_what, fields) => {
  const { log, lines, last } = watchedLog();
  log.info(fields, 'a line');
  expect(last().dropped).toHaveLength(1);
  expect(lines.join('')).not.toMatch(/Tweety|7700/);
});

test("a child's bindings are no way around it", () => {
  const { log, lines, last } = watchedLog();
  log.child({ requestID: 'r-1', content: text }).child({ sender: '+447700900877' }).info('a line');
  expect(last()).toMatchObject({ requestID: 'r-1', message: 'a line' });
  expect(lines.join('')).not.toMatch(/Tweety|7700/);
});

test("a caller's request id is written, unless it could be a number or a key", () => {
  const { log, lines, last } = watchedLog();
  for (const requestID of ['+447700900877', `polaris_0123456789ab_${'x'.repeat(43)}`]) {
    log.child({ requestID }).info('a line');
    expect(last()).toMatchObject({ dropped: ['requestID'] });
  }
  expect(lines.join('')).not.toMatch(/polaris_|7700/);
});

test('the words of an error are never the sentence, whatever form the call has', () => {
  const { log, lines } = watchedLog();
  const error = Object.assign(new Error(text, { cause: new Error(text) }), { code: text, detail: text });
  log.error(error);
  log.error({ err: error });
  log.error({ err: error }, 'with a sentence');
  log.error({ err: text });
  log.error(error, 'a sentence with %s', text);
  log.error('a sentence with %s', text);
  log.error({ messageId: 'an-id' }, 'a sentence with %j', { text });
  expect(lines).toHaveLength(7);
  expect(lines.join('')).not.toMatch(/Tweety/);
});

test('a line of an error that looks like a call is none, and the real calls are there', () => {
  const { log, last, lines } = watchedLog();
  log.error({ err: new Error(`first\n    at ${text} (your:1:2)`) }, 'a line');
  expect(lines.join('')).not.toMatch(/Tweety/);
  expect(last().err.at[0]).toMatch(/log\.test\.ts/);
});

test('the log speaks sentences of the program: no call puts values into one', () => {
  const calls = globSync('src/**/*.ts').flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/\blog\??\.(?:debug|info|warn|error|fatal)\(([^;]*?)\);/gs)].map(
      ([, inside = '']) => `${file}: ${inside}`,
    ),
  );
  expect(calls.length).toBeGreaterThan(20);
  expect(calls.filter((call) => /`[^`]*\$\{/.test(call.slice(call.indexOf(': '))))).toEqual([]);
});
