import { describe, expect, test } from 'vitest';
import { CannotStart } from '../../src/errors.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { basic, call, create, receiver, sender, simulate } from './support.ts';

const refusals: [what: string, changes: Record<string, string | undefined>, code: number][] = [
  ['no receiver', { To: undefined }, 21604],
  ['an empty receiver', { To: '' }, 21604],
  ['no sender', { From: undefined }, 21603],
  ['no text', { Body: undefined }, 21602],
  ['an empty text', { Body: '' }, 21602],
  ['a text of 1,601 characters', { Body: 'a'.repeat(1601) }, 21617],
  ['a receiver without +', { To: '447700900123' }, 21211],
  ['a receiver of national form', { To: '07700 900123' }, 21211],
  ['a receiver too short for its country', { To: '+4477009' }, 21211],
  ['a receiver of no country', { To: '+999123456' }, 21211],
  ['a receiver in letters', { To: 'somebody' }, 21211],
  ['a sender too short for its country', { From: '+4477009' }, 21212],
  ['a sender of twelve letters', { From: 'TwelveLetter' }, 21212],
  ['a sender of digits too many for a short code', { From: '123456789' }, 21212],
  ['a Messaging Service as sender', { From: `MG${'0'.repeat(32)}` }, 21212],
  ['a Messaging Service that is none', { MessagingServiceSid: 'MG1' }, 21701],
  ['a relative callback URL', { StatusCallback: '/callback' }, 21609],
  ['a callback URL of another scheme', { StatusCallback: 'ftp://example.com/' }, 21609],
  ['a callback host with an underscore', { StatusCallback: 'http://a_b.example.com/' }, 21609],
  ['a validity period of 0', { ValidityPeriod: '0' }, 21624],
  ['a validity period of 36,001', { ValidityPeriod: '36001' }, 21624],
  ['a validity period in words', { ValidityPeriod: 'long' }, 21624],
  ['a misspelt field', { StatusCallBack: 'http://example.com/' }, 20001],
  ['a field that Twilio has and the simulator has not', { MediaUrl: 'http://example.com/a.png' }, 400],
];

describe('a create', () => {
  test.for(refusals)('with %s is refused, code %3$i', async ([, changes, code]) => {
    const simulator = await simulate();
    expect(await create(simulator, changes)).toMatchObject({
      status: 400,
      json: { code, status: 400, message: expect.any(String), more_info: `https://www.twilio.com/docs/errors/${code}` },
    });
    expect(simulator.messages()).toEqual([]);
  });

  test('with a misspelt field is told its name', async () => {
    const { json } = await create(await simulate(), { Boddy: 'Hello' });
    expect(json.message).toContain("'Boddy'");
  });

  test('with a field given twice is refused', async () => {
    const form = new URLSearchParams([
      ['To', receiver],
      ['To', receiver],
      ['From', sender],
      ['Body', 'Hello'],
    ]);
    expect(await call(await simulate(), '/Messages.json', { form })).toMatchObject({ status: 400 });
  });

  test.for([
    { To: '+12025550123' },
    { From: 'ACME 24_7' },
    { From: '60777' },
    { Body: 'a'.repeat(1600) },
    { ValidityPeriod: '36000' },
    { SmartEncoded: 'true' },
  ])('with %j passes', async (changes) => {
    expect(await create(await simulate(), changes)).toMatchObject({ status: 201 });
  });
});

describe('a request', () => {
  test('with a body that is no form is answered 415 in the shape of Twilio', async () => {
    const init = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } };
    const answer = await call(await simulate(), '/Messages.json', init);
    expect(answer).toMatchObject({ status: 415, json: { code: 415, status: 415, more_info: expect.any(String) } });
  });

  test('without a body lacks its receiver', async () => {
    const answer = await call(await simulate(), '/Messages.json', { method: 'POST' });
    expect(answer).toMatchObject({ status: 400, json: { code: 21604 } });
  });

  test('over 64 KiB is answered 413', async () => {
    expect(await create(await simulate(), { Body: 'a'.repeat(70_000) })).toMatchObject({ status: 413 });
  });

  test.for([
    ['another token', basic('AC00000000000000000000000051111a70', 'wrong')],
    ['an unknown user', basic('SKunknown', 'secret')],
    ['no password', basic('nobody', '')],
    ['junk', 'Bearer x'],
  ] as const)('with %s is answered 401 as by Twilio', async ([, authorization]) => {
    const simulator = await simulate();
    const answer = await call(simulator, '/Messages.json', { method: 'POST', headers: { authorization } });
    expect(answer.status).toBe(401);
    expect(answer.json).toEqual({
      code: 20003,
      message: 'Authenticate',
      more_info: 'https://www.twilio.com/docs/errors/20003',
      status: 401,
    });
  });

  test("for another account's messages finds nothing", async () => {
    const simulator = await simulate();
    const foreign = { ...simulator, accountSid: `AC${'f'.repeat(32)}` };
    const headers = { authorization: basic(simulator.accountSid, simulator.authToken) };
    const answer = await call(foreign, '/Messages.json', { method: 'POST', headers });
    expect(answer).toMatchObject({ status: 404, json: { code: 20404 } });
  });

  test.for(['/Messages/SM00000000000000000000000000000000.json', '/Calls.json', '/Messages', '/%ZZ'])(
    'for %s is answered 404, code 20404',
    async (path) => {
      const { status, json } = await call(await simulate(), path);
      expect(status).toBe(404);
      expect(json).toMatchObject({ code: 20404, message: expect.stringContaining(`${path} was not found`) });
    },
  );
});

test('a port in use is one sentence', async () => {
  const simulator = await simulate();
  const port = Number(new URL(simulator.baseUrl).port);
  await expect(startSimulator({ port })).rejects.toThrow(CannotStart);
  await expect(startSimulator({ port })).rejects.toThrow(/the port is in use/);
});
