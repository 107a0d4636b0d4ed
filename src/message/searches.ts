import type { Db, Statement } from '../db/db.ts';
import { isNumber, type Position } from './lists.ts';
import type { Message, Tenant } from './message.ts';

/** Finding messages over all tenants that a caller reaches: the statements. None reads a text. */

/** What a message is found by: ids, what stands for one number (`receiversAlike`), or the last digits of numbers. */
export type SoughtBy =
  | { readonly kind: 'uuid'; readonly ids: readonly string[] }
  | { readonly kind: 'sid'; readonly ids: readonly string[] }
  | { readonly kind: 'number'; readonly receivers: readonly string[] }
  | { readonly kind: 'last digits'; readonly digits: string };

export type Search = {
  readonly by: SoughtBy | null;
  /** Whose messages; `isAll`: everybody's, so that nothing need be said of tenants. */
  readonly tenants: readonly Tenant[];
  readonly isAll: boolean;
  readonly status: readonly string[] | null;
  readonly errorCode: readonly string[] | null;
  /** RFC 3339, with a zone, both themselves included. */
  readonly from: string | null;
  readonly to: string | null;
  /** Only what comes after this place. */
  readonly after: Position | null;
};

const columns = [
  'uuid',
  'created',
  'trustomer_code',
  'product_name',
  'receiver',
  'sender',
  'status',
  'error_code',
  'twilio_sid',
  'date_sent',
  'redacted',
  'content_emptied',
  'number_emptied',
] as const satisfies readonly (keyof Message)[];
export type FoundMessage = Pick<Message, (typeof columns)[number]>;
type FoundRow = FoundMessage & { readonly place: string };

/** The tenants that have messages, of those that are within reach. Found by jumping through an index, not by reading it. */
export async function listTenants(
  db: Db,
  within: { readonly trustomerCode: string | null; readonly productName: string | null },
): Promise<Tenant[]> {
  const { rows } = await db.query<Tenant>({
    name: 'list-tenants',
    text: `
      WITH RECURSIVE tenant AS (
        (SELECT trustomer_code, product_name FROM message ORDER BY trustomer_code, product_name LIMIT 1)
        UNION ALL
        SELECT next.* FROM tenant CROSS JOIN LATERAL (
          SELECT trustomer_code, product_name FROM message
          WHERE (trustomer_code, product_name) > (tenant.trustomer_code, tenant.product_name)
          ORDER BY trustomer_code, product_name LIMIT 1) next
      )
      SELECT trustomer_code AS "trustomerCode", product_name AS "productName" FROM tenant
      WHERE trustomer_code = coalesce($1, trustomer_code) AND product_name = coalesce($2, product_name)`,
    values: [within.trustomerCode, within.productName],
  });
  return rows;
}

/** The first `limit` messages of a search, newest first; `last`: the place of the last one, when there are more. */
export async function searchMessages(
  db: Db,
  search: Search,
  limit: number,
): Promise<{ messages: FoundMessage[]; last: Position | null }> {
  // One more than asked for tells whether there are more.
  const { rows } = await db.query<FoundRow>(select(search, limit + 1));
  const messages = rows.slice(0, limit);
  const last = messages.at(-1);
  return {
    messages,
    last: rows.length > limit && last !== undefined ? { created: last.place, uuid: last.uuid } : null,
  };
}

type Values = { readonly all: unknown[]; readonly add: (value: unknown) => string };

function collectValues(): Values {
  const all: unknown[] = [];
  return { all, add: (value) => `$${all.push(value)}` };
}

/** Never with a name: the best plan depends on what is sought, so PostgreSQL makes one each time. */
function select(search: Search, limit: number): Statement {
  const values = collectValues();
  const most = `${values.add(limit)}::bigint`;
  const text = `
    ${search.by === null ? walk(search, values, most) : lookUp(search, search.by, values)}
    SELECT ${columns.join(', ')}, created::text AS place FROM found
    ORDER BY created DESC, uuid LIMIT ${most}`;
  return { text, values: values.all };
}

/** What is sought has few messages: they are found by it, whatever else is asked of them. */
function lookUp(search: Search, by: SoughtBy, values: Values): string {
  const conditions = [isSought(by, values), ...commonConditions(search, values)];
  if (!search.isAll) {
    const [trusts, products] = tenantArrays(search, values);
    conditions.push(`(trustomer_code, product_name) IN (SELECT * FROM unnest(${trusts}, ${products}))`);
  }
  if (search.status !== null) conditions.push(`status = ANY(${values.add(search.status)}::varchar[])`);
  if (search.errorCode !== null) conditions.push(`error_code = ANY(${values.add(search.errorCode)}::varchar[])`);
  return `WITH found AS MATERIALIZED (SELECT ${columns.join(', ')} FROM message WHERE ${conditions.join(' AND ')})`;
}

