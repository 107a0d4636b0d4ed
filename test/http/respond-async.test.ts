import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { eventually, freshText, startTestService, type TestService, tenant } from '../support/service.ts';
import {
  type Asked,
  type FakeTwilio,
  isCreate,
  newSid,
  type Reply,
  resource,
  startFakeTwilio,
  twilioAt,
} from '../support/twilio.ts';

let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({ ...twilioAt(twilio.url), TWILIO_TIMEOUT_MS: '1000', TWILIO_MAX_CONCURRENCY: '1' });
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});
beforeEach(() => twilio.answerWith(undefined));

type Text = ReturnType<typeof freshText>;
const later = (text: object, headers: Record<string, string> = {}, to = service) =>
  to.post(text, { ...tenant, prefer: 'respond-async', ...headers });
const get = async (uuid: string, of = service) => (await of.call(`/dhos/v1/sms/${uuid}`)).json;
const createsOf = ({ content }: Text) => twilio.asked.filter((asked) => isCreate(asked) && asked.form.Body === content);
const handedOver = (uuid: string) =>
  eventually(async () => {
    const found = await get(uuid);
    return found.twilio_sid !== undefined && found;
  });
const error = (status: number, code: number, headers: Record<string, string> = {}): Reply => ({
  status,
  headers,
  body: { code, message: 'words', status },
});
const count = async () => (await service.query('SELECT FROM message')).length;
const fromNow = (ms: number) => new Date(Date.now() + ms).toISOString();

/** Twilio keeps its only place busy until `go`: what is to be sent later waits. */
async function busy(): Promise<() => void> {
  const go = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const text = freshText();
  twilio.answerWith(async (asked) => {
    if (asked.form.Body !== text.content) return { status: 201, body: resource() };
    arrived.resolve();
    await go.promise;
    return { status: 201, body: resource() };
  });
  void service.post(text);
  await arrived.promise;
  return () => go.resolve();
}

describe('Prefer: respond-async', () => {
  test('202 as soon as it is recorded: Location, Preference-Applied, X-Message-Id; and it is sent afterwards', async () => {
    const go = await busy();
    const text = freshText();
    const answer = await later(text);
    expect(answer.status).toBe(202);
    const { uuid } = answer.json;
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      location: `/dhos/v1/sms/${uuid}`,
      'preference-applied': 'respond-async',
      'x-message-id': uuid,
    });
    expect(answer.json).toMatchObject({ ...text, status: 'accepted' });
    expect(answer.json).not.toHaveProperty('twilio_sid');
    expect([createsOf(text).length, await get(uuid)]).toEqual([0, answer.json]);
    go();
    expect(await handedOver(uuid)).toMatchObject({ uuid, status: 'queued' });
    expect(createsOf(text)).toHaveLength(1);
    expect(createsOf(text)[0]?.form.StatusCallback).toContain(`?m=${uuid}&a=1`);
  });

  test.each([
    'respond-async',
    'Respond-Async',
    'return=minimal, respond-async',
    'respond-async; wait=10',
    'wait=10,respond-async',
  ])('%j is understood', async (prefer) => {
    const answer = await later(freshText(), { prefer });
    expect([answer.status, answer.headers.get('preference-applied')]).toEqual([202, 'respond-async']);
    await handedOver(answer.json.uuid);
  });

  test.each(['return=minimal', 'respond-asynchronous', 'wait=10', 'async', '', ',;=', '"respond-async"'])(
    '%j is no preference that we know: not obeyed, and no error',
    async (prefer) => {
      const answer = await later(freshText(), { prefer });
      expect([answer.status, answer.headers.get('preference-applied')]).toEqual([200, null]);
    },
  );

  test('a request that is wrong is 400 all the same, and nothing is recorded', async () => {
    const before = await count();
    expect((await later({ ...freshText(), receiver: 'x' })).status).toBe(400);
    expect((await later({ ...freshText(), content: '' })).status).toBe(400);
    expect(await count()).toBe(before);
  });

  test('refused for good: it ends as error with Twilio’s code, and is not tried again', async () => {
    const text = freshText();
    twilio.answerWith(() => error(400, 21610));
    const { json } = await later(text);
    await eventually(async () => (await get(json.uuid)).status === 'error');
    expect(await get(json.uuid)).toMatchObject({ error_code: '21610' });
    expect(createsOf(text)).toHaveLength(1);
  });

  test('identical texts wait their turn: while Twilio may or may not have one, no other goes out', async () => {
    const text = freshText();
    twilio.answerWith((asked) => (isCreate(asked) ? 'hang up' : { status: 503, body: '' }));
    const first = (await later(text)).json.uuid;
    await eventually(async () => createsOf(text).length === 1);
    const second = (await later(text)).json.uuid;
    const other = freshText();
    twilio.answerWith(undefined);
    // What was claimed after it shows that the loop has passed it over.
    await handedOver((await later(other)).json.uuid);
    expect([createsOf(text).length, (await get(second)).status]).toEqual([1, 'accepted']);
    await service.callback({ MessageSid: newSid(), MessageStatus: 'sent' }, { query: `?m=${first}&a=1` });
    await service.query("UPDATE message SET due = due - interval '1 minute' WHERE uuid = $1", [second]);
    await handedOver(second);
    expect(createsOf(text)).toHaveLength(2);
  });
});

