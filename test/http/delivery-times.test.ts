import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { createKey, ouh } from '../support/keys.ts';
import { freshText, quiet, startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let ours: Record<string, string>;
let everybody: Record<string, string>;

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
  ours = (await createKey(service.databaseUrl, { tenant: ouh })).bearer;
  everybody = (await createKey(service.databaseUrl, { tenant: null })).bearer;
});
afterAll(() => service.stop());

const whole = { from: '2026-03-01T00:00:00Z', to: '2026-03-31T23:59:59.999Z' };
const ask = (query: Record<string, string>, headers = everybody) =>
  service.call(`/dhos/v1/delivery_times?${new URLSearchParams(query)}`, { headers });

/** A message that this service handed over and that its callback ended, put at another time. */
async function deliver(at: string, seconds: number, tenant = { 'x-trustomer': 'OUH', 'x-product': 'GDM' }) {
  const { json } = await service.post(freshText(), { ...everybody, ...tenant });
  await service.callback({ MessageSid: json.twilio_sid, MessageStatus: 'delivered' });
  await service.query(
    `UPDATE message SET created = $2::timestamp, handed_over = $2::timestamp, ended = $2::timestamp + $3 * interval '1 s'
     WHERE uuid = $1 AND ended IS NOT NULL AND handed_over IS NOT NULL`,
    [json.uuid, at, seconds],
  );
}

describe('GET /dhos/v1/delivery_times', () => {
  test('without deliveries: none counted, and no median', async () => {
    const answer = await ask(whole);
    expect([answer.status, answer.json]).toEqual([200, { count: 0, days: [] }]);
  });

  test('gives median and 95th percentile by UTC day and in all; a key of one tenant sees that tenant’s', async () => {
    for (const seconds of [1, 2, 3]) await deliver('2026-03-01 23:59:59.999', seconds);
    await deliver('2026-03-02 00:00:00', 10.5);
    await deliver('2026-03-02 12:00:00', 60, { 'x-trustomer': 'other', 'x-product': 'gdm' });
    const firstDay = { day: '2026-03-01', count: 3, median_s: 2, p95_s: 2.9 };
    const theirs = {
      count: 4,
      median_s: 2.5,
      p95_s: 9.375,
      days: [firstDay, { day: '2026-03-02', count: 1, median_s: 10.5, p95_s: 10.5 }],
    };
    expect((await ask(whole, ours)).json).toEqual(theirs);
    expect((await ask({ ...whole, trustomer_code: 'OUH', product_name: 'GDM' })).json).toEqual(theirs);
    expect((await ask(whole)).json).toMatchObject({ count: 5, median_s: 3, days: [firstDay, { count: 2 }] });
  });

  test('refuses a key of one tenant that names another, and what is no time', async () => {
    expectProblem(await ask({ ...whole, trustomer_code: 'other' }, ours), 403, /trustomer_code/);
    expectProblem(await ask({ ...whole, from: 'yesterday' }), 400, /from/);
    expectProblem(await ask({ to: whole.to }), 400, /from/);
    expectProblem(await ask({ ...whole, days: '7' }), 400, /days/);
  });
});
