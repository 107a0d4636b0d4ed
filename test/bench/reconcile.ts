import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import { type CopiedMessage, copyRows, plainReceiver, SENDER, sendOriginal } from '../chaos/copied-rows.ts';
import { account, type Replica, type Stage, setStage } from '../chaos/stage.ts';
import { floorTables } from './floor-table.ts';
import type { Benchmark, Measurement } from './harness.ts';
import { load } from './load.ts';

/**
 * A bulk update of many messages whose callbacks were all lost. The simulator lives in a process of its own and answers after
 * 50 ms. What the Python service does, one fetch after another, is measured on some hundreds in the same run.
 */
const OPEN = 10_000;
const ONE_BY_ONE = 200;
const LAGGING = 3_000;
const BARE = 600;
const LATENCY_MS = 50;
const latency = { median: `${LATENCY_MS}ms`, p99: `${LATENCY_MS + 1}ms` };
/** BACKGROUND_CONCURRENCY of the service: look-ups keep to so many calls at once (TWILIO.md 7). */
const AT_ONCE = 10;
/** Twilio's answers to 64 creates at once come as fast as the simulator can. */
const CONNECTIONS = 64;
/** The longest life at the simulator is 2.5 s. */
const LIFE_MS = 3_000;
const OPEN_SQL =
  "SELECT count(*)::int AS count FROM message WHERE status NOT IN ('delivered', 'undelivered', 'failed')";
const UNREDACTED_SQL = 'SELECT count(*)::int AS count FROM message WHERE redacted IS NULL';

const headers = {
  authorization: `Basic ${Buffer.from(`${account.sid}:${account.token}`).toString('base64')}`,
  'content-type': 'application/x-www-form-urlencoded',
};
const messagesPath = `/2010-04-01/Accounts/${account.sid}/Messages`;

type Known = CopiedMessage & { readonly created: string };

const reconcile: Benchmark = {
  name: 'bulk update',
  run: async (progress): Promise<Measurement[]> => {
    await using started = new AsyncDisposableStack();
    const stage = await setStage({ seed: 1 });
    started.defer(() => stage.stop());
    const replica = await stage.startReplica();
    progress(`sending ${OPEN} texts`);
    const messages = await createAtTwilio(stage, OPEN, progress);
    await delay(LIFE_MS);
    await stage.simulator.useScenario({ latency, rules: [] });
    progress('one fetch after another');
    const oneByOne = await fetchOneByOne(stage, messages.slice(0, ONE_BY_ONE));
    progress('the list covers all');
    const listed = await measureUpdate(stage, replica, messages);
    await stage.simulator.useScenario({ latency, list: { lag: '24h' }, rules: [] });
    progress('the list lags');
    const bare = [await fetchBare(stage, messages.slice(0, BARE))];
    const lagging = await measureUpdate(stage, replica, messages.slice(0, LAGGING));
    bare.push(await fetchBare(stage, messages.slice(0, BARE)));
    return [...tellListed(listed, oneByOne), ...tellLagging(lagging, bare)];
  },
};

function tellListed({ seconds, reads, redactedPerSecond }: Updated, oneByOne: number): Measurement[] {
  const times = ((oneByOne / ONE_BY_ONE) * OPEN) / seconds;
  const what = `bulk update of ${OPEN.toLocaleString('en')}, Twilio answers after ${LATENCY_MS} ms`;
  return [
    { what: `${what}: reading requests`, value: reads, unit: '', target: '≤ 20', isMet: reads <= 20 },
    { what: '  time until all statuses are recorded', value: seconds, unit: 's' },
    {
      what: '  as many times faster than one fetch after another',
      value: times,
      unit: '×',
      target: '≥ 200 ×',
      isMet: times >= 200,
    },
    { what: '  redactions, statuses included', value: redactedPerSecond, unit: '/s' },
  ];
}

/** `bare`: fetches a second of a program that does nothing else, before and after. */
function tellLagging({ seconds, reads }: Updated, bare: readonly number[]): Measurement[] {
  const perSecond = LAGGING / seconds;
  const floor = bare.reduce((sum, one) => sum + one, 0) / bare.length;
  return [
    {
      what: `bulk update of ${LAGGING.toLocaleString('en')} that the list does not show yet, beside bare fetches`,
      value: perSecond,
      unit: '/s',
      floor,
      target: '≥ 0.8',
      isMet: perSecond / floor >= 0.8,
    },
    {
      what: '  the same beside 10 at once ÷ 50 ms',
      value: perSecond,
      unit: '/s',
      floor: AT_ONCE / (LATENCY_MS / 1000),
    },
    { what: '  reading requests', value: reads, unit: '' },
  ];
}

type Updated = { readonly seconds: number; readonly reads: number; readonly redactedPerSecond: number };

