import { Pool, request as undiciRequest } from 'undici';
import { fractionOf } from '../../src/simulator/draw.ts';
import { sign } from '../../src/twilio/signature.ts';
import { readKnobs } from './knobs.ts';
import { account, setStage } from './stage.ts';
import { isBroken, mustBeZero, printVerdicts, showProgress, type Verdict } from './verdict.ts';

/** `make fuzz`: requests of every wrong kind. None may be answered 5xx, and none may send a text that was not asked for. */

const help = `Sends seeded nonsense to the service, and good requests in between.

  --requests N   how many (100000)
  --seed N       the same seed asks the same (1)
  --help         this text`;

const { requests, seed } = readKnobs(help, { requests: 100_000, seed: 1 }, []);
const CONNECTIONS = 16;

/** The n-th request's own sequence of draws, from 0 to 1. */
function drawsOf(n: number): () => number {
  let k = 0;
  return () => {
    k += 1;
    return fractionOf(seed, 'fuzz', String(n), String(k));
  };
}

const pick = <Value>(draw: () => number, values: readonly Value[]): Value =>
  values[Math.floor(draw() * values.length)] as Value;

const nastyTexts = [
  '',
  ' ',
  '\0',
  '\ud800',
  'x'.repeat(1601),
  '🙂'.repeat(801),
  "'; DROP TABLE message; --",
  '<script>alert(1)</script>',
  '%00%0d%0aX-Evil: 1',
  '../../etc/passwd',
  '{{7*7}}',
  '\u202e\u200b',
  '1e309',
  '-0',
  'null',
];
const nastyValues: readonly unknown[] = [
  ...nastyTexts,
  null,
  0,
  -1,
  Number.MAX_VALUE,
  true,
  [],
  {},
  [['x']],
  { $ne: 1 },
  { toString: 'x' },
  JSON.parse('{"__proto__":{"sender":"x"}}'),
  nested(200),
];
const names = [
  'sender',
  'receiver',
  'content',
  'error_code',
  'valid_until',
  'status',
  'uuid',
  'created',
  '__proto__',
  'constructor',
  'deleted',
];
const nastyHeaders: readonly Record<string, string>[] = [
  {},
  { 'idempotency-key': 'k'.repeat(256) },
  { 'idempotency-key': '' },
  { prefer: 'wait=10; respond-async=maybe, ,=,;' },
  { 'x-trustomer': '' },
  { 'x-trustomer': 'a,b' },
  { 'x-request-id': 'x'.repeat(500) },
  { 'content-type': 'text/plain' },
  { 'content-type': 'application/json; charset=utf-16' },
  { 'content-encoding': 'gzip' },
  { 'if-none-match': '*' },
  { accept: 'image/png' },
  { 'x-http-method-override': 'DELETE' },
];
const paths = [
  '/dhos/v1/sms',
  '/dhos/v1/sms?limit=-1',
  '/dhos/v1/sms?limit=99999999999999',
  '/dhos/v1/sms?receiver=%00',
  '/dhos/v1/sms?cursor=AAAA',
  '/dhos/v1/sms?limit=1&cursor=%00',
  '/dhos/v1/sms?created_after=2026-02-30T00:00:00Z',
  '/dhos/v1/sms?created_before=yesterday',
  '/dhos/v1/sms?status=%ED%A0%80',
  '/dhos/v1/sms?twilio_sid[]=1',
  '/dhos/v1/sms?receiver[]=1',
  '/dhos/v1/sms/%00',
  '/dhos/v1/sms/%ff%fe',
  `/dhos/v1/sms/${'x'.repeat(600)}`,
  '/dhos/v1/sms/x/events',
  '/dhos/v1/sms/x/settle',
  '/dhos/v1/sms/..%2f..%2fmetrics',
  '/dhos/v1/sms_status_counts?start_date=x&end_date=y',
  '/dhos/v1/sms_status_counts?start_date=0000-00-00T00:00:00Z&end_date=9999-12-31T23:59:59Z',
  '/dhos/v1/sms/callback',
  '/running?x=1',
  '/version',
  '//',
  '/%',
];
const methods = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'] as const;

type Asked = {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
};

function nested(depth: number): unknown {
  let value: unknown = 'x';
  for (let n = 0; n < depth; n += 1) value = n % 2 === 0 ? [value] : { a: value };
  return value;
}

const tenant = { 'x-trustomer': 'OUH', 'x-product': 'GDM', 'content-type': 'application/json' };

function goodBody(n: number): Record<string, unknown> {
  return {
    sender: '+447700900001',
    receiver: `+4477009001${String(n % 90).padStart(2, '0')}`,
    content: `Fuzz number ${n}`,
  };
}

function ask(n: number): Asked {
  const draw = drawsOf(n);
  const kind = draw();
  if (kind < 0.05) return { method: 'POST', path: '/dhos/v1/sms', headers: tenant, body: JSON.stringify(goodBody(n)) };
  if (kind < 0.5) return spoiltSend(n, draw);
  if (kind < 0.6) return brokenJson(n, draw);
  if (kind < 0.8) return spoiltCallback(draw);
  const headers = { ...tenant, ...pick(draw, nastyHeaders) };
  const method = pick(draw, methods);
  const hasBody = method !== 'GET' && method !== 'HEAD';
  return {
    method,
    path: pick(draw, paths),
    headers,
    ...(hasBody && { body: JSON.stringify(pick(draw, nastyValues)) }),
  };
}

