import { describe, expect, test } from 'vitest';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { call, create, receiver, sender, simulateDriven } from './support.ts';

type Listed = { sid: string; body: string; status: string; error_code: number | null; date_sent: string | null };
type Page = { messages: Listed[]; next_page_uri: string | null; previous_page_uri: string | null };

async function list(simulator: Simulator, query = ''): Promise<Page> {
  const { status, json } = await call(simulator, `/Messages.json${query}`);
  expect(status).toBe(200);
  return json as unknown as Page;
}

/** Follows an address that a page gave, as it is. */
async function follow({ baseUrl, ...simulator }: Simulator, uri: string | null): Promise<Page> {
  const path = String(uri).replace(/^.*(?=\/Messages)/, '');
  return (await call({ baseUrl, ...simulator }, path)).json as unknown as Page;
}

async function createTexts(simulator: Simulator, from: number, to: number, changes = {}) {
  for (let n = from; n <= to; n++) await create(simulator, { Body: `text ${n}`, ...changes });
}

const bodies = ({ messages }: Page) => messages.map(({ body }) => body);
const texts = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, n) => `text ${from - n}`);

describe('a list', () => {
  test('has the shape of Twilio, the newest first', async () => {
    const simulator = await simulateDriven();
    await createTexts(simulator, 1, 2);
    const { json } = await call(simulator, '/Messages.json');
    const uri = `/2010-04-01/Accounts/${simulator.accountSid}/Messages.json?PageSize=50&Page=0`;
    expect(json).toEqual({
      messages: simulator.messages().reverse(),
      first_page_uri: uri,
      next_page_uri: null,
      previous_page_uri: null,
      page: 0,
      page_size: 50,
      start: 0,
      end: 1,
      uri,
    });
  });

  test('filters by receiver and by sender', async () => {
    const simulator = await simulateDriven();
    await create(simulator, { Body: 'a' });
    await create(simulator, { Body: 'b', To: '+447700900124' });
    await create(simulator, { Body: 'c', From: 'ACME' });
    expect(bodies(await list(simulator, `?To=${encodeURIComponent(receiver)}`))).toEqual(['c', 'a']);
    expect(bodies(await list(simulator, `?From=${encodeURIComponent(sender)}`))).toEqual(['b', 'a']);
    expect(bodies(await list(simulator, `?From=ACME&To=${encodeURIComponent('+447700900124')}`))).toEqual([]);
  });

  test('filters by the day and by the moment of sending', async () => {
    const simulator = await simulateDriven();
    await create(simulator, { Body: 'first' }); // 2026-01-01
    await simulator.advance(25 * 3_600_000);
    await create(simulator, { Body: 'second' }); // 2026-01-02
    await simulator.advance(60_000);
    expect(bodies(await list(simulator, '?DateSent=2026-01-01'))).toEqual(['first']);
    expect(bodies(await list(simulator, '?DateSent=2026-01-02T23:00:00Z'))).toEqual(['second']);
    expect(bodies(await list(simulator, '?DateSent%3C=2026-01-02'))).toEqual(['first']);
    expect(bodies(await list(simulator, '?DateSent%3E=2026-01-02'))).toEqual(['second']);
    expect(bodies(await list(simulator, '?DateSent>=2026-01-01&DateSent<=2026-01-03'))).toEqual(['second', 'first']);
    expect(bodies(await list(simulator, '?DateSent%3E=2026-01-01T00:00:00Z&DateSent%3C=2026-01-01T12:00:00Z'))).toEqual(
      ['first'],
    );
  });

  test('hides what has no date yet under any filter by date', async () => {
    const simulator = await simulateDriven();
    await create(simulator);
    expect((await list(simulator)).messages).toMatchObject([{ status: 'queued', date_sent: null }]);
    for (const query of ['DateSent=2026-01-01', 'DateSent%3E=2020-01-01', 'DateSent%3C=2030-01-01']) {
      expect((await list(simulator, `?${query}`)).messages).toEqual([]);
    }
  });

  test('lags: what is younger is not in it yet, though a fetch finds it', async () => {
    const simulator = await simulateDriven('list: { lag: 1h }');
    const { sid } = (await create(simulator)).json;
    await simulator.advance(3_599_000);
    expect((await list(simulator)).messages).toEqual([]);
    expect((await call(simulator, `/Messages/${sid}.json`)).status).toBe(200);
    await simulator.advance(1000);
    expect((await list(simulator)).messages).toMatchObject([{ sid, status: 'delivered' }]);
  });

  test.for([
    ['+447700900996', 21610],
    ['+447700900997', 21408],
    ['+447700900995', 21211],
    ['+15005550009', 21614],
    ['+15005550002', 21612],
  ] as const)('shows what was refused for its receiver %s as failed with %i', async ([To, code]) => {
    const simulator = await simulateDriven();
    await create(simulator, { To });
    expect((await list(simulator)).messages).toMatchObject([{ status: 'failed', error_code: code, date_sent: null }]);
    expect(simulator.messages()).toEqual([]);
  });

  test.for([{ To: '+447700900999' }, { From: '+15005550007' }, { Body: undefined }])(
    'does not show what was refused otherwise: %j',
    async (changes) => {
      const simulator = await simulateDriven();
      await create(simulator, changes);
      expect((await list(simulator)).messages).toEqual([]);
    },
  );

  test.for([
    ['?Limit=5', 20001, "Unknown parameter 'Limit'"],
    ['?Status=failed', 20001, "Unknown parameter 'Status'"],
    ['?PageSize=0', 20001, 'PageSize must be'],
    ['?PageSize=1001', 20001, 'PageSize must be'],
    ['?PageSize=many', 20001, 'PageSize must be'],
    ['?Page=1', 20001, 'PageToken is required for paging.'],
    ['?PageToken=x', 20001, 'Invalid PageToken.'],
    [`?PageToken=PASM${'0'.repeat(32)}`, 20001, 'Invalid PageToken.'],
    ['?DateSent=yesterday', 20001, "Parameter 'DateSent' must be a date"],
    ['?DateSent%3C=2026-13-01', 20001, "Parameter 'DateSent<' must be a date"],
    ['?To=%2B44&To=%2B45', 20001, "Parameter 'To' is given more than once."],
  ] as const)('with %s is refused', async ([query, code, message]) => {
    const answer = await call(await simulateDriven(), `/Messages.json${query}`);
    expect(answer).toMatchObject({ status: 400, json: { code, message: expect.stringContaining(message) } });
  });
});

