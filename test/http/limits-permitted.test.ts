import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canaries, canaryText, RECEIVER } from '../support/canaries.ts';
import { expectProblem } from '../support/http.ts';
import { freshText, quiet, startTestService, type TestService, tenant } from '../support/service.ts';
import { type FakeTwilio, isCreate, startFakeTwilio, twilioAt } from '../support/twilio.ts';

let twilio: FakeTwilio;
let service: TestService;

beforeAll(async () => {
  twilio = await startFakeTwilio();
  service = await startTestService({
    ...twilioAt(twilio.url),
    ALLOWED_COUNTRIES: 'us,gb',
    ALLOWED_SENDERS: 'OUH/GDM=+447700900001|Clinic',
  });
});
afterAll(async () => {
  await service.stop();
  await twilio.stop();
});

const US = '+12025550100';
const CANADA = '+12505550123';
const JAMAICA = '+18765550100';
const NOBODYS_PLAN = '+447700900123';
const rows = async () => (await service.query('SELECT FROM message')).length;
const keys = async () => (await service.query('SELECT FROM idempotency_key')).length;
const refusedBy = async (rule: string) =>
  Number(
    new RegExp(`^sms_refused_total\\{rule="${rule}"\\} (\\d+)`, 'm').exec((await service.call('/metrics')).text)?.[1] ??
      0,
  );
const another = (env: Record<string, string>) =>
  startTestService({ ...twilioAt(twilio.url), ...env }, { databaseUrl: service.databaseUrl });

const countryRefusal = 'ALLOWED_COUNTRIES: nothing is sent from here to the country of the receiver.';
const senderRefusal = 'ALLOWED_SENDERS: this tenant may not use this sender.';

describe('ALLOWED_COUNTRIES', () => {
  test.each([
    ['in E.164', US],
    ['as it is dialled from here', '001 202 555 0100'],
    ['as an address', 'tel:+1-202-555-0100'],
  ])('a number of a country that is on the list, %s, is sent to', async (_how, receiver) => {
    expect((await service.post({ ...freshText(), receiver })).status).toBe(200);
  });

  test.each([
    ['of another country', '+4930123456'],
    ['of another country that shares the code +1', CANADA],
    ['of an island that shares the code +1', JAMAICA],
    ['of an island that shares the code +44', '+441534555555'],
    ['of a country that shares the code +7', '+77012345678'],
    ['of no country', '+80012345678'],
    ['that fits no plan, with a code that countries share which are not on the list', NOBODYS_PLAN],
  ])('a number %s is 403; nothing is recorded or sent, its key is free', async (_what, receiver) => {
    const [before, sent, counted] = [await rows(), twilio.asked.filter(isCreate).length, await refusedBy('country')];
    const headers = { ...tenant, 'idempotency-key': `country ${receiver}` };
    const text = { ...freshText(), receiver };
    const answer = await service.post(text, headers);
    expectProblem(answer, 403, countryRefusal);
    expect(answer.headers.get('retry-after')).toBe(null);
    expectProblem(await service.post(text, { ...headers, prefer: 'respond-async' }), 403, countryRefusal);
    expect([await rows(), twilio.asked.filter(isCreate).length, await keys()]).toEqual([before, sent, 0]);
    expect(await refusedBy('country')).toBe(counted + 2);
    // The same key may be used for what is allowed.
    expect((await service.post({ ...text, receiver: US }, headers)).status).toBe(200);
    await service.query('DELETE FROM idempotency_key');
  });

  test('a number that fits no plan is sent to when every country that shares its code is on the list', async () => {
    const british = await another({ ALLOWED_COUNTRIES: 'GB,GG,IM,JE' });
    expect((await british.post({ ...freshText(), receiver: NOBODYS_PLAN })).status).toBe(200);
    expectProblem(await british.post({ ...freshText(), receiver: US }), 403, countryRefusal);
    await british.stop();
  });

  test('what cannot be a number is 400 before any country is asked about', async () => {
    expectProblem(await service.post({ ...freshText(), receiver: '1' }), 400, /^receiver: /);
  });

  test('unset, or under TWILIO_DISABLED, every country is sent to', async () => {
    for (const env of [twilioAt(twilio.url), { ...quiet, ALLOWED_COUNTRIES: 'US' }]) {
      const open = await startTestService(env, { databaseUrl: service.databaseUrl });
      for (const receiver of [CANADA, NOBODYS_PLAN]) {
        expect((await open.post({ ...freshText(), receiver })).status).toBe(200);
      }
      expect(open.logged()).not.toContain('ALLOWED_COUNTRIES');
      await open.stop();
    }
  });

  test('unset in production: one line warns at the start', async () => {
    const env = {
      ENVIRONMENT: 'PRODUCTION',
      AUTH_MODE: 'none',
      COUNTRY_CODE: 'GB',
      ...twilioAt(twilio.url),
      TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`,
    };
    const open = await another(env);
    expect(open.logged().match(/ALLOWED_COUNTRIES is not set/g)).toHaveLength(1);
    await open.stop();
    const closed = await another({ ...env, ALLOWED_COUNTRIES: 'GB' });
    expect(closed.logged()).not.toContain('ALLOWED_COUNTRIES');
    await closed.stop();
  });
});

describe('ALLOWED_SENDERS', () => {
  test.each(['+447700900001', 'Clinic'])('the tenant may send from %s, which is on its list', async (sender) => {
    expect((await service.post({ ...freshText(), receiver: US, sender })).status).toBe(200);
  });

  test.each(['+447700900002', 'clinic', 'Clinic ', '07700 900001', 'MG0123456789abcdef0123456789abcdef'])(
    'from %s it may not: 403; nothing is recorded, its key is free',
    async (sender) => {
      const before = await rows();
      const headers = { 'x-trustomer': 'ouh', 'x-product': 'Gdm', 'idempotency-key': 'sender' };
      expectProblem(await service.post({ ...freshText(), receiver: US, sender }, headers), 403, senderRefusal);
      expect([await rows(), await keys()]).toEqual([before, 0]);
    },
  );

  test('a tenant that is not named may use any', async () => {
    const other = { 'x-trustomer': 'TVH', 'x-product': 'GDM' };
    expect((await service.post({ ...freshText(), receiver: US, sender: 'Anybody' }, other)).status).toBe(200);
  });
});

test('the repeat of a request is answered with its message, also when a rule that came later would refuse it', async () => {
  const open = await another({});
  const text = { ...freshText(), receiver: CANADA };
  const headers = { ...tenant, 'idempotency-key': 'before the rule' };
  const first = await open.post(text, headers);
  await open.stop();
  const again = await service.post(text, headers);
  expect([again.status, again.json.uuid, again.headers.get('idempotency-replayed')]).toEqual([
    200,
    first.json.uuid,
    'true',
  ]);
  expectProblem(await service.post({ ...text, content: 'other' }, headers), 422, /Idempotency-Key/);
});

test('neither an answer nor the log repeats a number, a sender or a text', async () => {
  const answers = [
    await service.post({ sender: 'Tweety', receiver: US, content: canaryText() }),
    await service.post({ sender: 'Clinic', receiver: RECEIVER, content: canaryText() }),
  ];
  for (const answer of answers) {
    expect(answer.status).toBe(403);
    expect(answer.text).not.toMatch(canaries);
  }
  expect(service.logged()).not.toMatch(canaries);
});