describe('valid_until', () => {
  test.each<[string, unknown]>([
    ['in the past', '2020-01-01T00:00:00Z'],
    ['now', new Date().toISOString()],
    ['more than a year away', fromNow(367 * 86_400_000)],
    ['no date', 'soon'],
    ['a day that there is not', '2030-02-30T00:00:00Z'],
    ['without a zone', '2030-01-01T00:00:00'],
    ['without a time', '2030-01-01'],
    ['a number', 1_900_000_000],
    ['empty', ''],
    ['twice', ['2030-01-01T00:00:00Z']],
  ])('%s: 400, nothing is recorded and nothing sent', async (_name, valid_until) => {
    const before = [await count(), twilio.asked.length];
    for (const prefer of ['respond-async', 'wait=1']) {
      expectProblem(await later({ ...freshText(), valid_until }, { prefer }), 400, /^valid_until: /);
    }
    expect([await count(), twilio.asked.length]).toEqual(before);
  });

  test('is shown, and Twilio is told in whole seconds, up to its own limit of ten hours', async () => {
    const periods: (string | undefined)[] = [];
    for (const ms of [90_000, 9 * 3_600_000, 11 * 3_600_000]) {
      const text = { ...freshText(), valid_until: fromNow(ms) };
      const answer = await service.post(text);
      expect([answer.status, answer.json.valid_until]).toEqual([200, text.valid_until]);
      periods.push(createsOf(text)[0]?.form.ValidityPeriod);
    }
    const [short, long, tooLong] = periods;
    expect(Number(short)).toBeGreaterThan(80);
    expect(Number(short)).toBeLessThanOrEqual(90);
    expect(Number(long)).toBeGreaterThan(9 * 3_600 - 10);
    expect(tooLong).toBeUndefined();
  });

  test('what could not be sent in time ends as error with its reason, and is never sent', async () => {
    const text = { ...freshText(), valid_until: fromNow(1_500) };
    const go = await busy();
    const { json } = await later(text);
    await service.query("UPDATE message SET due = due - interval '1 minute' WHERE uuid = $1", [json.uuid]);
    await eventually(async () => (await get(json.uuid)).status === 'error');
    go();
    const found = await get(json.uuid);
    expect(found).toMatchObject({ error_message: 'It could not be sent in time: expired.' });
    expect(found).not.toHaveProperty('error_code');
    await handedOver((await later(freshText())).json.uuid);
    expect(createsOf(text)).toHaveLength(0);
    const told = (await service.call(`/dhos/v1/sms/${json.uuid}/events`)).json.at(-1);
    expect(told).toMatchObject({ what: 'expired', status_before: 'accepted', status_after: 'error' });
  });
});