async function measureUpdate(stage: Stage, replica: Replica, messages: readonly Known[]): Promise<Updated> {
  await insertOpen(stage, replica, messages);
  const readsBefore = await countReads(stage);
  const began = performance.now();
  const update = fetch(`${replica.baseUrl}/dhos/v1/sms/bulk_update`, { method: 'POST' });
  update.catch(() => {});
  const passed = () => (performance.now() - began) / 1000;
  await untilNone(stage, OPEN_SQL);
  const seconds = passed();
  const { status } = await update;
  if (status !== 204) throw new Error(`the bulk update was answered ${status}`);
  await untilNone(stage, UNREDACTED_SQL);
  return { seconds, reads: (await countReads(stage)) - readsBefore, redactedPerSecond: messages.length / passed() };
}

/** As the service leaves them right after Twilio's 201, and nothing else in the table. */
async function insertOpen(stage: Stage, replica: Replica, messages: readonly Known[]): Promise<void> {
  await stage.query('TRUNCATE message, attempt, event');
  const original = await sendOriginal(replica);
  await copyRows(stage, original, messages);
  await stage.query('DELETE FROM message WHERE uuid = $1', [original]);
  await stage.query(
    `UPDATE message m SET created = said.created, due = now() AT TIME ZONE 'utc' + interval '10 minutes'
     FROM unnest($1::varchar[], $2::timestamp[]) AS said(uuid, created) WHERE m.uuid = said.uuid`,
    [messages.map(({ uuid }) => uuid), messages.map(({ created }) => created)],
  );
  await stage.query('VACUUM ANALYZE message');
}

async function untilNone(stage: Stage, countSql: string): Promise<void> {
  for (;;) {
    const [row] = await stage.query<{ count: number }>(countSql);
    if (row?.count === 0) return;
    await delay(20);
  }
}

async function countReads(stage: Stage): Promise<number> {
  return (await stage.simulator.journal('list')).length + (await stage.simulator.journal('fetch')).length;
}

async function createAtTwilio(stage: Stage, count: number, progress: (line: string) => void): Promise<Known[]> {
  const pool = new Pool(stage.simulator.url, { connections: CONNECTIONS });
  const numbers = Array.from({ length: count }, (_, n) => n);
  const queue = numbers.values();
  const known: Known[] = [];
  const worker = async () => {
    for (const n of queue) {
      if (n % 1000 === 0) progress(`${n} of ${count} texts`);
      const receiver = plainReceiver(n);
      const form = new URLSearchParams({ To: receiver, From: SENDER, Body: `Text number ${n}, to be followed.` });
      const { statusCode, body } = await pool.request({
        path: `${messagesPath}.json`,
        method: 'POST',
        headers,
        body: form.toString(),
      });
      if (statusCode !== 201) throw new Error(`create ${n} was answered ${statusCode}`);
      const { sid, date_created } = (await body.json()) as { sid: string; date_created: string };
      known.push({ uuid: randomUUID(), sid, receiver, created: new Date(date_created).toISOString().slice(0, -1) });
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  await pool.destroy();
  return known;
}

/** The unavoidable of the Python service's way: fetch, then record, one message at a time. In seconds. */
async function fetchOneByOne(stage: Stage, messages: readonly Known[]): Promise<number> {
  await stage.query(floorTables);
  await stage.query(
    `INSERT INTO floor_message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status,
                                twilio_sid, trustomer_code, product_name)
     SELECT uuid, now(), 'unknown', now(), 'unknown', 's', 'r', 'A text of the floor.', 'queued', sid, 'ouh', 'gdm'
     FROM unnest($1::varchar[], $2::varchar[]) AS new(uuid, sid)`,
    [messages.map(({ uuid }) => uuid), messages.map(({ sid }) => sid)],
  );
  const pool = new Pool(stage.simulator.url, { connections: 1 });
  const began = performance.now();
  for (const { uuid, sid } of messages) {
    const { body } = await pool.request({ path: `${messagesPath}/${sid}.json`, method: 'GET', headers });
    const { status, error_code } = (await body.json()) as { status: string; error_code: number | null };
    await stage.query('UPDATE floor_message SET status = $2, error_code = $3, modified = now() WHERE uuid = $1', [
      uuid,
      status,
      error_code,
    ]);
  }
  const seconds = (performance.now() - began) / 1000;
  await pool.destroy();
  return seconds;
}

/** What a program that only fetches comes to, as many at once as the service: the ideal on this machine. Fetches a second. */
async function fetchBare(stage: Stage, messages: readonly Known[]): Promise<number> {
  const request = (n: number) => ({
    path: `${messagesPath}/${messages[n]?.sid}.json`,
    method: 'GET' as const,
    headers,
  });
  const { url } = stage.simulator;
  return (await load({ url, connections: AT_ONCE, count: messages.length, expected: 200, request })).perSecond;
}

export const reconcileBenchmarks: readonly Benchmark[] = [reconcile];
