import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { type Api, NoReply, type Reply } from './api.ts';
import { type Call, type Command, callerHeaders, wrongUse } from './command.ts';
import { Failure } from './failure.ts';
import { asFailure } from './refusal.ts';
import { print, printJson, remark } from './terminal.ts';
import { readMessage } from './wire.ts';
import { printable, wrap } from './words.ts';

const ANSWER_WITHIN_MS = 20_000;
/** Twice as long each time. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 10_000;

export const send: Command = {
  about:
    'Sends a text. It carries an idempotency key, so that asking again is safe: while the service says 503 with Retry-After, ' +
    'or the connection fails, it is asked again with the same key until --timeout. Exit code 0: the service has it for good ' +
    '(200: Twilio has it; 202: recorded, the service owns it to its end). 1: refused. 3: not sent, or not known, which it says. ' +
    'Shells remember what is typed: --text-file keeps a text out of their history.',
  flags: {
    to: { value: 'NUMBER', about: 'the receiver, in any usual spelling' },
    from: { value: 'SENDER', about: 'the sender: a number, a short code, a name, or MG…' },
    text: { value: 'TEXT', about: 'the text' },
    'text-file': {
      value: 'FILE',
      about: 'the text from a file, - for standard input; one line end at its end is left out',
    },
    key: { value: 'KEY', about: 'the idempotency key (a new one)' },
    async: { about: 'record it and send it afterwards' },
    'valid-until': { value: 'TIME', about: 'never send it after this moment, for example 2026-11-23T18:00:00Z' },
  },
  examples: [
    "--to '07700 900123' --from Clinic --text-file reminder.txt",
    '--to +447700900123 --from Clinic --text-file - --async',
  ],
  timeoutS: 60,
  tenant: 'needed',
  run: async (call) => {
    const request = await readRequest(call);
    const key = call.text('key') ?? randomUUID();
    const headers = {
      ...callerHeaders(call.tenant()),
      'content-type': 'application/json',
      'idempotency-key': key,
      ...(call.is('async') && { prefer: 'respond-async' }),
    };
    const api = call.api();
    // Before anything leaves: whoever interrupts this must be able to ask again.
    remark(`Idempotency key: ${printable(key)}\n`);
    const reply = await askUntilAnswered(api, { headers, body: JSON.stringify(request) });
    if (reply.status !== 200 && reply.status !== 202) throw notSent(reply, api.baseUrl);
    if (call.is('json')) printJson(reply.body);
    else print(describe(reply));
    return 'done';
  },
};

async function readRequest(call: Call): Promise<object> {
  return {
    sender: call.needed('from'),
    receiver: call.needed('to'),
    content: await readText(call),
    valid_until: call.text('valid-until'),
  };
}

async function readText(call: Call): Promise<string> {
  const [text, file] = [call.text('text'), call.text('text-file')];
  if ((text === undefined) === (file === undefined)) throw wrongUse('send', 'Give either --text or --text-file.');
  return text ?? (await readTextFile(file ?? ''));
}

/** Refuses what is not UTF-8: a lenient decoder would send question marks to a patient. */
async function readTextFile(file: string): Promise<string> {
  const bytes = await (file === '-' ? buffer(process.stdin) : readFile(file)).catch((cause) => {
    throw wrongUse('send', 'The file of --text-file cannot be read.', cause);
  });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r?\n$/, '');
  } catch (cause) {
    throw wrongUse('send', 'The text is not valid UTF-8.', cause);
  }
}

type Sending = { readonly headers: Record<string, string>; readonly body: string };

/** The same key each time, so at most one text comes of it (G7). Refuses when time is over and no answer has come. */
async function askUntilAnswered(api: Api, sending: Sending): Promise<Reply> {
  const giveUpAt = performance.now() + api.timeoutMs;
  let mayHaveArrived = false;
  for (let breakMs = FIRST_PAUSE_MS; ; breakMs = Math.min(breakMs * 2, LONGEST_PAUSE_MS)) {
    const timeoutMs = Math.max(1, Math.min(ANSWER_WITHIN_MS, Math.round(giveUpAt - performance.now())));
    const reply = await api.ask({ method: 'POST', path: '/dhos/v1/sms', timeoutMs, ...sending }).catch(asNoReply);
    if (reply instanceof NoReply) mayHaveArrived ||= reply.mayHaveArrived;
    const pauseMs = reply instanceof NoReply ? breakMs : pauseAskedFor(reply);
    const isLast = pauseMs === null || performance.now() + pauseMs >= giveUpAt;
    if (isLast && reply instanceof NoReply) throw notKnown(reply, mayHaveArrived);
    if (isLast) return reply as Reply;
    remark(`${reply instanceof NoReply ? reply.message : `HTTP status ${reply.status}.`} Asking again.\n`);
    await wait(pauseMs);
  }
}

function asNoReply(error: unknown): NoReply {
  if (error instanceof NoReply) return error;
  throw error;
}

/** 503 with Retry-After: not sent, asking again is safe. 409 with it: the first request with this key still runs. */
function pauseAskedFor({ status, headers }: Reply): number | null {
  const retryAfter = headers['retry-after'] ?? '';
  return (status === 503 || status === 409) && /^\d{1,5}$/.test(retryAfter) ? Number(retryAfter) * 1000 : null;
}

function notKnown(reply: NoReply, mayHaveArrived: boolean): Failure {
  const sentence = mayHaveArrived
    ? 'It is NOT KNOWN whether the text was taken: ask again with the same --key, within 72 hours.'
    : 'Nothing was sent.';
  return new Failure('unreachable', `${reply.message} ${sentence}`, { cause: reply });
}

function notSent(reply: Reply, baseUrl: string): Failure {
  const failure = asFailure(reply, baseUrl);
  if (failure.json === null) return failure;
  const runsStill = reply.status === 409 && reply.headers['retry-after'] !== undefined;
  const what = runsStill ? 'Not known yet:' : 'Not sent:';
  return new Failure(failure.ending, `${what} ${failure.message}`, { json: reply.body });
}

function describe(reply: Reply): string {
  const { uuid, status = '' } = readMessage(reply);
  const again = reply.headers['idempotency-replayed'] === 'true' ? 'This key has been used before; its message: ' : '';
  const said =
    reply.status === 200
      ? `Twilio has it (200), as ${printable(status)}.`
      : 'Recorded (202): the service owns it to its end. Do not send it again.';
  return `${wrap(again + said)}${printable(uuid)}\n`;
}
