import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/service.ts';
import { isCreate, newSid, resource, startFakeTwilio, twilioAt } from '../support/twilio.ts';
import {
  acceptedFor,
  allTogether,
  attemptsOf,
  createsOf,
  ended,
  logOf,
  type Manner,
  manners,
  metric,
  numberOf,
  postUntilTaken,
  type Scene,
  startAlone,
  startScene,
} from './support.ts';

const SPEED = 20;
/** Long after deadline, settle time, second look and second attempt, which together take some 4 s. */
const ACCEPTED_AFTER_MS = 8_000;
const rules = [
  { on: 'create', when: { occurrence: 1 }, do: { answer: 'hang', created: ACCEPTED_AFTER_MS * SPEED } },
] as const;

function scenes(env: Record<string, string>): Promise<Scene> {
  return startScene({ rules: [...rules], speed: SPEED, hasCallbacks: true, env: { SETTLE_MS: '200', ...env } });
}

describe.concurrent('Twilio accepts a message after the settle time, when it was sent again', () => {
  let scene: Scene;
  let resultOf: (one: Manner) => ReturnType<typeof run>;

  beforeAll(async () => {
    scene = await scenes({});
    resultOf = allTogether(manners, run);
  });
  afterAll(() => scene.stop());

  async function run(manner: Manner, n: number) {
    const answer = await postUntilTaken(scene.service, numberOf(n), `Late, ${manner}`, manner);
    const { uuid } = answer.json;
    const before = await ended(scene.service, uuid);
    const duplicates = await eventually(async () => {
      const found = await scene.service.query(
        'SELECT twilio_sid, attempt FROM duplicate_handover WHERE message_uuid = $1',
        [uuid],
      );
      return found.length > 0 && found;
    }, 15_000);
    return { uuid, before, duplicates, receiver: numberOf(n) };
  }

  test.each(manners)('%s: the first SID stays, the second is recorded as a duplicate', async (manner) => {
    const { uuid, before, duplicates, receiver } = await resultOf(manner);
    const [second, first] = acceptedFor(scene, receiver);
    expect(before).toMatchObject({ twilio_sid: second, attempts: 2 });
    expect(duplicates).toEqual([{ twilio_sid: first, attempt: 1 }]);
    const found = (await scene.service.call(`/dhos/v1/sms/${uuid}`)).json;
    expect(found.twilio_sid).toBe(second);
    const history = (await scene.service.call(`/dhos/v1/sms/${uuid}/events`)).json;
    const told = history.filter(({ what }: { what: string }) => what === 'duplicate');
    expect(told).toMatchObject([{ twilio_sid: first, attempt: 1 }]);
  });

  test.each(manners)('%s: it is in the log as an error, once', async (manner) => {
    const { uuid, duplicates } = await resultOf(manner);
    const lines = logOf(scene.service, uuid).filter(({ message }) => message.includes('second copy'));
    expect(lines).toMatchObject([{ level: 'ERROR', twilioSid: duplicates[0]?.twilio_sid }]);
  });

  test('the metric counts each once, however many callbacks prove it', async () => {
    await Promise.all(manners.map(resultOf));
    await scene.simulator.settled();
    expect(await metric(scene.service, 'sms_duplicate_handover_total')).toBe(manners.length);
  });

  test('the judge at Twilio saw the same duplicates, and no other', async () => {
    const results = await Promise.all(manners.map(resultOf));
    const seen = scene.simulator.judge.duplicates().map(({ m }) => m);
    expect(seen.sort()).toEqual(results.map(({ uuid }) => uuid).sort());
  });

  test('the text of both copies is emptied at Twilio', { timeout: 40_000 }, async () => {
    await Promise.all(manners.map(resultOf));
    await scene.simulator.settled();
    expect((await scene.service.call('/dhos/v1/sms/bulk_update')).status).toBe(204);
    expect(scene.simulator.judge.unredacted()).toEqual([]);
  });
});

describe.concurrent('AMBIGUOUS_SEND=never-resend: Twilio accepts a message after the settle time', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await scenes({ AMBIGUOUS_SEND: 'never-resend' });
  });
  afterAll(() => scene.stop());

  test('it was left unconfirmed and not sent again; the callback makes it true, and there is no duplicate', async () => {
    const answer = await postUntilTaken(scene.service, numberOf(0), 'Late, and never sent again.', 'sync');
    expect(answer.status).toBe(202);
    const { uuid } = answer.json;
    expect(await ended(scene.service, uuid)).toMatchObject({ status: 'unconfirmed', attempts: 1, twilio_sid: null });
    const alarm = logOf(scene.service, uuid).filter(({ message }) => message.includes('unconfirmed'));
    expect(alarm).toMatchObject([{ level: 'ERROR' }]);

    const sid = await eventually(async () => acceptedFor(scene, numberOf(0))[0]);
    const found = await eventually(async () => {
      const { json } = await scene.service.call(`/dhos/v1/sms/${uuid}`);
      return json.status === 'delivered' && json;
    });
    expect(found).toMatchObject({ twilio_sid: sid, status: 'delivered' });
    expect(found).not.toHaveProperty('error_message');
    expect(acceptedFor(scene, numberOf(0))).toHaveLength(1);
    expect(await attemptsOf(scene.service, uuid)).toMatchObject([{ n: 1, outcome: 'accepted', twilio_sid: sid }]);
    expect(await metric(scene.service, 'sms_duplicate_handover_total')).toBe(0);
  });
});

describe.concurrent('Twilio accepts a message after the settle time, and no callback tells', () => {
  test('the log is looked at once more after it was sent again: the second copy is recorded, logged, counted', async () => {
    const twilio = await startFakeTwilio();
    const service = await startAlone({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '500', SETTLE_MS: '100' });
    const [to, body, from] = [numberOf(0), 'Late, and in silence.', '+447700900001'];
    const copies: object[] = [];
    const [late, second] = [newSid(), newSid()];
    const copy = (sid: string) => resource({ sid, to, from, body, date_created: new Date().toUTCString() });
    twilio.answerWith((asked) => {
      if (!isCreate(asked)) return { status: 200, body: { messages: copies, next_page_uri: null } };
      if (createsOf(twilio, body).length === 1) return 'hang up';
      // At this very moment Twilio takes the first one, too.
      copies.push(copy(second), copy(late));
      return { status: 201, body: copy(second) };
    });
    const { json } = await postUntilTaken(service, to, body, 'sync');
    expect(await ended(service, json.uuid)).toMatchObject({ twilio_sid: second, attempts: 2 });
    const found = await eventually(async () => {
      const rows = await service.query('SELECT message_uuid, twilio_sid FROM duplicate_handover');
      return rows.length > 0 && rows;
    });
    expect(found).toEqual([{ message_uuid: json.uuid, twilio_sid: late }]);
    expect(logOf(service, json.uuid).filter(({ message }) => message.includes('second copy'))).toHaveLength(1);
    expect(await metric(service, 'sms_duplicate_handover_total')).toBe(1);
    await service.stop();
    await twilio.stop();
  });
});
