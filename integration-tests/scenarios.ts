import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { oddNumbers } from './phone-numbers.ts';
import { anothers, type Counts, type Message, newMessage, ours, type Platform, type Posted } from './platform.ts';
import { openRawClient } from './raw-http.ts';

/**
 * Each stands alone, whatever the database holds already: it looks at messages of its own making, and at counts only as
 * the difference between before and after.
 */
export type Scenario = {
  /** A fact. */
  readonly name: string;
  readonly needsSql?: true;
  readonly run: (platform: Platform) => Promise<void>;
};

export const scenarios: readonly Scenario[] = [
  { name: 'a message sent is found in the list and by uuid and equals what was posted', run: sentIsFound },
  { name: 'numbers come back as they were spelled, on both sides', run: spellingsAreKept },
  { name: 'a message deleted is gone from the list and by uuid', run: deletedIsGone },
  { name: 'a message of another tenant is neither listed nor deleted', run: tenantsAreApart },
  { name: 'a callback `delivered` shows at once, with `redacted`', run: deliveredIsRedacted },
  { name: 'a callback `queued`, then a bulk update by GET, leaves `sent`', run: (p) => queuedIsUpdated(p, 'GET') },
  { name: 'a callback `queued`, then a bulk update by POST, leaves `sent`', run: (p) => queuedIsUpdated(p, 'POST') },
  {
    name: 'set to `delivered` by SQL a message reads unredacted, and redacted right after a bulk update by GET',
    needsSql: true,
    run: (p) => deliveredBySqlIsRedacted(p, 'GET'),
  },
  {
    name: 'set to `delivered` by SQL a message reads unredacted, and redacted right after a bulk update by POST',
    needsSql: true,
    run: (p) => deliveredBySqlIsRedacted(p, 'POST'),
  },
  { name: "the day's counts move by exactly one `delivered` and one `queued`", run: countsMove },
  { name: 'a callback without a good signature changes nothing', run: unsignedChangesNothing },
  { name: 'a message with an unknown field is refused and not recorded', run: unknownFieldIsRefused },
  {
    name: 'the service says that it runs, which it is, that it is well and how it is doing',
    run: operatorsAreAnswered,
  },
  { name: 'the API describes itself', run: apiIsDescribed },
  {
    name: "the platform's clients are understood: any case of headers, extra ones, one connection",
    run: clientsDiffer,
  },
];

async function sentIsFound(platform: Platform): Promise<void> {
  const posted = newMessage({ status: 'sent', error_code: '30005', error_message: 'Unknown destination handset' });
  const sent = await platform.send(posted);
  assertEqualsPosted(sent, posted);

  assert.deepEqual(await platform.get(sent.uuid), sent);
  assert.deepEqual(await platform.list({ receiver: posted.receiver, limit: '1' }), [sent]);
  assert.deepEqual(await findListed(platform, sent, { receiver: posted.receiver }), sent);
  assert.deepEqual(await findListed(platform, sent, { limit: '5' }), sent);
  // The text of the number counts, not the number.
  assert.equal(await findListed(platform, sent, { receiver: `${posted.receiver} ` }), undefined);
}

async function spellingsAreKept(platform: Platform): Promise<void> {
  const senders = oddNumbers().reverse();
  for (const [i, receiver] of oddNumbers().entries()) {
    const posted = newMessage({ receiver, sender: senders[i] ?? receiver });
    const sent = await platform.send(posted);
    assertEqualsPosted(await platform.get(sent.uuid), posted);
    assert.deepEqual(await findListed(platform, sent, { receiver, limit: '1' }), sent);
  }
}

