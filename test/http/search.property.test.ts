import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKey } from '../support/keys.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { quiet, startTestService, type TestService } from '../support/service.ts';

/** What anybody may ask, over tenants whose names are alike: nobody finds a message of another. */

const TAKES_MS = 60_000;
const trusts = ['ouh', 'ouh2', 'öuh', "o'uh", '{ouh}', '%'];
const products = ['gdm', 'gd', 'send'];
const statuses = ['delivered', 'failed', 'odd'];
const codes = ['30003', '30007'];

type Row = { uuid: string; sid: string; trust: string; product: string };
let service: TestService;
const rows: Row[] = [];
const bearers = new Map<string, Record<string, string>>();

beforeAll(async () => {
  service = await startTestService({ ...quiet, AUTH_MODE: 'apikey' });
  for (const trust of trusts)
    for (const product of products) {
      const key = await createKey(service.databaseUrl, { tenant: { trustomerCode: trust, productName: product } });
      bearers.set(`${trust} ${product}`, key.bearer);
      for (let n = 0; n < 4; n += 1) rows.push({ ...(await insertRow(trust, product, n)), trust, product });
    }
  await service.query('UPDATE message SET receiver_e164 = receiver');
}, TAKES_MS);
afterAll(() => service.stop());

const insertRow = (trust: string, product: string, n: number) =>
  insertOriginalRow(service, {
    trustomer_code: trust,
    product_name: product,
    receiver: `+44770090012${n % 2}`,
    status: statuses[n % 3] ?? null,
    error_code: codes[n % 2] ?? null,
  });

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const asked = fc.record({
  q: maybe(
    fc.oneof(
      fc.constantFrom('0120', '0121', '900120', '07700 900121', '+447700900120'),
      fc.nat().map((n) => rows[n % rows.length]?.uuid ?? ''),
      fc.nat().map((n) => rows[n % rows.length]?.sid ?? ''),
    ),
  ),
  status: maybe(fc.uniqueArray(fc.constantFrom(...statuses), { minLength: 1 })),
  error_code: maybe(fc.uniqueArray(fc.constantFrom(...codes), { minLength: 1 })),
  trustomer_code: maybe(fc.constantFrom(...trusts)),
  product_name: maybe(fc.constantFrom(...products)),
  limit: fc.integer({ min: 1, max: 5 }),
});

test(
  "another tenant's message is never found, whatever is asked, from the first page to the last",
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...trusts),
        fc.constantFrom(...products),
        asked,
        async (trust, product, body) => {
          const own = new Set(
            rows.filter((row) => row.trust === trust && row.product === product).map(({ uuid }) => uuid),
          );
          const isOther = (body.trustomer_code ?? trust) !== trust || (body.product_name ?? product) !== product;
          for (let next: string | undefined, page = 0; page < 10; page += 1) {
            const answer = await service.call('/dhos/v1/sms_search', {
              method: 'POST',
              headers: { 'content-type': 'application/json', ...bearers.get(`${trust} ${product}`) },
              body: JSON.stringify(next === undefined ? body : { cursor: next, limit: body.limit }),
            });
            expect(answer.status).toBe(isOther ? 403 : 200);
            if (isOther) return;
            for (const { uuid } of answer.json.messages) expect(own).toContain(uuid);
            next = answer.json.next;
            if (next === undefined) return;
          }
        },
      ),
      { numRuns: 150 },
    );
  },
  TAKES_MS,
);
