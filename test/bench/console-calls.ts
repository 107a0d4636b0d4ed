import type { Pool } from 'undici';

/** The calls of the API that the pages of the console make, as they make them. */

const DAY_MS = 86_400_000;
const CHART_DAYS = 30;

type Call = {
  readonly what: string;
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
};
/** Of whom: null = all tenants. */
export type Tenant = { readonly trustomer_code: string; readonly product_name: string } | null;
/** What is looked at: a message, and a number of somebody. */
export type Subject = { readonly uuid: string; readonly number: string };

const startOfDay = (time: number) => `${new Date(time).toISOString().slice(0, 10)}T00:00:00.000Z`;
const iso = (time: number) => new Date(time).toISOString();
const get = (what: string, path: string, query: Record<string, string> = {}): Call => ({
  what,
  path: `/dhos/v1/${path}?${new URLSearchParams(query)}`.replace(/\?$/, ''),
});
const search = (what: string, body: object): Call => ({ what, method: 'POST', path: '/dhos/v1/sms_search', body });

/** `tenant`: that of the key; the console of a key for all tenants narrows none of its calls. */
export function callsOf(tenant: Tenant, { uuid, number }: Subject): Call[] {
  const now = Date.now();
  const counts = (what: string, from: number, to: number) =>
    get(what, 'sms_status_counts', { start_date: startOfDay(from), end_date: iso(to) });
  const month = { from: startOfDay(now - (CHART_DAYS - 1) * DAY_MS), to: iso(now) };
  return [
    get('who is signed in', 'session'),
    get('tenants', 'tenants'),
    get('today: checks', 'checks'),
    counts('today: counts so far', now, now),
    counts('today: counts a week ago', now - 7 * DAY_MS, now - 7 * DAY_MS),
    counts('today: counts of 30 days', now - (CHART_DAYS - 1) * DAY_MS, now),
    get('today: delivery times of 30 days', 'delivery_times', month),
    search('messages: newest', { limit: 50 }),
    search('messages: by number', { q: number, limit: 50 }),
    search('messages: by last digits', { q: number.slice(-4), limit: 50 }),
    search('messages: by status', { status: ['undelivered', 'failed', 'error'], limit: 50 }),
    search('messages: by status and days', {
      status: ['delivered', 'read'],
      from: startOfDay(now - 40 * DAY_MS),
      to: iso(now - 20 * DAY_MS),
      limit: 50,
    }),
    search('messages: by a rare code', { error_code: ['30007'], limit: 50 }),
    search('messages: by a code that none has', { error_code: ['99999'], limit: 50 }),
    search('messages: export, 200 at once', { limit: 200 }),
    get('a message: masked', `sms/${uuid}`, { mask: 'true' }),
    get('a message: explanation', `sms/${uuid}/explanation`),
    get('a message: events', `sms/${uuid}/events`),
    get('errors: codes', 'error_codes'),
    get('errors: 30 days', 'error_counts', month),
    get('an error: 30 days', 'error_counts', { ...month, error_code: '30003' }),
    search('an error: latest', { error_code: ['30003'], limit: 10 }),
    ...[0, 1].map((ago) => statement(tenant, ago)),
  ];
}

/** Of this month, or of one before. */
function statement(tenant: Tenant, ago: number): Call {
  const now = new Date();
  const at = (months: number) => Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months);
  const bounds = { from: iso(at(-ago)), to: iso(at(1 - ago) - 1) };
  const what = `privacy: statement of ${ago === 0 ? 'this month' : 'last month'}`;
  if (tenant === null) return get(what, 'redaction_report', { ...bounds, all_tenants: 'true' });
  const headers = { 'x-trustomer': tenant.trustomer_code, 'x-product': tenant.product_name };
  return { ...get(what, 'redaction_report', bounds), headers };
}

/** Milliseconds of each call from asking to the last byte, in the order they were made. */
export async function timeCalls(
  http: Pool,
  { calls, rounds, cookie }: { readonly calls: readonly Call[]; readonly rounds: number; readonly cookie: string },
): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>(calls.map(({ what }) => [what, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const call of calls) times.get(call.what)?.push(await timeCall(http, call, cookie));
  }
  return times;
}

async function timeCall(http: Pool, { what, method = 'GET', path, body, headers }: Call, cookie: string) {
  const began = performance.now();
  const answer = await http.request({
    method,
    path,
    headers: {
      cookie,
      'x-polaris-console': '1',
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`${what} was answered ${answer.statusCode}: ${text}`);
  return performance.now() - began;
}
