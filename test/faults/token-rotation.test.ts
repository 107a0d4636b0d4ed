import { expect, onTestFinished, test } from 'vitest';
import { readScenario } from '../../src/simulator/read-scenario.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { startBalancer } from '../chaos/balancer.ts';
import { createDatabase } from '../support/database.ts';
import { eventually, startTestService, type TestService, tenant } from '../support/service.ts';
import { metric, numberOf } from './support.ts';

const OLD = 'the-old-token';
const NEW = 'the-new-token';

test('the auth token is rotated under load: no request fails, and no callback is refused', {
  timeout: 60_000,
}, async () => {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  const simulator = await startSimulator({ authToken: OLD, authTokenSecondary: NEW, speed: 10 });
  onTestFinished(() => simulator.stop());
  const balancer = await startBalancer();
  onTestFinished(() => balancer.close());
  let refused = 0;

  /** A replica with these tokens, behind the balancer; what it refused is counted when it goes. */
  async function deploy(tokens: Record<string, string>): Promise<TestService> {
    const account = { TWILIO_BASE_URL: simulator.baseUrl, TWILIO_ACCOUNT_SID: simulator.accountSid };
    const TWILIO_CALL_BACK_URL = `${balancer.url}/dhos/v1/sms/callback`;
    const replica = await startTestService(
      { ...account, TWILIO_CALL_BACK_URL, LOG_LEVEL: 'ERROR', ...tokens },
      { databaseUrl: database.url },
    );
    const before = balancer.ready();
    balancer.add(replica.baseUrl);
    await eventually(async () => balancer.ready() === before + 1);
    return replica;
  }
  async function retire(replica: TestService): Promise<void> {
    balancer.remove(replica.baseUrl);
    refused += await metric(replica, 'sms_callbacks_total{result="refused"}');
    await replica.stop();
  }

  const answers: number[] = [];
  let isOver = false;
  const send = async (n: number) => {
    const body = { sender: '+447700900001', receiver: numberOf(n % 200), content: `Rotation, text ${n}.` };
    const headers = { 'content-type': 'application/json', ...tenant };
    const url = `${balancer.url}/dhos/v1/sms`;
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
    await answer.arrayBuffer();
    answers.push(answer.status);
  };
  const afterMore = (count: number) => {
    const already = answers.length;
    return eventually(async () => answers.length >= already + count, 20_000);
  };

  // 1. Both tokens are known here, 2. Twilio promotes the new one, 3. it is the first here, 4. the old one is forgotten.
  const first = await deploy({ TWILIO_AUTH_TOKEN: OLD });
  const loading = (async () => {
    for (let n = 0; !isOver; n += 5) await Promise.all([0, 1, 2, 3, 4].map((more) => send(n + more)));
  })();
  await afterMore(30);
  const second = await deploy({ TWILIO_AUTH_TOKEN: OLD, TWILIO_AUTH_TOKEN_SECONDARY: NEW });
  await retire(first);
  await afterMore(30);
  simulator.useScenario(readScenario('signWith: secondary'));
  await afterMore(30);
  const third = await deploy({ TWILIO_AUTH_TOKEN: NEW, TWILIO_AUTH_TOKEN_SECONDARY: OLD });
  await retire(second);
  await afterMore(30);
  const last = await deploy({ TWILIO_AUTH_TOKEN: NEW });
  await retire(third);
  await afterMore(30);
  isOver = true;
  await loading;
  await simulator.settled();
  const { text } = await last.call('/metrics');
  refused += Number(/^sms_callbacks_total\{result="refused"\} (\d+)$/m.exec(text)?.[1] ?? 0);
  const open = await eventually(async () => {
    const rows = await last.query(
      "SELECT FROM message WHERE status NOT IN ('delivered', 'sent', 'undelivered', 'failed')",
    );
    return rows.length === 0 && 'none';
  });
  await last.stop();

  expect(new Set(answers)).toEqual(new Set([200]));
  expect({ refused, open }).toEqual({ refused: 0, open: 'none' });
});