function spoiltSend(n: number, draw: () => number): Asked {
  const body = goodBody(n);
  const times = 1 + Math.floor(draw() * 3);
  for (let k = 0; k < times; k += 1) {
    const name = pick(draw, names);
    if (draw() < 0.2) delete body[name];
    else
      Object.defineProperty(body, name, {
        value: pick(draw, nastyValues),
        enumerable: true,
        configurable: true,
        writable: true,
      });
  }
  return {
    method: 'POST',
    path: '/dhos/v1/sms',
    headers: { ...tenant, ...pick(draw, nastyHeaders) },
    body: JSON.stringify(body),
  };
}

function brokenJson(n: number, draw: () => number): Asked {
  const whole = JSON.stringify(goodBody(n));
  const cut = Math.floor(draw() * whole.length);
  const body = pick(draw, [
    whole.slice(0, cut),
    `${whole}${whole}`,
    whole.replaceAll('"', "'"),
    `[${whole}]`,
    '['.repeat(5_000),
  ]);
  return { method: 'POST', path: '/dhos/v1/sms', headers: tenant, body };
}

function spoiltCallback(draw: () => number): Asked {
  const form = new URLSearchParams({
    MessageSid: pick(draw, ['', 'SM1', ...nastyTexts]),
    MessageStatus: pick(draw, ['sent', 'x', ...nastyTexts]),
  });
  for (let k = draw() * 5; k > 0; k -= 1)
    form.append(pick(draw, ['ErrorCode', '__proto__', 'a[b]', 'X'.repeat(300)]), pick(draw, nastyTexts));
  const query = pick(draw, ['', '?m=x&a=1', '?m=%00', `?m=${'a'.repeat(36)}&a=99999999999`]);
  const url = `${callbackUrl}${query}`;
  const signature = draw() < 0.5 ? sign(account.token, url, form) : 'forged';
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'x-twilio-signature': signature };
  return { method: 'POST', path: `/dhos/v1/sms/callback${query}`, headers, body: form.toString() };
}

const callbackUrl = 'http://127.0.0.1:1/dhos/v1/sms/callback';
const stage = await setStage({ seed, speed: 100, callbackUrl });
try {
  const replica = await stage.startReplica({ LOG_LEVEL: 'ERROR', TWILIO_CALLBACK_OVERRIDES: '' });
  const pool = new Pool(replica.baseUrl, { connections: CONNECTIONS, pipelining: 1 });
  const answered = new Map<number, number>();
  const faults: string[] = [];
  let taken = 0;
  let next = 0;
  const began = performance.now();
  const worker = async () => {
    while (next < requests) {
      const n = next;
      next += 1;
      if (n % 500 === 0) showProgress(`${n} of ${requests} requests, ${faults.length} faults`);
      const { path, method, headers, body } = ask(n);
      try {
        const answer = await pool.request({ path, method: method as 'GET', headers, body: body ?? null });
        await answer.body.dump();
        answered.set(answer.statusCode, (answered.get(answer.statusCode) ?? 0) + 1);
        if (answer.statusCode >= 500) faults.push(`request ${n}: ${method} answered ${answer.statusCode}`);
        if (method === 'POST' && path === '/dhos/v1/sms' && answer.statusCode < 300) taken += 1;
      } catch (error) {
        faults.push(`request ${n}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  await pool.destroy();
  const seconds = (performance.now() - began) / 1000;
  const rows = await stage.query<{ n: number }>(
    "SELECT count(*)::int AS n FROM message WHERE status <> 'error' AND (step IS NULL OR step IN ('poll', 'redact'))",
  );
  const { messages } = await stage.simulator.ask<{ messages: { accepted: number } }>('state');
  const running = await undiciRequest(`${replica.baseUrl}/running`);
  await running.body.dump();
  const verdicts: Verdict[] = [
    { what: 'requests', found: requests, expected: `${Math.round(requests / seconds)} /s` },
    {
      what: 'answers by status',
      found: [...answered]
        .sort(([a], [b]) => a - b)
        .map(([status, count]) => `${status}: ${count}`)
        .join(', '),
    },
    mustBeZero('5xx, or no answer', faults.length),
    mustBeZero('texts at Twilio that nobody was told of', messages.accepted - taken),
    mustBeZero('texts told of that are not at Twilio', taken - (rows[0]?.n ?? 0)),
    { what: 'the service lives', found: running.statusCode, expected: '200', isKept: running.statusCode === 200 },
  ];
  showProgress('');
  printVerdicts(`Fuzz, seed ${seed}`, verdicts);
  for (const fault of faults.slice(0, 10)) console.log(fault);
  if (isBroken(verdicts)) process.exitCode = 1;
} finally {
  await stage.stop();
}
