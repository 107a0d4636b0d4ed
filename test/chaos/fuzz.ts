import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { Pool, request as undiciRequest } from 'undici';
import { startFlags } from '../support/process.ts';
import { insertOriginalRow } from '../support/rows.ts';
import { type Api, readApi } from './fuzz/document.ts';
import { faultOf } from './fuzz/judge.ts';
import { watchMemory } from './fuzz/memory.ts';
import { exchange, faultOfRaw, halfRequests, type RawCase, rawCases } from './fuzz/raw.ts';
import { type Asked, type Knowledge, requestsOf } from './fuzz/requests.ts';
import { readKnobs } from './knobs.ts';
import { account, type Stage, setStage } from './stage.ts';
import { isBroken, mustBeZero, printVerdicts, showProgress, type Verdict } from './verdict.ts';

/**
 * `make fuzz`: good and bad requests made from the OpenAPI document that the service serves, and bytes that are no HTTP. No answer
 * may be 5xx or stand outside the document, and no text may be sent that nobody was told of.
 */

const help = `Sends requests made from the OpenAPI document, good and bad, and bytes that are no HTTP.

  --requests N   how many (100000)
  --seed N       the same seed asks the same (1)
  --help         this text`;

const { requests, seed } = readKnobs(help, { requests: 100_000, seed: 1 }, []);
const CONNECTIONS = 16;
const RAW_CONNECTIONS = 16;
/** One in so many is bytes over a socket of its own. */
const RAW_EVERY = 25;
const BATCH = 500;
const RAW_PATIENCE_MS = 2_000;
/** Longer than the service waits for a request to arrive: REQUEST_WITHIN_MS, and how often it looks. */
const HALF_PATIENCE_MS = 25_000;
const MAX_GROWTH_MB = 16;
const callbackUrl = 'http://127.0.0.1:1/dhos/v1/sms/callback';

/** What came of it. */
const answered = new Map<string, number>();
const faults: string[] = [];
const toldOf = new Set<string>();

const count = (what: string) => answered.set(what, (answered.get(what) ?? 0) + 1);

/** The same seed draws the same, batch by batch. */
function* drawn<Value>(arbitrary: fc.Arbitrary<Value>, wanted: number): Generator<Value> {
  for (let done = 0; done < wanted; done += BATCH) {
    yield* fc.sample(arbitrary, { numRuns: Math.min(BATCH, wanted - done), seed: seed * 1_000_003 + done });
  }
}

async function askAll(api: Api, pool: Pool, all: Iterator<Asked>): Promise<void> {
  for (let next = all.next(); !next.done; next = all.next()) {
    const asked = next.value;
    const { method, path, headers, body } = asked;
    const shown = () => `${method} ${path.slice(0, 200)} ${JSON.stringify(headers)} ${String(body).slice(0, 300)}`;
    try {
      const answer = await pool.request({ method: method as 'GET', path, headers: [...headers], body });
      const said = {
        status: answer.statusCode,
        contentType: String(answer.headers['content-type'] ?? ''),
        allow: answer.headers.allow?.toString(),
        body: await answer.body.text(),
      };
      count(String(said.status));
      const isTaken = method === 'POST' && said.status < 300;
      if (isTaken && answer.headers['x-message-id'] !== undefined) toldOf.add(String(answer.headers['x-message-id']));
      const fault = faultOf(api, asked, said);
      if (fault !== null) faults.push(`${shown()}\n    ${fault}`);
    } catch (error) {
      faults.push(`${shown()}\n    ${error instanceof Error ? error.message : String(error)}`);
    }
    if (answered.size > 0 && Math.random() < 0.002)
      showProgress(`${[...answered.values()].reduce((a, b) => a + b)} of ${requests}, ${faults.length} faults`);
  }
}

async function exchangeAll(baseUrl: string, all: Iterator<RawCase>, patienceMs: number): Promise<void> {
  for (let next = all.next(); !next.done; next = all.next()) {
    const said = await exchange(baseUrl, next.value.bytes, patienceMs);
    count('bytes');
    for (const uuid of said.toldOf) toldOf.add(uuid);
    const fault = faultOfRaw(next.value, said);
    if (fault !== null) faults.push(fault);
  }
}

