import { beforeAll, describe, expect, test } from 'vitest';
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts';
import { expectProblem } from '../support/http.ts';
import { type Answer, eventually, type TestService } from '../support/service.ts';
import { closedAddress } from '../support/tcp.ts';
import { twilioAt } from '../support/twilio.ts';
import { attemptsOf, metric, numberOf, post, rowOf, startAlone } from './support.ts';

const WAITING = 20;
const [accountSid, authToken] = [`AC${'0'.repeat(32)}`, 'a token'];

describe('Twilio cannot be reached, so that not a byte is written', () => {
  let service: TestService;
  let simulator: Simulator | undefined;
  let address: string;
  let sync: Answer;
  const waiting: string[] = [];

  beforeAll(async () => {
    address = await closedAddress();
    const account = { TWILIO_ACCOUNT_SID: accountSid, TWILIO_AUTH_TOKEN: authToken };
    service = await startAlone({ ...twilioAt(address), ...account });
    sync = await post(service, numberOf(0), 'Nobody is there.', 'sync');
    for (let n = 1; n <= WAITING; n++) {
      waiting.push((await post(service, numberOf(n), `It waits, ${n}.`, 'async')).json.uuid);
    }
    return async () => {
      await service.stop();
      await simulator?.stop();
    };
  });

  test('503 for who waits: the message ends, and was tried once', async () => {
    const uuid = sync.headers.get('x-message-id') ?? '';
    expectProblem(sync, 503, /was not and will not be sent: ask again\.$/, { message_id: uuid });
    expect(await rowOf(service, uuid)).toMatchObject({ status: 'error', step: null, unresolved: false });
    expect(await attemptsOf(service, uuid)).toMatchObject([{ n: 1, outcome: 'not processed' }]);
  });

  test('what nobody waits for goes on waiting, and does not hammer', async () => {
    const tried = () => metric(service, 'sms_sends_total{outcome="not processed"}');
    const before = await tried();
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect((await tried()) - before).toBeLessThanOrEqual(5);
    for (const uuid of waiting) expect(await rowOf(service, uuid)).toMatchObject({ status: 'accepted' });
    expect(await service.query('SELECT FROM message WHERE unresolved')).toEqual([]);
  });

  test('once it can be reached, all that waited is sent, each once; what ended is not', async () => {
    simulator = await startSimulator({ port: Number(new URL(address).port), accountSid, authToken });
    await eventually(
      async () => (await service.query("SELECT FROM message WHERE status = 'accepted'")).length === 0,
      25_000,
    );
    const accepted = simulator.judge.accepted();
    expect(accepted.map(({ texts }) => texts.length)).toEqual(Array(WAITING).fill(1));
    expect(accepted.map(({ receiver }) => receiver)).not.toContain(numberOf(0));
    expect(simulator.judge.duplicates()).toEqual([]);
  });
});
