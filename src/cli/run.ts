import { CannotStart } from '../errors.ts';
import { type Command, readCall } from './command.ts';
import { exitCodes, Failure } from './failure.ts';
import { exitCodesHelp, helpOf } from './help.ts';
import { endWithTheReader, print, printJson, remark } from './terminal.ts';

/** The commands; each is loaded when it is called. */
const commands: Readonly<Record<string, { readonly summary: string; readonly load: () => Promise<Command> }>> = {
  send: { summary: 'send a text', load: async () => (await import('./send.ts')).send },
  show: { summary: 'a message: how it stands', load: async () => (await import('./show.ts')).show },
  events: { summary: 'what happened to a message', load: async () => (await import('./events.ts')).events },
  list: { summary: 'messages, newest first', load: async () => (await import('./list.ts')).list },
  report: { summary: 'how many, by day and status', load: async () => (await import('./report.ts')).report },
  'bulk-update': {
    summary: 'ask Twilio about every message whose end is not known',
    load: async () => (await import('./bulk-update.ts')).bulkUpdate,
  },
  'redaction-report': {
    summary: 'what was emptied, as a statement to file',
    load: async () => (await import('./redaction-report.ts')).redactionReport,
  },
  keys: { summary: 'make, list and revoke API keys', load: async () => (await import('./keys.ts')).keys },
  'rotate-keys': {
    summary: 'give every text the newest content key',
    load: async () => (await import('./rotate-keys.ts')).rotateKeys,
  },
  doctor: { summary: 'is everything set up and running?', load: async () => (await import('./doctor.ts')).doctor },
};

/** Sets the exit code, and lets the process end when all is written. */
export async function runCommandLine([name = '--help', ...args]: readonly string[]): Promise<void> {
  endWithTheReader();
  process.exitCode = exitCodes[await runCommand(name, args).catch((error) => tellFailure(error, args))];
}

async function runCommand(name: string, args: readonly string[]) {
  if (name === '--help' || name === 'help') {
    print(help());
    return 'done';
  }
  const known = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (known === undefined) throw new Failure('wrongUse', 'There is no such command. See polaris-sms --help.');
  const command = await known.load();
  const call = readCall(name, command, args);
  if (call !== 'help') return command.run(call);
  print(helpOf(name, command));
  return 'done';
}

function tellFailure(error: unknown, args: readonly string[]) {
  if (error instanceof CannotStart) {
    remark(`${error.message}\n`);
    return 'wrongUse';
  }
  if (!(error instanceof Failure)) throw error;
  if (error.json !== null && args.includes('--json')) printJson(error.json);
  remark(`${error.message}\n`);
  return error.ending;
}

function help(): string {
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(18)}${summary}\n`);
  return `Polaris SMS for operators: sends, finds and follows texts, by the HTTP API.

Usage: polaris-sms <command> [flags]

${lines.join('')}
Each has --help and --json. Numbers show their last four digits, and texts are
left out, unless --reveal is given; --json and --csv are whole, as the API is.

POLARIS_SMS_URL        where the service is (http://127.0.0.1:$PORT)
POLARIS_SMS_TRUSTOMER  the trust on whose behalf, for example OUH
POLARIS_SMS_PRODUCT    the product, for example GDM
POLARIS_SMS_KEY        an API key, where the service asks for one

${exitCodesHelp}`;
}