/** Messages to look up, delete and settle: of every tenant, some with an end that nobody knows. */
async function insertMessages(stage: Stage): Promise<string[]> {
  const uuids = Array.from({ length: 300 }, (_, n) =>
    createHash('md5')
      .update(`${seed} ${n}`)
      .digest('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
  );
  for (const [n, uuid] of uuids.entries()) {
    const trustomer_code = `trust${n % 100}`;
    await insertOriginalRow(stage, {
      uuid,
      trustomer_code,
      ...(n % 3 === 0 && { status: 'unconfirmed', twilio_sid: null }),
    });
  }
  return uuids;
}

async function untilSettled(stage: Stage): Promise<number> {
  for (let tries = 0; ; tries += 1) {
    const [open] = await stage.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM message WHERE step IN ('send', 'resolve')",
    );
    if (open?.n === 0 || tries === 60) return open?.n ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

const stage = await setStage({ seed, speed: 100, callbackUrl });
try {
  const env = { LOG_LEVEL: 'ERROR', TWILIO_CALLBACK_OVERRIDES: '', SETTLE_MS: '3000' };
  const replica = await stage.startReplica(env, startFlags);
  const api = readApi(JSON.parse(await (await undiciRequest(`${replica.baseUrl}/openapi.json`)).body.text()));
  const knowledge: Knowledge = { api, uuids: await insertMessages(stage), callbackUrl, authToken: account.token };
  const pool = new Pool(replica.baseUrl, { connections: CONNECTIONS, pipelining: 1 });
  const memory = watchMemory(replica.child.pid ?? 0);
  const raw = Math.floor(requests / RAW_EVERY);
  const whole = drawn(requestsOf(knowledge), requests - raw);
  const bytes = drawn(rawCases, raw);
  const began = performance.now();
  const died = replica.ended.then((how): never => {
    throw new Error(`the service ended (${how}):\n${replica.output().slice(-5_000)}`);
  });
  died.catch(() => {});
  const halves = exchangeAllAtOnce(replica.baseUrl);
  const asking = Promise.all([
    ...Array.from({ length: CONNECTIONS }, () => askAll(api, pool, whole)),
    ...Array.from({ length: RAW_CONNECTIONS }, () => exchangeAll(replica.baseUrl, bytes, RAW_PATIENCE_MS)),
  ]);
  asking.catch(() => {});
  await Promise.race([asking.catch(() => died), died]);
  const seconds = (performance.now() - began) / 1000;
  memory.stop();
  await halves;
  await pool.destroy();
  const unsettled = await untilSettled(stage);
  const created = (await stage.simulator.journal('create')).filter(({ sid }) => sid !== undefined);
  const atTwilio = new Set(created.map(({ m }) => String(m)));
  const handedOver = await stage.query<{ uuid: string }>('SELECT uuid FROM message WHERE handed_over IS NOT NULL');
  const running = await undiciRequest(`${replica.baseUrl}/running`);
  await running.body.dump();
  const verdicts: Verdict[] = [
    { what: 'requests', found: requests, expected: `${Math.round(requests / seconds)} /s` },
    {
      what: 'answers by status',
      found: [...answered]
        .sort(([a], [b]) => a.localeCompare(b))
        .map(([status, times]) => `${status}: ${times}`)
        .join(', '),
    },
    mustBeZero('5xx, no answer, or outside the document', faults.length),
    { what: 'texts at Twilio', found: created.length, expected: 'some', isKept: created.length > 0 },
    mustBeZero('of these, texts that nobody was told of', created.filter(({ m }) => !toldOf.has(String(m))).length),
    mustBeZero('texts twice at Twilio', created.length - atTwilio.size),
    mustBeZero('handed over, but not at Twilio', handedOver.filter(({ uuid }) => !atTwilio.has(uuid)).length),
    mustBeZero('messages without an end', unsettled),
    {
      what: 'memory, growth over the last two thirds',
      found: `${Math.round(memory.growthMb())} MB, to ${Math.round(memory.latestMb())} MB`,
      expected: `≤ ${MAX_GROWTH_MB} MB`,
      ...(memory.isEnough() && { isKept: memory.growthMb() <= MAX_GROWTH_MB }),
    },
    { what: 'the service lives', found: running.statusCode, expected: '200', isKept: running.statusCode === 200 },
  ];
  showProgress('');
  printVerdicts(`Fuzz, seed ${seed}`, verdicts);
  for (const fault of faults.slice(0, 20)) console.log(fault);
  if (isBroken(verdicts)) process.exitCode = 1;
} finally {
  await stage.stop();
}

function exchangeAllAtOnce(baseUrl: string): Promise<unknown> {
  const all = Array.from({ length: 5 }, () => halfRequests).flat();
  return Promise.all(all.map((half) => exchangeAll(baseUrl, [half].values(), HALF_PATIENCE_MS)));
}
