import { describe, expect, type TestContext, test } from 'vitest';
import type { RequestRule } from '../../src/simulator/scenario.ts';
import {
  acceptedFor,
  ended,
  manners,
  numberOf,
  postUntilTaken,
  rowOf,
  type Scene,
  startScene,
  timesAsked,
} from './support.ts';

/** The simulator takes the SID of the message that came last but for this one. */
const [owner, thief] = [numberOf(0), numberOf(1)];

async function start(rules: readonly RequestRule[], finished: TestContext['onTestFinished']): Promise<Scene> {
  const scene = await startScene({ rules: [...rules] });
  finished(() => scene.stop());
  return scene;
}

const answeredWithForeignSid = (created: boolean): RequestRule => ({
  on: 'create',
  when: { receiver: thief, occurrence: 1 },
  do: { answer: 'foreign-sid', created },
});

describe.concurrent('A 201 with the SID of another message', () => {
  test.for(manners.flatMap((manner) => [true, false].map((created) => ({ manner, created }))))(
    'that is on its row: unknown, then exactly 1 at Twilio ($manner, created: $created)',
    async ({ manner, created }, { onTestFinished }) => {
      const at = await start([answeredWithForeignSid(created)], onTestFinished);
      const first = await postUntilTaken(at.service, owner, 'The owner of the SID.', 'sync');
      expect(first.status).toBe(200);
      const answer = await postUntilTaken(at.service, thief, 'Answered with another’s SID.', manner);
      expect([answer.status, answer.json.status, answer.json.twilio_sid]).toEqual([202, 'accepted', undefined]);
      const row = await ended(at.service, answer.json.uuid);
      const accepted = acceptedFor(at, thief);
      expect(accepted).toHaveLength(1);
      expect(row.twilio_sid).toBe(accepted[0]);
      expect(await timesAsked(at.service, row.uuid)).toBe(created ? 1 : 2);
      expect(await rowOf(at.service, first.json.uuid)).toMatchObject({
        twilio_sid: first.json.twilio_sid,
        attempts: 1,
      });
    },
  );

  test('of which nobody knows yet: its owner, whom Twilio’s log shows, is not sent twice', async ({
    onTestFinished,
  }) => {
    const lost: RequestRule = { on: 'create', when: { receiver: owner, occurrence: 1 }, do: { answer: 'truncated' } };
    const at = await start([lost, answeredWithForeignSid(true)], onTestFinished);
    const first = await postUntilTaken(at.service, owner, 'Its answer was lost.', 'sync');
    expect(first.status).toBe(202);
    await postUntilTaken(at.service, thief, 'Answered with the SID of the lost one.', 'sync');
    const row = await ended(at.service, first.json.uuid);
    // Found, or left `unconfirmed`; but the log showed it, so there is no second attempt (G3).
    expect({ attempts: row.attempts, atTwilio: acceptedFor(at, owner).length }).toEqual({ attempts: 1, atTwilio: 1 });
  });
});
