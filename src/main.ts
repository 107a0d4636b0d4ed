import { type Service, startService } from './app.ts';
import { within } from './clock.ts';
import { type Config, readConfig } from './config.ts';
import { CannotStart } from './errors.ts';
import { openLog } from './log.ts';

/** G8 allows 20 s; orchestrators kill after 30. */
const STOP_WITHIN_MS = 19_000;

/** Start: environment → config → service → listening. SIGTERM or Ctrl-C: finish what is in flight, stop, exit 0. */
export async function main(): Promise<void> {
  try {
    const config = readConfig();
    const log = openLog(config.log);
    // Words of an unforeseen error can hold a text or a number: the log's serializer leaves them out.
    process.on('uncaughtException', (error) => {
      log.fatal({ err: error }, 'the process must end');
      process.exit(1);
    });
    const stopping = stopSignal();
    const service = await startService(config, { log });
    const { baseUrl, callbackBaseUrl } = service;
    const callbacks = callbackBaseUrl === null ? {} : { callbackBaseUrl };
    log.info({ baseUrl, ...callbacks, environment: config.environment, twilio: config.twilio.server }, 'listening');
    if (config.environment === 'DEVELOPMENT') process.stdout.write(welcome(service, config));
    const signal = await stopping;
    log.info({ signal }, 'stopping');
    // Who presses Ctrl-C has no load balancer that must notice first.
    const afterMs = signal === 'SIGTERM' ? config.shutdownDelayMs : 0;
    const stopped = await within(STOP_WITHIN_MS, service.stop({ afterMs }));
    process.exit(stopped === 'too late' ? 1 : 0);
  } catch (error) {
    if (!(error instanceof CannotStart)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

/** Resolves at the first signal and swallows the others: npm passes a Ctrl-C on that the terminal has sent already. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.on('SIGTERM', resolve);
    process.on('SIGINT', resolve);
  });
}

function welcome({ baseUrl }: Service, config: Config): string {
  const twilio = {
    twilio: `Texts go to ${config.twilio.baseUrl}.`,
    lively: 'Texts go to a simulator: nothing leaves this machine, and each lives through its life in two seconds.',
    quiet: 'Twilio is disabled: nothing is sent.',
  }[config.twilio.server];
  return `
Polaris SMS listens on ${baseUrl}
${twilio}

  Send a text:
    curl -s ${baseUrl}/dhos/v1/sms -H 'Content-Type: application/json' -H 'X-Trustomer: OUH' -H 'X-Product: GDM' \\
      -d '{"sender":"+447700900001","receiver":"+447700900123","content":"Your appointment is on Monday at 10:00."}'
  See all texts:
    curl -s ${baseUrl}/dhos/v1/sms -H 'X-Trustomer: OUH' -H 'X-Product: GDM'
  Look at them in a browser:
    ${baseUrl}/console/
  The API, described and to try out:
    ${baseUrl}/ui/

Ctrl-C stops it.

`;
}
