import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readScenario } from '../../src/simulator/read-scenario.ts';
import { metric } from '../faults/support.ts';
import { DAY_MS, type DrivenScene, entriesOf, HOUR_MS, MINUTE_MS, startDrivenScene } from '../support/driven-clock.ts';
import { eventually, freshText, tenant } from '../support/service.ts';

/** The queue of texts to be emptied at Twilio, on a driven clock, with the simulator as the judge of what was emptied. */
const TEXTS = 120;
let scene: DrivenScene;

beforeAll(async () => {
  scene = await startDrivenScene();
  scene.simulator.useScenario(
    readScenario(`
      rules:
        - { on: callback, do: { lose: true } }
        - { on: update, when: { until: "01:30" }, do: { answer: 503 } }`),
  );
  for (let n = 0; n < TEXTS; n += 1) {
    // Every tenth stays `sent` for ever, and is not emptied before it has ended.
    const receiver = `+447700900${n % 10 === 0 ? '994' : String(n % 190).padStart(3, '0')}`;
    expect((await scene.service.post({ ...freshText(), receiver })).status).toBe(200);
  }
}, 60_000);
afterAll(() => scene.stop());

const ENDED = TEXTS * 0.9;
const countOutstanding = async () => {
  const [row] = await scene.service.query<{ count: number }>(
    "SELECT count(*)::int AS count FROM message WHERE redacted IS NULL AND status = 'delivered'",
  );
  return row?.count ?? -1;
};

async function report(from = scene.ago(30 * DAY_MS), to = scene.ago(0), headers: Record<string, string> = tenant) {
  const query = new URLSearchParams({ from: `${from}Z`, to: `${to}Z` });
  return (await scene.service.call(`/dhos/v1/redaction_report?${query}`, { headers })).json;
}

/** Messages whose texts Twilio has emptied, by the simulator's journal. */
const emptied = () =>
  new Set(
    entriesOf(scene, 'update')
      .filter(({ http }) => http === 200)
      .map(({ sid }) => sid),
  );
const refused = () => entriesOf(scene, 'update').filter(({ http }) => http === 503);

describe('The redaction queue', () => {
  test('grows while Twilio refuses for an hour, forgets nothing, and does not storm it', {
    timeout: 60_000,
  }, async () => {
    await scene.pass(10 * MINUTE_MS);
    await eventually(async () => (await countOutstanding()) === ENDED, 30_000);
    await eventually(async () => refused().length > 0);
    for (let minutes = 10; minutes < 85; minutes += 15) {
      const before = refused().length;
      await scene.pass(15 * MINUTE_MS);
      await eventually(async () => refused().length > before, 40_000);
    }
    expect(await countOutstanding()).toBe(ENDED);
    expect(emptied().size).toBe(0);
    expect(refused().length).toBeLessThan(5 * ENDED);
    const outstanding = await report();
    expect(outstanding).toMatchObject({ finished: ENDED, emptied_at_twilio: 0, outstanding: ENDED, left_alone: 0 });
    expect(outstanding.oldest_outstanding).toMatch(/Z$/);
    expect(await metric(scene.service, 'sms_oldest_unredacted_age_seconds')).toBeGreaterThan(HOUR_MS / 1000);
  });

  test('is empty again soon after, without anybody asking for it', { timeout: 60_000 }, async () => {
    // Time goes on, for what was under way when it last did was put off from then.
    await eventually(async () => {
      await scene.pass(10 * MINUTE_MS);
      return (await countOutstanding()) === 0;
    }, 45_000);
    expect(emptied().size).toBe(ENDED);
    expect(await metric(scene.service, 'sms_oldest_unredacted_age_seconds')).toBe(0);
    expect(scene.simulator.judge.unredacted()).toHaveLength(TEXTS - ENDED);
  });

  test('has a report whose numbers are those of the simulator’s journal', async () => {
    const { measurement_timestamp, from, to, ...counts } = await report();
    expect(measurement_timestamp).toMatch(/Z$/);
    expect([from, to]).toEqual([`${scene.ago(30 * DAY_MS)}Z`, `${scene.ago(0)}Z`]);
    expect(counts).toEqual({
      finished: emptied().size,
      emptied_at_twilio: emptied().size,
      outstanding: 0,
      emptied_here: 0,
      numbers_emptied_here: 0,
      unfinished: TEXTS - ENDED,
      left_alone: 0,
    });
  });

  test('comes again to a text that Twilio refuses for a reason of its own (20009), at the latest after six hours, for weeks', {
    timeout: 60_000,
  }, async () => {
    const { json } = await scene.service.post({ ...freshText(), receiver: '+447700900001' });
    const { uuid, twilio_sid: sid } = json;
    // Our row has ended, Twilio's message has not: time stands still there.
    await scene.service.query(
      "UPDATE message SET status = 'delivered', step = 'redact', due = now() AT TIME ZONE 'utc' WHERE uuid = $1",
      [uuid],
    );
    const triesOf = () => entriesOf(scene, 'update').filter((entry) => entry.sid === sid);
    // Recorded, too: time that goes on before that counts for the next one.
    const isTried = async (times: number) => {
      const rows = await scene.service.query('SELECT redaction_tries FROM message WHERE uuid = $1', [uuid]);
      return rows[0]?.redaction_tries === times;
    };
    await eventually(() => isTried(1));
    expect(triesOf()).toMatchObject([{ code: 20009 }]);
    for (let tries = 2; tries <= 14; tries += 1) {
      // The database's clock alone: at Twilio nothing happens.
      await scene.service.query("UPDATE driven_clock SET at = at + interval '6 hours 1 second'");
      await eventually(() => isTried(tries));
      expect(triesOf()).toHaveLength(tries);
    }
    await scene.service.query("UPDATE driven_clock SET at = at + interval '9 days'");
    await scene.pass(7 * HOUR_MS);
    await eventually(async () => (await scene.service.call(`/dhos/v1/sms/${uuid}`)).json.redacted);
    expect(triesOf().at(-1)).toMatchObject({ http: 200 });
  });
});
