import { describe, expect, test } from 'vitest';
import type { RequestRule } from '../../src/simulator/scenario.ts';
import { createDatabase } from '../support/database.ts';
import { eventually, startTestService, type TestService } from '../support/service.ts';
import {
  acceptedFor,
  dropDatabase,
  forEach,
  journalOf,
  manners,
  numberOf,
  post,
  postUntilTaken,
  type Scene,
  SETTLE_MS,
  startScene,
  TIMEOUT_MS,
} from './support.ts';

const MESSAGES = 60;
/** Of each three creates one is taken and its answer lost, one is not taken, and one is fine. */
const lossy: RequestRule[] = [
  { on: 'create', when: { every: 3, occurrence: 1 }, do: { answer: 'reset', created: true } },
  { on: 'create', when: { every: 2, occurrence: 1 }, do: { answer: 502, html: true, created: false } },
];

/** Several of them over one database and one Twilio, none of which knows of the others. */
async function startReplicas(
  count: number,
  rules = lossy,
): Promise<{ replicas: TestService[]; scene: Scene; stop(): Promise<void> }> {
  const database = await createDatabase();
  const scene = await startScene({ rules, databaseUrl: database.url });
  const env = {
    TWILIO_BASE_URL: scene.simulator.baseUrl,
    TWILIO_ACCOUNT_SID: scene.simulator.accountSid,
    TWILIO_AUTH_TOKEN: scene.simulator.authToken,
    TWILIO_CALL_BACK_URL: 'http://127.0.0.1:1/dhos/v1/sms/callback',
    TWILIO_TIMEOUT_MS: String(TIMEOUT_MS),
    SETTLE_MS: String(SETTLE_MS),
  };
  const others = await Promise.all(
    Array.from({ length: count - 1 }, () => startTestService(env, { databaseUrl: database.url })),
  );
  return {
    replicas: [scene.service, ...others],
    scene,
    stop: async () => {
      await Promise.all(others.map((other) => other.stop()));
      await scene.stop();
      await dropDatabase(database);
    },
  };
}

type State = { uuid: string; receiver: string; twilio_sid: string | null; attempts: number; unresolved: boolean };

const rowsOf = ({ service }: Scene) =>
  service.query<State>('SELECT uuid, receiver, twilio_sid, attempts, unresolved FROM message');

describe('Two to five replicas resolve the same rows', { timeout: 60_000 }, () => {
  test.for([2, 5])(
    '%i: each message is at Twilio once, no SID is on two rows, each was sent again at most once',
    async (count, { onTestFinished }) => {
      const { replicas, scene, stop } = await startReplicas(count);
      onTestFinished(stop);
      const numbers = Array.from({ length: MESSAGES }, (_, n) => numberOf(n));
      await forEach(numbers, 20, async (number, n) => {
        const replica = replicas[n % count] ?? scene.service;
        const { status } = await postUntilTaken(replica, number, `Many replicas, ${n}.`, manners[n % 2] ?? 'sync');
        expect([200, 202]).toContain(status);
      });
      const rows = await eventually(async () => {
        const found = await rowsOf(scene);
        return found.every(({ twilio_sid, unresolved }) => twilio_sid !== null && !unresolved) && found;
      }, 40_000);
      expect(rows).toHaveLength(MESSAGES);
      for (const { receiver, twilio_sid, attempts } of rows) {
        expect(acceptedFor(scene, receiver)).toEqual([twilio_sid]);
        expect(attempts).toBeLessThanOrEqual(2);
      }
      expect(new Set(rows.map(({ twilio_sid }) => twilio_sid)).size).toBe(MESSAGES);
      expect(scene.simulator.judge.duplicates()).toEqual([]);
      expect(await scene.service.query('SELECT FROM duplicate_handover')).toEqual([]);
      // The faults were there, and the work was shared.
      expect(rows.filter(({ attempts }) => attempts === 2).length).toBeGreaterThan(MESSAGES / 6);
      const lookers = replicas.filter((replica) => replica.logged().includes("looked in Twilio's log"));
      expect(lookers.length).toBeGreaterThan(1);
    },
  );

  test('five, asked for identical texts at once: none takes another’s SID', async ({ onTestFinished }) => {
    // Every fourth create is taken and its answer lost, whichever of them it is.
    const rule: RequestRule = { on: 'create', when: { every: 4 }, do: { answer: 'reset', created: true } };
    const { replicas, scene, stop } = await startReplicas(5, [rule]);
    onTestFinished(stop);
    const receiver = numberOf(0);
    const answers = await Promise.all(
      replicas.flatMap((replica) => [1, 2].map(() => post(replica, receiver, 'The same for everyone.', 'sync'))),
    );
    // Each waits for its turn, and whose turn does not come in time is told so, and nothing is recorded of it.
    const recorded = answers.filter(({ status }) => status !== 503);
    expect(recorded.length).toBeGreaterThan(4);
    for (const { status } of recorded) expect([200, 202]).toContain(status);
    const rows = await eventually(async () => {
      const found = await rowsOf(scene);
      return found.every(({ twilio_sid }) => twilio_sid !== null) && found;
    }, 40_000);
    expect(rows.map(({ uuid }) => uuid).sort()).toEqual(recorded.map(({ json }) => json.uuid).sort());
    // Which SID belongs to whom, Twilio knows by the id in the callback URL.
    const truth = journalOf(scene, 'create', receiver).map(({ sid, m }) => `${m} ${sid}`);
    expect(rows.map(({ uuid, twilio_sid }) => `${uuid} ${twilio_sid}`).sort()).toEqual(truth.sort());
  });
});
