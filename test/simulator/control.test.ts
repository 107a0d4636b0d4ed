import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { CannotStart } from '../../src/errors.ts';
import { hashText } from '../../src/simulator/draw.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { call, control, create, journalOf, receiveCallbacks, receiver, simulate, simulateDriven } from './support.ts';

describe('the judge', () => {
  test('tells what was accepted for each receiver, also behind a lost answer and also what was deleted', async () => {
    const simulator = await simulateDriven(
      'rules: [{ on: create, when: { nth: 2 }, do: { answer: reset, created: true } }]',
    );
    const first = await create(simulator, { Body: 'one' });
    await create(simulator, { Body: 'one' }).catch(() => {});
    await create(simulator, { Body: 'two', To: '+447700900124' });
    await create(simulator, { To: '+447700900996' });
    await simulator.advance(60_000);
    await call(simulator, `/Messages/${first.json.sid}.json`, { method: 'DELETE' });
    const accepted = [
      { receiver, texts: [{ text: hashText('one'), count: 2, sids: [first.json.sid, expect.stringMatching(/^SM/)] }] },
      { receiver: '+447700900124', texts: [{ text: hashText('two'), count: 1, sids: [expect.any(String)] }] },
    ];
    expect(simulator.judge.accepted()).toEqual(accepted);
    expect((await control(simulator, 'accepted')).json).toEqual(accepted);
    const asked = await control(simulator, `accepted?receiver=${encodeURIComponent('+447700900124')}`);
    expect(asked.json).toEqual(accepted.slice(1));
  });

  test('tells which caller’s id was accepted more than once', async () => {
    const simulator = await simulateDriven();
    const StatusCallback = (query: string) => `http://127.0.0.1:1/callback?${query}#rc=0`;
    await create(simulator, { StatusCallback: StatusCallback('m=one&a=1') });
    await create(simulator, { StatusCallback: StatusCallback('m=two&a=1') });
    await create(simulator, { StatusCallback: StatusCallback('m=one&a=2') });
    await create(simulator);
    await create(simulator);
    const sids = simulator.messages().map(({ sid }) => sid);
    const duplicates = [{ m: 'one', sids: [sids[0], sids[2]], attempts: ['1', '2'] }];
    expect(simulator.judge.duplicates()).toEqual(duplicates);
    expect((await control(simulator, 'duplicates')).json).toEqual(duplicates);
  });

  test('tells which messages still have their text', async () => {
    const simulator = await simulateDriven();
    const { sid } = (await create(simulator, { Body: 'one' })).json;
    await simulator.advance(60_000);
    await create(simulator, { Body: 'two' });
    expect(simulator.judge.unredacted()).toMatchObject([{ status: 'delivered' }, { status: 'queued' }]);
    await call(simulator, `/Messages/${sid}.json`, { form: { Body: '' } });
    expect((await control(simulator, 'unredacted')).json).toMatchObject([{ to: receiver, status: 'queued' }]);
  });

  test('tells how much was asked at once and in each minute', async () => {
    const simulator = await simulateDriven('rules: [{ on: create, do: { answerAfter: 1s } }]');
    const answers = [1, 2, 3].map((n) => create(simulator, { Body: `text ${n}` }));
    await expect.poll(() => simulator.messages()).toHaveLength(3);
    await simulator.advance(60_000);
    await Promise.all(answers);
    await create(simulator, { Boddy: 'x' });
    await call(simulator, '/Messages.json');
    expect((await control(simulator, 'load')).json).toEqual({
      peakInFlight: 3,
      requests: 5,
      busiestMinute: 3,
      perMinute: [
        { minute: '00:00', accepted: 3, refused: 0 },
        { minute: '00:01', accepted: 1, refused: 1 },
      ],
    });
  });
});

