import { type Config, readConfig } from '../../config.ts';
import { CannotStart } from '../../errors.ts';
import { type Api, openApi } from '../api.ts';
import { checkCallbackUrl, checkSignature } from './callback.ts';
import { checkDatabase } from './database.ts';
import { type Finding, failed, ok, type Result, skipped } from './finding.ts';
import { checkHealth, checkRunning, checkVersion } from './service.ts';
import { checkTwilio } from './twilio.ts';

/** In the order in which they are made. */
export const checks = [
  'configuration',
  'database',
  'service running',
  'service health',
  'service version',
  'callback URL',
  'signature',
  'Twilio',
] as const;
export type Check = (typeof checks)[number];

/** Every check in turn; one that fails keeps no other from being made. `leftOut` are not made. */
export async function examine(findApi: () => Api, timeoutMs: number, leftOut: ReadonlySet<Check>): Promise<Finding[]> {
  const findings: Finding[] = [];
  const check = async (name: Check, examination: () => Promise<Result> | Result) => {
    const result = leftOut.has(name) ? skipped('as asked for') : await examination();
    findings.push({ check: name, ...result });
  };
  const { config, problems } = readConfiguration();
  const configured = (examination: (config: Config) => Promise<Result> | Result) => () =>
    config === null ? skipped('the configuration is bad') : examination(config);

  for (const problem of problems) await check('configuration', () => badVariable(problem));
  if (config !== null) await check('configuration', () => ok(describe(config)));
  await check(
    'database',
    configured(({ database }) => checkDatabase(database, timeoutMs)),
  );
  // Each request of doctor's is a small one, so each has the whole time limit.
  const { api, problem } = openQuietly(findApi, timeoutMs);
  const isRunning = api === null ? failed(problem, 'mend it, or give --url') : await checkRunning(api);
  await check('service running', () => isRunning);
  const served = (examination: (api: Api) => Promise<Result>) => () =>
    api === null || isRunning.result !== 'ok' ? skipped('the service cannot be reached') : examination(api);
  await check('service health', served(checkHealth));
  await check('service version', served(checkVersion));
  await check(
    'callback URL',
    configured((known) => checkCallbackUrl(known, timeoutMs)),
  );
  await check(
    'signature',
    configured((known) => served((reached) => checkSignature(known.twilio, reached, timeoutMs))()),
  );
  await check(
    'Twilio',
    configured(({ twilio }) => checkTwilio(twilio, timeoutMs)),
  );
  return findings;
}

function readConfiguration(): { config: Config | null; problems: string[] } {
  try {
    return { config: readConfig(), problems: [] };
  } catch (error) {
    if (!(error instanceof CannotStart)) throw error;
    return { config: null, problems: error.message.split('\n') };
  }
}

/** The words of config.ts: they name the variable and never repeat what is in it. */
function badVariable(problem: string): Result {
  const [variable = ''] = problem.split(' ', 1);
  return failed(problem, `set ${variable} for the service, and start it again`);
}

function describe({ environment, twilio }: Config): string {
  const texts = {
    twilio: `texts go to ${new URL(twilio.baseUrl).host}`,
    lively: 'texts go to the simulator',
    quiet: 'Twilio is disabled',
  }[twilio.server];
  return `${environment}; ${texts}`;
}

function openQuietly(findApi: () => Api, timeoutMs: number): { api: Api | null; problem: string } {
  try {
    return { api: openApi({ baseUrl: findApi().baseUrl, timeoutMs, apiKey: null }), problem: '' };
  } catch (error) {
    if (!(error instanceof CannotStart)) throw error;
    return { api: null, problem: error.message.replaceAll('\n', '; ') };
  }
}
