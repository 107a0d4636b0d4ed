import { type Command, wrongUse } from './command.ts';
import { type Check, checks, examine } from './doctor/examine.ts';
import type { Finding } from './doctor/finding.ts';
import { print } from './terminal.ts';
import { wrap } from './words.ts';

export const doctor: Command = {
  about:
    'Checks the configuration (the same environment as the service reads), the database, the running service, the callback URL, ' +
    'the signature of callbacks, and the Twilio credentials. It changes nothing: the service is sent callbacks that name no ' +
    'message, and refuses them. Nothing it prints holds a secret, a number or a text. Exit code 0: nothing has failed.',
  flags: {
    skip: {
      value: 'CHECKS',
      about: 'leave these checks out, by name, with commas between: --skip "callback URL,Twilio"',
    },
  },
  examples: ['', '--url https://sms.example --json'],
  timeoutS: 10,
  tenant: 'none',
  run: async (call) => {
    const timeoutMs = call.whole('timeout', 10, 1, 86_400) * 1000;
    const findings = await examine(() => call.api(), timeoutMs, readSkipped(call.text('skip')));
    print(call.is('json') ? `${JSON.stringify(findings)}\n` : findings.map(describe).join(''));
    return findings.some(({ result }) => result === 'FAILED') ? 'refused' : 'done';
  },
};

function readSkipped(names: string | undefined): Set<Check> {
  const given = names?.split(',').map((name) => name.trim().toLowerCase()) ?? [];
  const known = checks.filter((check) => given.includes(check.toLowerCase()));
  if (known.length === new Set(given).size) return new Set(known);
  throw wrongUse('doctor', `--skip knows these checks: ${checks.join(', ')}.`);
}

const INDENT = ' '.repeat(29);

function describe({ check, result, detail, advice }: Finding): string {
  const head = `${result.padEnd(8)} ${check.padEnd(19)} `;
  const said = head + wrap(detail, INDENT).slice(head.length);
  return advice === undefined ? said : said + wrap(`→ ${advice}`, INDENT);
}
