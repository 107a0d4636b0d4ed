import type { Api, Asking, Reply } from './api.ts';
import { type Call, type Command, callerHeaders, wrongUse } from './command.ts';
import { endOf, startOf } from './period.ts';
import { print, remark } from './terminal.ts';
import { readMessages, type WireMessage } from './wire.ts';
import { maskReceiver, minuteOf, printable, table, wrap } from './words.ts';

const PAGE = 500;
const MOST = 100_000;

export const list: Command = {
  about:
    "Lists the tenant's messages, newest first; times are UTC. On the screen numbers show their last four digits and texts are " +
    'left out unless --reveal is given; --json and --csv hold both, whole.',
  flags: {
    status: { value: 'STATUS', about: 'only those with this status' },
    'error-code': { value: 'CODE', about: "only those with this code of Twilio's" },
    'created-after': { value: 'TIME', about: 'created then or later: a UTC day, or a moment with a zone' },
    'created-before': { value: 'TIME', about: 'created then or earlier; of a day, all of it' },
    receiver: { value: 'NUMBER', about: 'only those to this number, in any spelling' },
    'twilio-sid': { value: 'SID', about: "only the one with this SID of Twilio's" },
    limit: { value: 'N', about: 'how many (50)' },
    all: { about: 'all of them, however many' },
    csv: { about: 'as CSV, for a spreadsheet' },
    reveal: { about: 'whole numbers, and texts' },
  },
  examples: [
    '--status undelivered --created-after 2026-11-23',
    '--all --csv --created-after 2026-11-01 > november.csv',
  ],
  timeoutS: 300,
  tenant: 'needed',
  run: async (call) => {
    if (call.is('csv') && call.is('json')) throw wrongUse('list', 'Give either --csv or --json.');
    if (call.is('all') && call.text('limit') !== undefined) throw wrongUse('list', 'Give either --all or --limit.');
    const limit = call.whole('limit', 50, 1, MOST);
    const asking = readAsking(call);
    if (call.is('csv') || call.is('json')) await pass(call.api(), withLimit(asking, call.is('all') ? null : limit));
    else await showTable(call, withLimit(asking, call.is('all') ? PAGE : limit));
    return 'done';
  },
};

function readAsking(call: Call): Asking {
  const [after, before] = [call.text('created-after'), call.text('created-before')];
  return {
    path: '/dhos/v1/sms',
    query: {
      status: call.text('status'),
      error_code: call.text('error-code'),
      created_after: after === undefined ? undefined : startOf(after),
      created_before: before === undefined ? undefined : endOf(before),
      receiver_e164: call.text('receiver'),
      twilio_sid: call.text('twilio-sid'),
    },
    headers: { ...callerHeaders(call.tenant()), accept: call.is('csv') ? 'text/csv' : 'application/json' },
  };
}

function withLimit(asking: Asking, limit: number | null): Asking {
  return { ...asking, query: { ...asking.query, ...(limit !== null && { limit: String(limit) }) } };
}

/** As the service writes it, in constant memory; without a limit it streams everything. */
async function pass(api: Api, asking: Asking): Promise<void> {
  const reply = await api.demandInto(asking, process.stdout);
  if (/json/.test(reply.headers['content-type'] ?? '')) print('\n');
  if (cursorOfNext(reply) !== null) remark('There may be more: --all gives all of them.\n');
}

/** Page by page, so that a long list begins at once. */
async function showTable(call: Call, first: Asking): Promise<void> {
  const api = call.api();
  let shown = 0;
  for (let asking: Asking | null = first; asking !== null; ) {
    const reply: Reply = await api.demand(asking);
    const messages = readMessages(reply);
    if (messages.length > 0) print(tableOf(messages, call.is('reveal'), shown === 0));
    shown += messages.length;
    const cursor = cursorOfNext(reply);
    if (cursor !== null && !call.is('all')) remark('There may be more: --all shows all of them.\n');
    asking = cursor !== null && call.is('all') ? { ...first, query: { ...first.query, cursor } } : null;
  }
  if (shown === 0) remark('There are none.\n');
}

/** Of `Link: <…?cursor=…>; rel="next"`; only the cursor counts: behind a proxy the address may not be ours. */
function cursorOfNext({ headers }: Reply): string | null {
  const [, address] = /<([^<>]*)>\s*;[^,<]*\brel="?next\b/.exec(String(headers.link ?? '')) ?? [];
  return address === undefined ? null : new URL(address, 'http://service').searchParams.get('cursor');
}

/** The same widths on every page. */
const widths = [16, 11, 7, 5];

function tableOf(messages: readonly WireMessage[], isRevealed: boolean, withHead: boolean): string {
  const head = ['created (UTC)', 'status', 'to', 'error', 'message'].map(padColumn);
  const rows = messages.map((message) => [
    minuteOf(message.created),
    printable(message.status ?? ''),
    maskReceiver(message.receiver),
    printable(message.error_code ?? ''),
    printable(message.uuid),
  ]);
  const [first = '', ...lines] = table(
    head,
    rows.map((row) => row.map(padColumn)),
  ).split(/(?<=\n)/);
  const body = lines.map((line, n) => line + (isRevealed ? revealed(messages[n]) : ''));
  return (withHead ? first : '') + body.join('');
}

function padColumn(cell: string, n: number): string {
  return cell.padEnd(widths[n] ?? 0);
}

function revealed(message: WireMessage | undefined): string {
  return message === undefined ? '' : wrap(printable(`${message.receiver}  ${message.content}`), '    ');
}