async function deletedIsGone(platform: Platform): Promise<void> {
  const sent = await platform.send(newMessage());
  const path = `/dhos/v1/sms/${sent.uuid}`;

  const answer = await platform.ask(path, { method: 'DELETE', headers: ours });
  const { deleted, modified, ...rest } = answer.json() as Message;
  assert.match(deleted ?? 'no `deleted`', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual({ ...rest, modified: sent.modified }, sent);
  assert.ok(modified >= sent.modified, `modified ${modified} is before ${sent.modified}`);

  await platform.ask(path, { expect: 404 });
  await platform.ask(path, { method: 'DELETE', headers: ours, expect: 404 });
  assert.equal(await findListed(platform, sent, { receiver: sent.receiver }), undefined);
}

async function tenantsAreApart(platform: Platform): Promise<void> {
  const sent = await platform.send(newMessage());
  for (const stranger of [anothers, { ...ours, 'X-Product': 'SEND' }]) {
    await platform.ask(`/dhos/v1/sms/${sent.uuid}`, { method: 'DELETE', headers: stranger, expect: 403 });
    const listed = await platform.list({ receiver: sent.receiver }, stranger);
    assert.ok(!listed.some(isSame(sent)), 'another tenant lists the message');
  }
  assert.deepEqual(await platform.get(sent.uuid), sent);
}

async function deliveredIsRedacted(platform: Platform): Promise<void> {
  const sent = await platform.send(newMessage());
  await platform.callBack(sent, 'delivered');
  const { redacted, ...delivered } = await platform.get(sent.uuid);
  assert.notEqual(redacted, undefined, '`redacted` is missing right after the callback');
  assert.deepEqual(delivered, { ...sent, status: 'delivered', modified: delivered.modified });
}

async function queuedIsUpdated(platform: Platform, method: 'GET' | 'POST'): Promise<void> {
  const sent = await platform.send(newMessage());
  await platform.callBack(sent, 'queued');
  await assertReads(platform, sent, { status: 'queued', isRedacted: false });
  await platform.bulkUpdate(method);
  await assertReads(platform, sent, { status: 'sent', isRedacted: false });
}

async function deliveredBySqlIsRedacted(platform: Platform, method: 'GET' | 'POST'): Promise<void> {
  const sent = await platform.send(newMessage());
  const changed = await platform.sql("UPDATE message SET status = 'delivered' WHERE uuid = $1", [sent.uuid]);
  assert.equal(changed, 1, 'the database named is not the one of the service: it does not hold the message');
  await assertReads(platform, sent, { status: 'delivered', isRedacted: false });
  await platform.bulkUpdate(method);
  await assertReads(platform, sent, { status: 'delivered', isRedacted: true });
}

async function countsMove(platform: Platform): Promise<void> {
  const tenant = { trustomer_code: 'OUH', product_name: 'gdm' };
  const filters = [{}, tenant, { trustomer_code: 'ouh' }, { product_name: 'GDM' }];
  const days = daysAround(new Date());
  const read = () => Promise.all(filters.map((filter) => platform.counts({ ...days, ...filter })));

  const before = await read();
  const delivered = await platform.send(newMessage());
  const queued = await platform.send(newMessage());
  await platform.callBack(delivered, 'delivered');
  await platform.callBack(queued, 'queued');
  const after = await read();

  for (const [i, counts] of before.entries()) {
    const moved = plusOne(plusOne(counts, dayOf(delivered), 'delivered'), dayOf(queued), 'queued');
    assert.deepEqual(after[i], moved);
  }
  // The day alone, as the platform asks for it.
  const day = dayOf(queued);
  const ofTheDay = { start_date: `${day}T00:00:00.000Z`, end_date: `${day}T23:59:59.999+00:00` };
  assert.deepEqual(await platform.counts(ofTheDay), { [day]: after[0]?.[day] });
}

async function unsignedChangesNothing(platform: Platform): Promise<void> {
  const sent = await platform.send(newMessage());
  const body = new URLSearchParams({ MessageSid: sent.twilio_sid, MessageStatus: 'delivered' }).toString();
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const wrong = { 'X-Twilio-Signature': Buffer.alloc(20, sent.uuid).toString('base64') };
  for (const headers of [form, { ...form, ...wrong }]) {
    await platform.ask('/dhos/v1/sms/callback', { method: 'POST', headers, body, expect: 403 });
  }
  assert.deepEqual(await platform.get(sent.uuid), sent);
}

async function unknownFieldIsRefused(platform: Platform): Promise<void> {
  const posted = newMessage();
  for (const unknown of [{ colour: 'blue' }, { uuid: randomUUID() }]) {
    const body = JSON.stringify({ ...posted, ...unknown });
    const headers = { 'Content-Type': 'application/json', ...ours };
    const refused = await platform.ask('/dhos/v1/sms', { method: 'POST', headers, body, expect: 400 });
    // The caller learns which one.
    assert.match(refused.text, new RegExp(`"message":"[^"]*${Object.keys(unknown)[0]}`));
  }
  const listed = await platform.list({ receiver: posted.receiver });
  assert.ok(!listed.some(({ content }) => content === posted.content), 'the message refused is in the list');
}

async function operatorsAreAnswered(platform: Platform): Promise<void> {
  assert.deepEqual((await platform.ask('/running')).json(), { running: true });
  await platform.ask('/running', { method: 'HEAD' });

  const version = (await platform.ask('/version')).json() as Record<string, unknown>;
  assert.deepEqual(
    Object.entries(version).map(([name, value]) => [name, typeof value]),
    [
      ['circle', 'string'],
      ['hash', 'string'],
      ['version', 'string'],
    ],
  );

  const health = (await platform.ask('/healthcheck')).json() as Record<string, unknown>;
  assert.equal(health.status, 'success');

  const metrics = await platform.ask('/metrics');
  assert.match(metrics.headers.get('content-type') ?? '', /^text\/plain/);
  assert.match(metrics.text, /^# HELP \w+ .+\n# TYPE \w+ \w+$/m);
}

async function apiIsDescribed(platform: Platform): Promise<void> {
  const document = (await platform.ask('/openapi.json')).json() as { openapi: string; paths: Record<string, object> };
  assert.match(document.openapi, /^3\.1\./);
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const missing = endpoints.filter((endpoint) => !described.includes(endpoint));
  assert.deepEqual(missing, []);
  assert.match((await platform.ask('/openapi.yaml')).text, /^openapi: ["']?3\.1\./);
}

const endpoints = [
  'POST /dhos/v1/sms',
  'GET /dhos/v1/sms',
  'GET /dhos/v1/sms/{message_id}',
  'DELETE /dhos/v1/sms/{message_id}',
  'GET /dhos/v1/sms_status_counts',
  'POST /dhos/v1/sms/callback',
  'GET /dhos/v1/sms/bulk_update',
  'POST /dhos/v1/sms/bulk_update',
  'GET /running',
  'GET /version',
];

async function clientsDiffer(platform: Platform): Promise<void> {
  const client = openRawClient(platform.target.baseUrl);
  try {
    for (const headers of clientHeaders()) {
      const posted = newMessage();
      const created = await client.ask('/dhos/v1/sms', { method: 'POST', headers, body: JSON.stringify(posted) });
      assert.equal(created.status, 200, created.text);
      const sent = JSON.parse(created.text) as Message;
      assertEqualsPosted(sent, posted);

      // They send the same headers always, a content type without a content included.
      const found = await client.ask(`/dhos/v1/sms/${sent.uuid}`, { method: 'GET', headers });
      assert.deepEqual(JSON.parse(found.text), sent);
      const removed = await client.ask(`/dhos/v1/sms/${sent.uuid}`, { method: 'DELETE', headers });
      assert.equal(removed.status, 200, removed.text);
    }
    const jsonWithout = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '' };
    const updated = await client.ask('/dhos/v1/sms/bulk_update', jsonWithout);
    assert.equal(updated.status, 204, updated.text);
    const requestId = randomUUID();
    const { headers } = await client.ask('/running', { method: 'GET', headers: { 'X-Request-ID': requestId } });
    assert.equal(headers['x-request-id'], requestId);
    assert.equal(client.connections(), 1, 'the connection was not kept');
  } finally {
    client.close();
  }
}

function clientHeaders(): Record<string, string>[] {
  const traced = { 'X-Request-ID': randomUUID(), 'X-Location-Ids': randomUUID(), 'Accept-Language': 'en-GB' };
  return [
    { 'content-type': 'application/json', 'x-trustomer': 'ouh', 'x-product': 'gdm' },
    { 'CONTENT-TYPE': 'application/json; charset=utf-8', 'X-TRUSTOMER': 'OUH', 'X-PRODUCT': 'GDM' },
    {
      'User-Agent': 'python-requests/2.27.1',
      'Accept-Encoding': 'gzip, deflate',
      Accept: '*/*',
      Connection: 'keep-alive',
      'Content-Type': 'application/json',
      'X-Trustomer': 'Ouh',
      'X-Product': 'Gdm',
    },
    {
      Accept: 'application/json',
      Connection: 'Keep-Alive',
      'Cache-Control': 'no-cache',
      Authorization: 'Bearer none',
      'Content-Type': 'application/json;charset=UTF-8',
      ...ours,
      ...traced,
    },
  ];
}

/** Everything that was posted came back; the tenant in lower case, the rest made by the service. */
function assertEqualsPosted(message: Message, posted: Posted): void {
  const expected = { ...posted, status: 'sent', trustomer_code: 'ouh', product_name: 'gdm' };
  const known = Object.entries(message).filter(([name]) => name in expected || /^(error_|redacted|deleted)/.test(name));
  assert.deepEqual(Object.fromEntries(known), expected);
}

async function assertReads(
  platform: Platform,
  { uuid }: Message,
  expected: { status: string; isRedacted: boolean },
): Promise<void> {
  const { status, redacted } = await platform.get(uuid);
  assert.deepEqual({ status, isRedacted: redacted !== undefined }, expected);
}

async function findListed(platform: Platform, message: Message, query: Record<string, string>) {
  return (await platform.list(query)).find(isSame(message));
}

function isSame({ uuid }: Message): (other: Message) => boolean {
  return (other) => other.uuid === uuid;
}

const DAY_MS = 86_400_000;

/** A day more on both sides: neither midnight nor a clock that is wrong by minutes comes between. */
function daysAround(now: Date): { start_date: string; end_date: string } {
  const [yesterday, tomorrow] = [-DAY_MS, DAY_MS].map((ms) => new Date(now.getTime() + ms).toISOString().slice(0, 10));
  return { start_date: `${yesterday}T00:00:00.000Z`, end_date: `${tomorrow}T23:59:59.999Z` };
}

function dayOf({ created }: Message): string {
  return created.slice(0, 10);
}

function plusOne(counts: Counts, day: string, status: string): Counts {
  return { ...counts, [day]: { ...counts[day], [status]: (counts[day]?.[status] ?? 0) + 1 } };
}
