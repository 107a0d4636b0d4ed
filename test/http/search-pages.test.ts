import { afterAll, beforeAll, expect, test } from 'vitest';
import { insertOriginalRow } from '../support/rows.ts';
import { quiet, startTestService, type TestService } from '../support/service.ts';

let service: TestService;

beforeAll(async () => {
  service = await startTestService(quiet);
});
afterAll(() => service.stop());

const search = async (body: unknown) => {
  const answer = await service.call('/dhos/v1/sms_search', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.status).toBe(200);
  return answer.json as { messages: { uuid: string }[]; next?: string };
};

/** From page to page to the end; `between` is told how many there were. */
async function readPages(body: object, limit: number, between = async (_page: number) => {}) {
  const ids: string[] = [];
  for (let page = 1, next: string | undefined; ; page += 1) {
    const answer = await search(next === undefined ? { ...body, limit } : { cursor: next, limit });
    ids.push(...answer.messages.map(({ uuid }) => uuid));
    if (answer.next === undefined) return ids;
    next = answer.next;
    await between(page);
  }
}

/** 300 rows over three tenants, seven in each microsecond. */
const insertMany = (trust: string) =>
  service.query(
    `INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, receiver_e164, content, status,
                          error_code, trustomer_code, product_name)
     SELECT gen_random_uuid(), timestamp '2026-01-01' + (n / 7) * interval '1 microsecond', 'x', now(), 'x', 's',
       '+447700900123', '+447700900123', 'c', (ARRAY['failed', 'sent', 'odd'])[1 + n % 3],
       CASE WHEN n % 3 = 0 THEN '30003' END, $1, 'p' || n % 2
     FROM generate_series(1, 300) AS n`,
    [trust],
  );
const idsInOrder = async (trust: string, condition = 'true') =>
  (
    await service.query<{ uuid: string }>(
      `SELECT uuid FROM message WHERE trustomer_code = $1 AND deleted IS NULL AND ${condition} ORDER BY created DESC, uuid`,
      [trust],
    )
  ).map(({ uuid }) => uuid);

const kinds: [string, object, string][] = [
  ['by nothing', {}, 'true'],
  ['by a tenant', { product_name: 'p1' }, "product_name = 'p1'"],
  ['by statuses', { status: ['failed', 'odd'] }, "status IN ('failed', 'odd')"],
  ['by a code', { error_code: ['30003'] }, "error_code = '30003'"],
  ['by a code and a status', { error_code: ['30003'], status: ['failed'] }, "error_code = '30003'"],
  ['by a number', { q: '07700 900123' }, 'true'],
  ['by last digits', { q: '0123', status: ['sent'] }, "status = 'sent'"],
  [
    'by a time',
    { from: '2026-01-01T00:00:00.000010Z', to: '2026-01-01T00:00:00.000030Z' },
    "created BETWEEN '2026-01-01 00:00:00.00001' AND '2026-01-01 00:00:00.00003'",
  ],
];

test.each(kinds)(
  'pages of a search %s are all of it in its order, also where rows are of one microsecond',
  async (what, body, condition) => {
    const trust = what.replaceAll(' ', '-');
    await insertMany(trust);
    const expected = await idsInOrder(trust, condition);
    expect(expected.length).toBeGreaterThan(20);
    for (const limit of [3, 50, 200])
      expect(await readPages({ ...body, trustomer_code: trust }, limit)).toEqual(expected);
  },
);

test('pages over everybody are in the same order', async () => {
  const all = await service.query<{ uuid: string }>(
    'SELECT uuid FROM message WHERE deleted IS NULL ORDER BY created DESC, uuid',
  );
  expect(await readPages({}, 111)).toEqual(all.map(({ uuid }) => uuid));
});

test('pages neither skip nor repeat a row while others are inserted and deleted', async () => {
  for (const body of [{}, { status: ['sent', 'failed'] }, { q: '0123' }, { error_code: ['30003'] }]) {
    const trust = `busy-${Object.keys(body).join()}`;
    await insertMany(trust);
    const unwritten = new Set(await idsInOrder(trust));
    const deleted = new Set<string>();
    let isReading = true;
    const writer = (async () => {
      while (isReading) {
        // Newer than all, within the rows of a page, and older than all.
        for (const created of ['2026-02-01T00:00:00', '2026-01-01T00:00:00.000020', '2025-01-01T00:00:00'])
          await insertOriginalRow(service, { trustomer_code: trust, product_name: 'p0', created, status: 'sent' });
        const [gone] = await service.query<{ uuid: string }>(
          `UPDATE message SET deleted = now() WHERE uuid = (
             SELECT uuid FROM message WHERE trustomer_code = $1 AND created_by_ = 'x' AND deleted IS NULL ORDER BY random() LIMIT 1)
           RETURNING uuid`,
          [trust],
        );
        if (gone !== undefined) deleted.add(gone.uuid);
      }
    })();
    const read = await readPages({ ...body, trustomer_code: trust }, 9);
    isReading = false;
    await writer;
    expect(new Set(read).size).toBe(read.length);
    expect(deleted.size).toBeGreaterThan(0);
    const condition = 'status' in body ? "status <> 'odd'" : 'error_code' in body ? "error_code = '30003'" : 'true';
    for (const uuid of await idsInOrder(trust, `created_by_ = 'x' AND ${condition}`)) {
      expect(unwritten.has(uuid)).toBe(true);
      expect(read).toContain(uuid);
    }
  }
});