describe('the journal', () => {
  test('has an entry for every request and every callback', async () => {
    const simulator = await simulateDriven();
    const server = await receiveCallbacks();
    const { sid } = (await create(simulator, { StatusCallback: `${server.url}?m=me&a=1` })).json;
    await simulator.advance(60_000);
    await call(simulator, `/Messages/${sid}.json`);
    await call(simulator, `/Messages/${sid}.json`, { form: { Body: '' } });
    await call(simulator, `/Messages/${sid}.json`, { method: 'DELETE' });
    await call(simulator, '/Messages.json?PageSize=5');
    await call(simulator, '/Calls.json');
    await call({ ...simulator, authToken: 'wrong' }, '/Messages.json');
    await create(simulator, { Body: '' });
    expect(journalOf(simulator)).toMatchObject([
      {
        n: 1,
        at: '00:00:00.000',
        kind: 'create',
        to: receiver,
        text: hashText('Hello'),
        sid,
        m: 'me',
        a: '1',
        http: 201,
      },
      { n: 2, kind: 'callback', sid, status: 'sending', attempt: 1, outcome: 204, url: '/callback?m=me&a=1' },
      { n: 3, kind: 'callback', sid, status: 'sent' },
      { n: 4, kind: 'callback', sid, status: 'delivered' },
      { n: 5, at: '00:01:00.000', kind: 'fetch', to: receiver, sid, http: 200 },
      { n: 6, kind: 'update', sid, http: 200 },
      { n: 7, kind: 'delete', sid, http: 204 },
      { n: 8, kind: 'list', asked: 'PageSize=5', http: 200 },
      { n: 9, kind: 'other', asked: expect.stringMatching(/^GET .*Calls.json$/), http: 404, code: 20404 },
      { n: 10, kind: 'list', http: 401, code: 20003 },
      { n: 11, kind: 'create', to: receiver, http: 400, code: 21602 },
    ]);
  });

  test('is given out as lines of JSON, of one kind if asked', async () => {
    const simulator = await simulateDriven();
    for (let n = 0; n < 2500; n++) await create(simulator, { Body: `text ${n}` });
    await call(simulator, '/Messages.json');
    const response = await fetch(`${simulator.baseUrl}/_simulator/journal`);
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    expect(await response.text()).toBe(simulator.journal());
    expect(journalOf(simulator).map(({ n }) => n)).toEqual(Array.from({ length: 2501 }, (_, n) => n + 1));
    const lists = await (await fetch(`${simulator.baseUrl}/_simulator/journal?kind=list`)).text();
    expect(JSON.parse(lists)).toMatchObject({ n: 2501, kind: 'list' });
  });

  test('is appended to a file', async () => {
    const journalFile = path.join(tmpdir(), `journal-${process.pid}-${performance.now()}.ndjson`);
    const simulator = await startSimulator({ speed: 0, journalFile });
    await create(simulator);
    await create(simulator);
    const journal = simulator.journal();
    await simulator.stop();
    expect(journal.split('\n')).toHaveLength(3);
    expect(readFileSync(journalFile, 'utf8')).toBe(journal);
    await (await startSimulator({ journalFile })).stop();
    expect(readFileSync(journalFile, 'utf8')).toBe(journal);
  });

  test('that cannot be written is one sentence', async () => {
    await expect(startSimulator({ journalFile: '/nowhere/journal' })).rejects.toThrow(CannotStart);
    await expect(startSimulator({ journalFile: '/nowhere/journal' })).rejects.toThrow(
      'The journal /nowhere/journal cannot',
    );
  });
});

