import { type Command, type Flag, flagsOf } from './command.ts';
import { wrap } from './words.ts';

/** What --help says of a command. */

/** 0, 1, 2 and 3 mean the same for every command. */
export const exitCodesHelp = `Exit codes:
  0  done
  1  the service refused, the message failed, or a check failed
  2  wrong use
  3  the service or its database cannot be reached, or it has a fault
`;

export function helpOf(name: string, command: Command): string {
  const usage = ['polaris-sms', name, ...(command.words ?? []).map((word) => `<${word}>`), '[flags]'].join(' ');
  const examples = command.examples.map((example) => `  polaris-sms ${name} ${example}`.trimEnd()).join('\n');
  const flags = Object.entries(flagsOf(command)).map(describeFlag).join('');
  return `Usage: ${usage}\n\n${wrap(command.about)}\n${flags}\nExamples:\n${examples}\n\n${exitCodesHelp}`;
}

const FLAG_COLUMN = 24;

function describeFlag([flag, { value, about }]: [string, Flag]): string {
  const head = `  --${flag}${value === undefined ? '' : ` ${value}`}`.padEnd(FLAG_COLUMN);
  const [first = '', ...rest] = wrap(about, ' '.repeat(FLAG_COLUMN)).split(/(?<=\n)/);
  const start = head.length > FLAG_COLUMN ? `${head}\n${first}` : head + first.slice(FLAG_COLUMN);
  return [start, ...rest].join('');
}