/** message_by_number has the last four characters of the number in front: every condition on a number says them. */
function isSought(by: SoughtBy, { add }: Values): string {
  switch (by.kind) {
    case 'uuid':
      return `uuid = ANY(${add(by.ids)}::varchar[])`;
    case 'sid':
      return `twilio_sid = ANY(${add(by.ids)}::varchar[])`;
    case 'number':
      return isNumber(by.receivers, add);
    case 'last digits':
      // What stands for an emptied number ends in letters and digits of no meaning. The other two: as far as `masked` shows digits.
      return `right(receiver_e164, 4) = ${add(by.digits.slice(-4))} AND receiver_e164 LIKE ${add(`+%${by.digits}`)}
        AND receiver !~ '[^-+0-9\\s().]' AND length(translate(receiver, translate(receiver, '0123456789', ''), '')) >= 8`;
    default:
      return by satisfies never;
  }
}

/**
 * From the newest on, in the order of an index: of everybody's messages, or of each tenant's, status's and code's by itself, so
 * that rare ones are found as quickly as frequent ones.
 */
function walk(search: Search, values: Values, most: string): string {
  if (search.errorCode !== null) return walkWords('error_code', search.errorCode, search, values, most);
  if (search.status !== null) return walkWords('status', search.status, search, values, most);
  const isWanted = commonConditions(search, values).join(' AND ');
  // The index orders no rows of one moment: those of the last one come all.
  if (search.isAll)
    return `WITH found AS (
      SELECT ${columns.join(', ')} FROM message WHERE ${isWanted} ORDER BY created DESC FETCH FIRST (${most}) ROWS WITH TIES)`;
  const [trusts, products] = tenantArrays(search, values);
  return `WITH found AS (
    SELECT newest.* FROM unnest(${trusts}, ${products}) AS tenant (trust, product) CROSS JOIN LATERAL (
      SELECT ${columns.join(', ')} FROM message
      WHERE trustomer_code = tenant.trust AND product_name = tenant.product AND ${isWanted}
      ORDER BY created DESC, uuid LIMIT ${most}) newest)`;
}

/**
 * By message_by_status or message_by_error. Rows are compared, and ordered by all columns of the index, because no other index
 * has that order: by `created` alone PostgreSQL may go through everybody's messages for a tenant that has had none of late.
 */
function walkWords(
  column: 'status' | 'error_code',
  words: readonly string[],
  search: Search,
  values: Values,
  most: string,
): string {
  const [trusts, products] = tenantArrays(search, values);
  const key = ['trustomer_code', 'product_name', column, 'created'];
  const conditions = [...commonConditions(search, values), `${column} IS NOT NULL`];
  if (column === 'error_code' && search.status !== null)
    conditions.push(`status = ANY(${values.add(search.status)}::varchar[])`);
  const earliest = `coalesce(${values.add(search.from)}::timestamptz AT TIME ZONE 'utc', '-infinity')`;
  const latest = `coalesce(least(${values.add(search.to)}::timestamptz AT TIME ZONE 'utc', ${values.add(search.after?.created ?? null)}::timestamp), 'infinity')`;
  return `WITH found AS (
    SELECT newest.* FROM unnest(${trusts}, ${products}) AS tenant (trust, product)
    CROSS JOIN unnest(${values.add([...new Set(words)])}::varchar[]) AS word CROSS JOIN LATERAL (
      SELECT ${columns.join(', ')} FROM message
      WHERE ${conditions.join(' AND ')}
        AND (${key.join(', ')}) >= (tenant.trust, tenant.product, word, ${earliest})
        AND (${key.join(', ')}) <= (tenant.trust, tenant.product, word, ${latest})
      ORDER BY ${key.map((name) => `${name} DESC`).join(', ')} FETCH FIRST (${most}) ROWS WITH TIES) newest)`;
}

function tenantArrays({ tenants }: Search, { add }: Values): [string, string] {
  const trusts = add(tenants.map(({ trustomerCode }) => trustomerCode));
  const products = add(tenants.map(({ productName }) => productName));
  return [`${trusts}::varchar[]`, `${products}::varchar[]`];
}

function commonConditions({ from, to, after }: Search, { add }: Values): string[] {
  const conditions = ['deleted IS NULL'];
  if (from !== null) conditions.push(`created >= ${add(from)}::timestamptz AT TIME ZONE 'utc'`);
  if (to !== null) conditions.push(`created <= ${add(to)}::timestamptz AT TIME ZONE 'utc'`);
  if (after !== null) {
    const created = `${add(after.created)}::timestamp`;
    // Said this way round the first half is found in the index; uuid decides between rows of one microsecond.
    conditions.push(`created <= ${created} AND (created < ${created} OR uuid > ${add(after.uuid)})`);
  }
  return conditions;
}
