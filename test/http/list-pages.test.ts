import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from '../support/http.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { type Answer, startTestService, type TestService } from '../support/service.ts';

let service: TestService;

beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());

const ofTenant = (trustomer: string, product = 'gdm') => ({ 'x-trustomer': trustomer, 'x-product': product });
const get = (path: string, headers: Record<string, string>) => service.call(path, { headers });
const idsOf = (answer: Answer): string[] => answer.json.map(({ uuid }: { uuid: string }) => uuid);
/** The address of the next page as an HTTP client finds it, or null. */
const nextOf = ({ headers }: Answer) => /^<([^>]+)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1] ?? null;

/** Follows `Link` from page to page to the end; `between` is told of each page. */
async function readPages(
  path: string,
  headers: Record<string, string>,
  between = async (_page: number, _last: string | undefined) => {},
) {
  const pages: string[][] = [];
  for (let next: string | null = path; next !== null; ) {
    const answer: Answer = await get(next, headers);
    expect(answer.status).toBe(200);
    pages.push(idsOf(answer));
    next = nextOf(answer);
    await between(pages.length, idsOf(answer).at(-1));
  }
  return pages;
}

/** `count` rows of a tenant, `perMoment` of them in each microsecond. */
const insertMany = (trustomer: string, count: number, perMoment = 1) =>
  service.query(
    `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, trustomer_code, product_name)
     SELECT gen_random_uuid(), timestamp '2026-01-01' + (n / $3::int) * interval '1 microsecond', 'x', now(), 'x', 's',
       CASE WHEN n % 2 = 0 THEN '+447700900100' ELSE '+447700900101' END, 'c', 'sent', $1, 'gdm'
     FROM generate_series(1, $2::int) AS n`,
    [trustomer, count, perMoment],
  );

describe('Pages of the list', () => {
  test('together are the whole list in its order, also where many rows are of one microsecond', async () => {
    await insertMany('whole', 107, 10);
    const whole = idsOf(await get('/dhos/v1/sms', ofTenant('whole')));
    const pages = await readPages('/dhos/v1/sms?limit=10', ofTenant('whole'));
    expect(pages.map(({ length }) => length)).toEqual([...Array(10).fill(10), 7]);
    expect(pages.flat()).toEqual(whole);
  });

  test('there is no next one after exactly the last row, nor without a limit', async () => {
    await insertMany('exact', 20);
    expect(await readPages('/dhos/v1/sms?limit=10', ofTenant('exact'))).toHaveLength(2);
    expect(nextOf(await get('/dhos/v1/sms?limit=20', ofTenant('exact')))).toBeNull();
    expect(nextOf(await get('/dhos/v1/sms?limit=0', ofTenant('exact')))).toBeNull();
    expect(nextOf(await get('/dhos/v1/sms', ofTenant('exact')))).toBeNull();
  });

  test('pages of more than 1,000 are streamed and lead on all the same', async () => {
    await insertMany('long', 2_600, 7);
    const pages = await readPages('/dhos/v1/sms?limit=1200', ofTenant('long'));
    expect(pages.map(({ length }) => length)).toEqual([1200, 1200, 200]);
    expect(pages.flat()).toEqual(idsOf(await get('/dhos/v1/sms', ofTenant('long'))));
    expect(nextOf(await get('/dhos/v1/sms?limit=2600', ofTenant('long')))).toBeNull();
  });

  test('a page has an ETag and the same cursor each time', async () => {
    await insertMany('etag', 5);
    const [one, two] = [
      await get('/dhos/v1/sms?limit=2', ofTenant('etag')),
      await get('/dhos/v1/sms?limit=2', ofTenant('etag')),
    ];
    expect(one.headers.get('etag')).toMatch(/^"/);
    expect(nextOf(one)).toBe(nextOf(two));
  });

  test('the limit may change from page to page, and without one the rest comes at once', async () => {
    await insertMany('limits', 9);
    const first = await get('/dhos/v1/sms?limit=2', ofTenant('limits'));
    const rest = nextOf(first)?.replace('limit=2&', '') ?? '';
    const whole = idsOf(await get('/dhos/v1/sms', ofTenant('limits')));
    expect([...idsOf(first), ...idsOf(await get(rest, ofTenant('limits')))]).toEqual(whole);
  });

  test('keep the filters, and the address of the next page tells no number', async () => {
    await insertMany('filtered', 30);
    const path = `/dhos/v1/sms?limit=4&status=sent&receiver_e164=${encodeURIComponent('07700 900100')}`;
    const pages = await readPages(path, ofTenant('filtered'));
    expect(pages.flat()).toHaveLength(15);
    const next = nextOf(await get(path, ofTenant('filtered'))) ?? '';
    const cursor = new URL(next, service.baseUrl).searchParams.get('cursor') ?? '';
    for (const told of [next, Buffer.from(cursor, 'base64url').toString('latin1')]) {
      expect(told).not.toMatch(/7700|900100|receiver/);
    }
  });

  test('neither skip nor repeat a row while others are inserted and deleted', async () => {
    const headers = ofTenant('busy');
    await insertMany('busy', 400, 3);
    const before = idsOf(await get('/dhos/v1/sms', headers));
    let isReading = true;
    let written = 0;
    const writer = (async () => {
      while (isReading) {
        written += 1;
        // Newer than all, within the rows of a page, and older than all.
        for (const created of [new Date().toISOString(), '2026-01-01 00:00:00.00005', '2020-01-01']) {
          await insertOriginalRow(service, { trustomer_code: 'busy', created });
        }
      }
    })();
    const pages = await readPages('/dhos/v1/sms?limit=10', headers, async (page, last) => {
      // On the place of a row that is gone the next page begins all the same.
      if (page % 5 === 0) await service.call(`/dhos/v1/sms/${last}`, { method: 'DELETE', headers });
    });
    isReading = false;
    await writer;
    const seen = pages.flat();
    expect(written).toBeGreaterThan(0);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((uuid) => before.includes(uuid))).toEqual(before);
  });
});

