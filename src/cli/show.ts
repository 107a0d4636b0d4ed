import { type Command, callerHeaders } from './command.ts';
import { print, printJson } from './terminal.ts';
import { readMessage, type WireMessage } from './wire.ts';
import { count, maskReceiver, maskSender, printable, secondOf, withoutNumbers, wrap } from './words.ts';

export const show: Command = {
  words: ['id'],
  about: 'Shows how a message stands. Times are UTC.',
  flags: { reveal: { about: 'whole numbers, and the text' } },
  examples: ['90422bdb-077e-4c62-8dfe-315ba3cea0ce'],
  timeoutS: 30,
  tenant: 'taken',
  run: async (call) => {
    const reply = await call.api().demand({
      path: `/dhos/v1/sms/${encodeURIComponent(call.word(0))}`,
      headers: callerHeaders(call.tenant()),
    });
    if (call.is('json')) printJson(reply.body);
    else print(describe(readMessage(reply), call.is('reveal')));
    return 'done';
  },
};

function describe(message: WireMessage, isRevealed: boolean): string {
  const lines: [string, string | undefined][] = [
    ['message', message.uuid],
    ['tenant', `${message.trustomer_code} / ${message.product_name}`],
    ['status', message.status ?? 'none'],
    ['error', errorOf(message)],
    ['created', secondOf(message.created)],
    ['sent', timeOrNone(message.date_sent)],
    ['valid until', timeOrNone(message.valid_until)],
    ['to', isRevealed ? message.receiver : maskReceiver(message.receiver)],
    ['from', isRevealed ? message.sender : maskSender(message.sender)],
    ['Twilio SID', message.twilio_sid],
    ['emptied', [emptiedAtTwilio(message), ...emptiedHere(message)].join('; ')],
    ['text', textOf(message, isRevealed)],
  ];
  return lines.flatMap(([name, value]) => (value === undefined ? [] : [line(name, value)])).join('');
}

const COLUMN = 13;

/** A text may have lines of its own. */
function line(name: string, value: string): string {
  const written = value.split(/\r?\n/).map((part) => wrap(printable(part), ' '.repeat(COLUMN)));
  return name.padEnd(COLUMN) + written.join('').slice(COLUMN);
}

function errorOf({ error_code, error_message }: WireMessage): string | undefined {
  if (error_code === undefined && error_message === undefined) return undefined;
  return [error_code, error_message]
    .filter((part) => part !== undefined)
    .map(withoutNumbers)
    .join(': ');
}

function timeOrNone(time: string | undefined): string | undefined {
  return time === undefined ? undefined : secondOf(time);
}

function emptiedAtTwilio({ redacted }: WireMessage): string {
  return redacted === undefined ? 'not at Twilio yet' : `at Twilio ${secondOf(redacted)}`;
}

function emptiedHere({ content_emptied, number_emptied }: WireMessage): string[] {
  return [
    ...(content_emptied === undefined ? [] : [`text here ${secondOf(content_emptied)}`]),
    ...(number_emptied === undefined ? [] : [`number here ${secondOf(number_emptied)}`]),
  ];
}

function textOf({ content }: WireMessage, isRevealed: boolean): string {
  if (content === '') return 'empty';
  return isRevealed ? content : `${count(content.length, 'character')}; --reveal shows them`;
}