describe('deleting before it is sent', () => {
  test('cancels it: nothing is sent, and it is gone for callers', async () => {
    const text = freshText();
    const go = await busy();
    const { uuid } = (await later(text)).json;
    const deleted = await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: tenant });
    expect([deleted.status, deleted.json.status]).toEqual([200, 'canceled']);
    go();
    await handedOver((await later(freshText())).json.uuid);
    expect(createsOf(text)).toHaveLength(0);
    expect((await service.call(`/dhos/v1/sms/${uuid}`)).status).toBe(404);
    const [row] = await service.query('SELECT status, step, due, twilio_sid FROM message WHERE uuid = $1', [uuid]);
    expect(row).toEqual({ status: 'canceled', step: null, due: null, twilio_sid: null });
  });

  test('while it is on its way to Twilio only hides it: it is followed to its end', async () => {
    const text = freshText();
    const arrived = Promise.withResolvers<Asked>();
    const go = Promise.withResolvers<void>();
    twilio.answerWith(async (asked) => {
      arrived.resolve(asked);
      await go.promise;
      return { status: 201, body: resource() };
    });
    const { uuid } = (await later(text)).json;
    await arrived.promise;
    const deleted = await service.call(`/dhos/v1/sms/${uuid}`, { method: 'DELETE', headers: tenant });
    expect([deleted.status, deleted.json.status]).toEqual([200, 'accepted']);
    go.resolve();
    const row = await eventually(async () => {
      const [one] = await service.query('SELECT status, twilio_sid FROM message WHERE uuid = $1', [uuid]);
      return one?.twilio_sid != null && one;
    });
    expect(row.status).toBe('queued');
  });
});

describe('a Twilio that takes nothing for now', () => {
  test.each<[string, Reply, boolean]>([
    ['refuses the account', error(401, 20003), true],
    ['has too many requests', error(429, 20429), false],
    ['has a full queue', error(400, 21611), false],
  ])('%s: the message waits, is tried again and sent; the account’s trouble is loud', async (_name, reply, isLoud) => {
    const text = freshText();
    const isTold = Promise.withResolvers<void>();
    twilio.answerWith(() => {
      isTold.resolve();
      return reply;
    });
    const { uuid } = (await later(text)).json;
    await isTold.promise;
    const attempts = () => service.query('SELECT n, outcome FROM attempt WHERE message_uuid = $1 ORDER BY n', [uuid]);
    await eventually(async () => (await attempts())[0]?.outcome === 'refused');
    expect((await get(uuid)).status).toBe('accepted');
    twilio.answerWith(undefined);
    expect(await handedOver(uuid)).not.toHaveProperty('error_code');
    const outcomes = (await attempts()).map(({ outcome }) => outcome);
    expect([outcomes[0], outcomes.at(-1)]).toEqual(['refused', 'accepted']);
    const lines = service
      .logged()
      .split('\n')
      .filter((line) => line.includes(uuid) && line.includes('refused by Twilio'));
    expect(lines.some((line) => /"level":("error"|50)/i.test(line))).toBe(isLoud);
  });

  test('for as long as it is valid: then it ends as error, and nothing is sent any more', async () => {
    const text = { ...freshText(), valid_until: fromNow(2_500) };
    twilio.answerWith(() => error(401, 20003));
    const { uuid } = (await later(text)).json;
    await eventually(async () => (await get(uuid)).status === 'error');
    const tries = createsOf(text).length;
    expect(tries).toBeGreaterThan(0);
    twilio.answerWith(undefined);
    await handedOver((await later(freshText())).json.uuid);
    expect([createsOf(text).length, (await get(uuid)).error_message]).toEqual([
      tries,
      'It could not be sent in time: expired.',
    ]);
  });
});