describe('the pages of a list', () => {
  test('are 50 long, and lead on until the last', async () => {
    const simulator = await simulateDriven();
    await createTexts(simulator, 1, 60);
    const first = await list(simulator);
    const second = await follow(simulator, first.next_page_uri);
    expect(bodies(first)).toEqual(texts(60, 11));
    expect(bodies(second)).toEqual(texts(10, 1));
    expect(second).toMatchObject({ page: 1, start: 50, end: 59, next_page_uri: null });
  });

  test('stay what they were while new messages arrive', async () => {
    const simulator = await simulateDriven();
    await createTexts(simulator, 1, 6);
    const first = await list(simulator, '?PageSize=2');
    await createTexts(simulator, 7, 9);
    const second = await follow(simulator, first.next_page_uri);
    expect(bodies(second)).toEqual(texts(4, 3));
    await createTexts(simulator, 10, 12);
    expect(bodies(await follow(simulator, second.next_page_uri))).toEqual(texts(2, 1));
  });

  test('keep their filter', async () => {
    const simulator = await simulateDriven();
    await createTexts(simulator, 1, 3);
    await createTexts(simulator, 4, 6, { To: '+447700900124' });
    const first = await list(simulator, `?To=${encodeURIComponent(receiver)}&PageSize=2`);
    expect(bodies(first)).toEqual(texts(3, 2));
    expect(bodies(await follow(simulator, first.next_page_uri))).toEqual(texts(1, 1));
  });

  test('lead back', async () => {
    const simulator = await simulateDriven();
    await createTexts(simulator, 1, 6);
    const first = await list(simulator, '?PageSize=2');
    const second = await follow(simulator, first.next_page_uri);
    const third = await follow(simulator, second.next_page_uri);
    const again = await follow(simulator, third.previous_page_uri);
    expect(bodies(again)).toEqual(bodies(second));
    expect(bodies(await follow(simulator, again.previous_page_uri))).toEqual(bodies(first));
  });

  test('lead on from a message that was deleted meanwhile', async () => {
    const simulator = await simulateDriven();
    await createTexts(simulator, 1, 4);
    await simulator.advance(60_000);
    const first = await list(simulator, '?PageSize=2');
    await call(simulator, `/Messages/${first.messages[1]?.sid}.json`, { method: 'DELETE' });
    expect(bodies(await follow(simulator, first.next_page_uri))).toEqual(texts(2, 1));
  });
});
