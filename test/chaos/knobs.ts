import { parseArgs } from 'node:util';

/**
 * The options of a drill: `--name N` for each number, with its default, `--name` for each flag. Prints the help and ends
 * the process when that is asked for, or when an option makes no sense.
 */
export function readKnobs<Numbers extends string, Flags extends string>(
  help: string,
  numbers: Readonly<Record<Numbers, number>>,
  flags: readonly Flags[],
): Record<Numbers, number> & Record<Flags, boolean> {
  const names = Object.keys(numbers) as Numbers[];
  const options = {
    ...Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
    ...Object.fromEntries([...flags, 'help'].map((name) => [name, { type: 'boolean' as const }])),
  };
  try {
    const { values } = parseArgs({ options });
    if (values.help === true) end(help, 0);
    const read = [
      ...names.map((name) => [name, readNumber(name, values[name], numbers[name])]),
      ...flags.map((name) => [name, values[name] === true]),
    ];
    return Object.fromEntries(read);
  } catch (error) {
    const [sentence = ''] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/);
    return end(`${sentence.replace(/\.?$/, '.')} See --help.`, 1);
  }
}

function readNumber(name: string, text: unknown, byDefault: number): number {
  if (text === undefined) return byDefault;
  const number = Number(text);
  if (text !== '' && Number.isInteger(number) && number > 0) return number;
  throw new Error(`--${name} must be a whole number above 0, not '${String(text)}'`);
}

function end(words: string, code: number): never {
  process.stdout.write(`${words}\n`);
  process.exit(code);
}
