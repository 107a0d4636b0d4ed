import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { closedAddress } from '../support/tcp.ts';
import { cli, type Ended, operatorAt } from './support.ts';

export type Finding = { check: string; result: string; detail: string; advice?: string };

/** A service with all that doctor looks at. */
export type Patient = {
  readonly service: TestService;
  readonly simulator: Simulator;
  /** What the service was started with, and so what doctor reads. */
  readonly env: Record<string, string>;
  examine(changes?: Record<string, string>, ...args: string[]): Promise<Ended & { found: Finding[] }>;
  stop(): Promise<void>;
};

const token = 'canary-token-of-the-tests';

/** As it stands in production, but for https: its Twilio is the simulator, its callback URL its own address. */
export async function startPatient(databaseUrl?: string): Promise<Patient> {
  const simulator = await startSimulator({ authToken: token, authTokenSecondary: 'canary-second-token' });
  const address = await closedAddress();
  const twilio = {
    TWILIO_BASE_URL: simulator.baseUrl,
    TWILIO_ACCOUNT_SID: simulator.accountSid,
    TWILIO_AUTH_TOKEN: token,
    TWILIO_CALL_BACK_URL: `${address}/dhos/v1/sms/callback`,
    PORT: new URL(address).port,
  };
  const service = await startTestService(twilio, databaseUrl === undefined ? {} : { databaseUrl });
  const env = {
    ENVIRONMENT: 'DEVELOPMENT',
    DATABASE_URL: service.databaseUrl,
    ...twilio,
    ...operatorAt(service.baseUrl),
  };
  return {
    service,
    simulator,
    env,
    examine: async (changes = {}, ...args) => {
      const ended = await cli(['doctor', '--json', ...args], { ...env, ...changes });
      return { ...ended, found: JSON.parse(ended.stdout) };
    },
    stop: async () => {
      await service.stop();
      await simulator.stop();
    },
  };
}

export const resultsOf = (found: Finding[]) => Object.fromEntries(found.map(({ check, result }) => [check, result]));
export const findingOf = (found: Finding[], check: string) => found.find((finding) => finding.check === check);

export const allWell = {
  configuration: 'ok',
  database: 'ok',
  'service running': 'ok',
  'service health': 'ok',
  'service version': 'ok',
  'callback URL': 'ok',
  signature: 'ok',
  Twilio: 'ok',
};