describe('Cursors', () => {
  const refused = 'cursor: is not one that a list of this tenant gave out.';
  let cursor: string;
  beforeAll(async () => {
    await insertMany('cursors', 10);
    const answer = await get('/dhos/v1/sms?limit=2&status=sent', ofTenant('cursors'));
    cursor = new URL(nextOf(answer) ?? '', service.baseUrl).searchParams.get('cursor') ?? '';
  });
  const use = (given: string, headers = ofTenant('cursors'), more = '') =>
    get(`/dhos/v1/sms?cursor=${encodeURIComponent(given)}${more}`, headers);

  test('of another trust or product are refused', async () => {
    expect((await use(cursor)).json).toHaveLength(8);
    expectProblem(await use(cursor, ofTenant('other')), 400, refused);
    expectProblem(await use(cursor, ofTenant('cursors', 'other')), 400, refused);
  });

  test('may come with the filters of their list, and with no others', async () => {
    expect((await use(cursor, ofTenant('cursors'), '&status=sent')).json).toHaveLength(8);
    const differs = "is not what the cursor's list was asked for.";
    expectProblem(await use(cursor, ofTenant('cursors'), '&status=failed'), 400, `status: ${differs}`);
    expectProblem(await use(cursor, ofTenant('cursors'), '&receiver=%2B447700900100'), 400, `receiver: ${differs}`);
  });

  test('with any one character changed, missing or added are refused', async () => {
    const swap = (n: number) => cursor.slice(0, n) + (cursor[n] === 'A' ? 'B' : 'A') + cursor.slice(n + 1);
    const damaged = [
      ...Array.from(cursor, (_character, n) => swap(n)),
      cursor.slice(1),
      cursor.slice(0, -1),
      `${cursor}A`,
    ];
    for (const given of damaged) expectProblem(await use(given), 400, refused);
  });

  test.each([
    ['nothing', ''],
    ['a word', 'next'],
    ['JSON', '{"created":"2026-01-01","uuid":"x"}'],
    ['base64url of JSON', Buffer.from('["2026-01-01","x",{}]').toString('base64url')],
    ['SQL', "' OR true --"],
    ['padding', 'AAAA===='],
    ['many zeros', 'A'.repeat(9_000)],
  ])('that are %s are refused', async (_what, given) => {
    expectProblem(await use(given), 400, refused);
  });

  test('that are longer than any are refused', async () => {
    expectProblem(await use('A'.repeat(10_001)), 400, 'cursor: must not be longer than 10000 characters.');
  });
});