describe('the control plane', () => {
  test('tells how things stand', async () => {
    const simulator = await simulateDriven('about: one of a kind');
    await create(simulator);
    await simulator.advance(60_000);
    await create(simulator);
    expect((await control(simulator, 'state')).json).toEqual({
      scenario: 'one of a kind',
      seed: 7,
      clock: { now: '2026-01-01T00:01:00.000Z', elapsed: '00:01:00.000', isDriven: true, eventsPending: 1 },
      inFlight: 0,
      journalEntries: 2,
      messages: { accepted: 2, 'now delivered': 1, 'now queued': 1 },
    });
  });

  test('shows the callbacks with their forms', async () => {
    const simulator = await simulateDriven();
    const server = await receiveCallbacks();
    await create(simulator, { StatusCallback: server.url });
    await simulator.advance(60_000);
    const { json } = await control(simulator, 'callbacks');
    expect(json).toEqual(simulator.callbacks());
    expect(json[2]).toMatchObject({ url: server.url, attempt: 1, outcome: 204, form: { MessageStatus: 'delivered' } });
  });

  test('drives the clock, and answers when all that was due has happened', async () => {
    const simulator = await simulateDriven();
    await create(simulator);
    const { status, json } = await control(simulator, 'clock', '{"advance":"10m"}');
    expect({ status, json }).toMatchObject({ status: 200, json: { elapsed: '00:10:00.000', eventsPending: 0 } });
    expect(simulator.messages()).toMatchObject([{ status: 'delivered' }]);
    expect((await control(simulator, 'clock')).json).toEqual(json);
  });

  test.for(['', '{"advance":10}', '{"advance":"soon"}', '{"advnace":"1s"}'])(
    'does not understand the clock set to %j',
    async (body) => {
      const answer = await control(await simulateDriven(), 'clock', body);
      expect(answer).toMatchObject({ status: 400, json: { error: expect.stringContaining('{"advance":"10m"}') } });
    },
  );

  test('cannot drive a clock that runs', async () => {
    const answer = await control(await simulate(), 'clock', '{"advance":"1s"}');
    expect(answer).toMatchObject({ status: 409, json: { error: expect.stringContaining('--speed 0') } });
  });

  test('takes a scenario as YAML or JSON, whose moments count from now', async () => {
    const simulator = await simulateDriven();
    await simulator.advance(3_600_000);
    const yaml = 'rules:\n  - on: create\n    when: { from: 1m }\n    do: { answer: 503 }';
    expect((await control(simulator, 'scenario', yaml)).status).toBe(200);
    expect((await create(simulator)).status).toBe(201);
    await simulator.advance(60_000);
    expect((await create(simulator)).status).toBe(503);
    await control(simulator, 'scenario', '{"rules":[{"on":"create","do":{"answer":500}}]}');
    expect((await create(simulator)).status).toBe(500);
  });

  test('refuses a scenario by line and field, and keeps the one it has', async () => {
    const simulator = await simulateDriven('rules: [{ on: create, do: { answer: 503 } }]');
    const answer = await control(simulator, 'scenario', 'rules:\n  - on: craete');
    expect(answer).toMatchObject({ status: 400, json: { error: expect.stringContaining('scenario:2: rules[1].on') } });
    expect((await create(simulator)).status).toBe(503);
    expect((await control(simulator, 'scenario', 'signWith: secondary')).status).toBe(400);
  });

  test('begins anew: no messages, no journal, the first scenario and the first moment', async () => {
    const simulator = await simulateDriven('rules: [{ on: create, when: { nth: 2 }, do: { answer: 503 } }]');
    await create(simulator);
    await create(simulator);
    await simulator.advance(60_000);
    const before = simulator.journal();
    await control(simulator, 'scenario', '{}');
    expect((await control(simulator, 'reset', '')).json).toMatchObject({
      journalEntries: 0,
      clock: { elapsed: '00:00:00.000' },
    });
    expect([simulator.messages(), simulator.callbacks(), simulator.journal()]).toEqual([[], [], '']);
    await create(simulator);
    await create(simulator);
    expect(simulator.journal()).toBe(before);
  });

  test.for([
    ['state', 'x'],
    ['nothing', undefined],
  ] as const)('tells what there is when asked for %s', async ([address, body]) => {
    const answer = await control(await simulateDriven(), address, body);
    expect(answer).toMatchObject({ status: 404, json: { addresses: { 'GET journal': expect.any(String) } } });
  });

  test('lists its addresses', async () => {
    expect(Object.keys((await control(await simulateDriven(), '')).json.addresses)).toContain('POST reset');
  });
});
