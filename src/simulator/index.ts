import { parseArgs } from 'node:util';
import { CannotStart } from '../errors.ts';
import { describeEvent } from './events.ts';
import { magicNumbers } from './magic-numbers.ts';
import { readScenarioFile } from './read-scenario.ts';
import { type Simulator, type SimulatorOptions, startSimulator } from './simulator.ts';

/** `npm run simulator`: a Twilio to try things on, with a line on the terminal for everything that happens. */

const help = `A Twilio that runs on this machine and sends nothing to anybody.

  --port N        where to listen on 127.0.0.1; 0 lets the system choose (4010)
  --account AC…   the account SID that it answers to (a fictional one)
  --token TEXT    the account's auth token (one that is no secret)
  --token2 TEXT   the account's second auth token (none)
  --seed N        the same seed gives the same texts the same SIDs, delays and fates (random)
  --scenario FILE what goes wrong, as YAML or JSON (nothing)
  --speed X       how much faster than real time messages live; 0 = time stands still until
                  POST /_simulator/clock moves it (1)
  --journal FILE  append every request and every callback to this file, as lines of JSON
  --quiet         agree to everything, remember nothing, call nobody back
  --help          this text

GET /_simulator/ tells what can be asked and set while it runs.
`;

try {
  const options = readOptions(process.argv.slice(2));
  if (options === 'help') print(help);
  else await run(options);
} catch (error) {
  if (!(error instanceof CannotStart)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

async function run(options: SimulatorOptions): Promise<void> {
  const simulator = await startSimulator({ ...options, onEvent: (event) => print(`${describeEvent(event)}\n`) });
  print(welcome(simulator, options.quiet === true));
  const stop = () => void simulator.stop();
  // npm passes a Ctrl-C on that the terminal has sent already: stopping twice must not end in a kill.
  process.on('SIGINT', stop).on('SIGTERM', stop);
}

function readOptions(args: string[]): SimulatorOptions | 'help' {
  const { port, account, token, token2, seed, scenario, speed, journal, quiet, help } = parse(args);
  if (help === true) return 'help';
  return {
    port: readNumber('port', port ?? '4010', 0, 65_535),
    speed: readSpeed(speed ?? '1'),
    quiet: quiet === true,
    ...(seed !== undefined && { seed: readNumber('seed', seed, 0, Number.MAX_SAFE_INTEGER) }),
    ...(account !== undefined && { accountSid: account }),
    ...(token !== undefined && { authToken: token }),
    ...(token2 !== undefined && { authTokenSecondary: token2 }),
    ...(scenario !== undefined && { scenario: readScenarioFile(scenario) }),
    ...(journal !== undefined && { journalFile: journal }),
  };
}

function parse(args: string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const texts = { port: text, account: text, token: text, token2: text, seed: text, scenario: text, speed: text };
  try {
    return parseArgs({ args, options: { ...texts, journal: text, quiet: flag, help: flag } }).values;
  } catch (cause) {
    const [reason = ''] = (cause instanceof Error ? cause.message : String(cause)).split(/\. |\n/);
    throw new CannotStart(`${reason.replace(/\.?$/, '.')} See --help.`, { cause });
  }
}

function readNumber(name: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (text.trim() !== '' && Number.isInteger(number) && number >= least && number <= most) return number;
  throw new CannotStart(`--${name} must be a whole number from ${least} to ${most}, not '${text}'. See --help.`);
}

function readSpeed(text: string): number {
  const number = Number(text);
  if (text.trim() !== '' && (number === 0 || (number >= 0.001 && number <= 10_000))) return number;
  throw new CannotStart(`--speed must be 0 or a number from 0.001 to 10000, not '${text}'. See --help.`);
}

function welcome({ baseUrl, accountSid, authToken, seed }: Simulator, isQuiet: boolean): string {
  const where = `The Twilio simulator listens on ${baseUrl}\n\n`;
  if (isQuiet)
    return `${where}It is quiet: any credentials are good, every message is sent, and nobody is called back.\n\n`;
  return `${where}  account SID  ${accountSid}\n  auth token   ${authToken}\n  seed         ${seed}\n\n${magicLines()}\n`;
}

function magicLines(): string {
  const lines = magicNumbers.map(({ field, numbers, inWords }) => {
    const spelled = numbers.map((number) => (number.startsWith('+') ? number : `…${number}`)).join(' ');
    return `  ${field.padEnd(4)}  ${spelled.padEnd(14)}  ${inWords}\n`;
  });
  return `Magic numbers (endings count on +447700900xxx and +1xxx55501xx):\n${lines.join('')}`;
}

function print(text: string): void {
  process.stdout.write(text);
}
