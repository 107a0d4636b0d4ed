import { connect } from 'node:net';
import fc from 'fast-check';

/** Bytes that no HTTP client would send. */

export type RawCase = {
  readonly what: string;
  readonly bytes: string;
  /** The statuses of all answers; null = any below 500, or none. More answers than requests would mean that one was smuggled in. */
  readonly expected: readonly number[] | null;
};

export type RawSaid = { readonly statuses: readonly number[]; readonly toldOf: readonly string[] };

const text = '{"sender":"+447700900001","receiver":"+447700900123","content":"smuggled"}';
const send = `POST /dhos/v1/sms HTTP/1.1\r\nhost: sms\r\nx-trustomer: raw\r\nx-product: gdm\r\ncontent-type: application/json\r\n`;
const hidden = `${send}content-length: ${text.length}\r\nconnection: close\r\n\r\n${text}`;
const get = 'GET /running HTTP/1.1\r\nhost: sms\r\n';
const last = `${get}connection: close\r\n\r\n`;
const twice = (line: string) => `${line}\r\n${line}\r\n`;

function refused(what: string, bytes: string, status = 400): RawCase {
  return { what, bytes, expected: [status] };
}

/** A hidden send stands where a server that reads the length in another way would see the next request. */
const smuggling: readonly RawCase[] = [
  refused('length and chunks', `${send}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`),
  refused('chunks and length', `${send}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n${hidden}`),
  refused('two lengths', `${send}content-length: 0\r\ncontent-length: ${hidden.length}\r\n\r\n${hidden}`),
  refused('the same length twice', `${send}${twice('content-length: 2')}\r\n{}${hidden}`),
  ...['+2', '-1', '0x2', '2, 2', '2 2', '٢', '1e1', '99999999999999999999999'].map((length) =>
    refused(`a length of ${length}`, `${send}content-length: ${length}\r\n\r\n{}${hidden}`),
  ),
  ...['xchunked', 'chunked, identity', 'chunked x', '"chunked"', 'gzip'].map((coding) =>
    refused(`the coding ${coding}`, `${send}transfer-encoding: ${coding}\r\n\r\n0\r\n\r\n${hidden}`),
  ),
  refused('a coding with a space before its colon', `${send}transfer-encoding : chunked\r\n\r\n0\r\n\r\n${hidden}`),
  refused('a coding on a folded line', `${send}transfer-encoding:\n chunked\r\n\r\n0\r\n\r\n${hidden}`),
  ...['zz', '-1', ' 2', '0x2', 'FFFFFFFFFFFFFFFFFF', '2\n', ''].map((size) =>
    refused(
      `a chunk of size ${JSON.stringify(size)}`,
      `${send}transfer-encoding: chunked\r\n\r\n${size}\r\n{}\r\n0\r\n\r\n${hidden}`,
    ),
  ),
  refused('a chunk longer than its size', `${send}transfer-encoding: chunked\r\n\r\n2\r\n{}}}\r\n0\r\n\r\n${hidden}`),
  {
    what: 'a send inside the body of another',
    bytes: `${send}content-length: ${hidden.length}\r\nconnection: close\r\n\r\n${hidden}`,
    expected: [400],
  },
  {
    what: 'a send inside the body of a GET',
    bytes: `${get}content-length: ${hidden.length}\r\nconnection: close\r\n\r\n${hidden}`,
    expected: [200],
  },
  { what: 'a send after the last request', bytes: `${last}${hidden}`, expected: [200] },
];

const broken: readonly RawCase[] = [
  refused('a line feed in a value', `${get}x-a: 1\nx-b 2\r\n\r\n`),
  refused('a return in a value', `${get}x-a: 1\rx-b: 2\r\n\r\n`),
  refused('NUL in a value', `${get}x-a: \0\r\n\r\n`),
  refused('NUL in the address', 'GET /run\0ning HTTP/1.1\r\nhost: sms\r\n\r\n'),
  refused('a space in a name', `${get}x a: 1\r\n\r\n`),
  refused('a header without a name', `${get}: 1\r\n\r\n`),
  refused('no host', 'GET /running HTTP/1.1\r\n\r\n'),
  refused('HTTP/3.0', 'GET /running HTTP/3.0\r\nhost: sms\r\n\r\n'),
  refused('HTTP/2 at once', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0'),
  refused('TLS', '\u0016\u0003\u0001\0\u00a5\u0001\0\0\u00a1\u0003\u0003'),
  refused('a method that nobody knows', 'BREW /running HTTP/1.1\r\nhost: sms\r\n\r\n'),
  refused('headers without end', `${get}x-a: ${'x'.repeat(70_000)}`, 431),
  refused('headers by the thousand', `${get}${'x: 1\r\n'.repeat(5_000)}\r\n`, 431),
  refused('an address without end', `GET /${'x'.repeat(70_000)} HTTP/1.1\r\n`, 431),
  {
    what: 'an absolute address',
    bytes: `GET http://elsewhere.example/running HTTP/1.1\r\nhost: sms\r\nconnection: close\r\n\r\n`,
    expected: null,
  },
  { what: 'a tunnel', bytes: 'CONNECT elsewhere.example:443 HTTP/1.1\r\nhost: sms\r\n\r\n', expected: null },
  { what: 'an asterisk', bytes: 'OPTIONS * HTTP/1.1\r\nhost: sms\r\nconnection: close\r\n\r\n', expected: null },
  { what: 'a web socket', bytes: `${get}connection: Upgrade, close\r\nupgrade: websocket\r\n\r\n`, expected: null },
  {
    what: 'an expectation that nobody knows',
    bytes: `${get}expect: wonders\r\nconnection: close\r\n\r\n`,
    expected: null,
  },
  { what: 'HTTP/0.9', bytes: 'GET /running\r\n\r\n', expected: [200] },
  { what: 'HTTP/1.0', bytes: 'GET /running HTTP/1.0\r\n\r\n', expected: [200] },
  { what: 'twenty at once', bytes: `${get}\r\n`.repeat(19) + last, expected: Array.from({ length: 20 }, () => 200) },
  { what: 'a good one, then a broken one', bytes: `${get}\r\nBREW\r\n\r\n`, expected: [200, 400] },
];

/** Cut off in the middle, and silent from then on: 408 when their time is over. */
export const halfRequests: readonly RawCase[] = [
  refused('half a request line', 'GET /runn', 408),
  refused('half the headers', `${get}x-a: 1`, 408),
  refused('half a body', `${send}content-length: ${text.length}\r\n\r\n${text.slice(0, 10)}`, 408),
  refused('half a chunk', `${send}transfer-encoding: chunked\r\n\r\n40\r\n${text.slice(0, 10)}`, 408),
];

type Edit = { readonly at: number; readonly cut: number; readonly paste: string };

const edits = fc.array(
  fc.record({
    at: fc.nat(400),
    cut: fc.nat(4),
    paste: fc.oneof(
      fc.constantFrom('\r\n', '\n', '\r', '\0', ' ', ':', ',', '\u0085', 'Ā', ''),
      fc.string({ unit: 'binary', maxLength: 3 }),
    ),
  }),
  { minLength: 1, maxLength: 4 },
);
const bases = fc.constantFrom(
  last,
  hidden,
  hidden.replace('/dhos/v1/sms', '/dhos/v1/sms/callback'),
  `DELETE${last.slice(3)}`,
);

export const rawCases: fc.Arbitrary<RawCase> = fc.oneof(
  fc.constantFrom(...smuggling),
  fc.constantFrom(...broken),
  fc
    .tuple(bases, edits)
    .map(([base, changes]) => ({ what: 'edited bytes', bytes: changes.reduce(edit, base), expected: null })),
  fc
    .uint8Array({ minLength: 1, maxLength: 200 })
    .map((bytes) => ({ what: 'noise', bytes: Buffer.from(bytes).toString('latin1'), expected: null })),
);

function edit(bytes: string, { at, cut, paste }: Edit): string {
  const place = at % (bytes.length + 1);
  return bytes.slice(0, place) + paste + bytes.slice(place + cut);
}

/** Sends the bytes as they are; ends when the service closes, or has been silent for `patienceMs`. */
export function exchange(baseUrl: string, bytes: string, patienceMs: number): Promise<RawSaid> {
  const { hostname, port } = new URL(baseUrl);
  return new Promise((resolve, reject) => {
    let heard = '';
    const socket = connect(Number(port), hostname, () => socket.write(Buffer.from(bytes)));
    socket.setTimeout(patienceMs, () => socket.destroy());
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
    });
    // It may close while there is more to write to it.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') reject(error);
    });
    socket.on('close', () => resolve({ statuses: statusesIn(heard), toldOf: idsIn(heard) }));
  });
}

const statusesIn = (heard: string) =>
  [...heard.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)).filter((status) => status !== 100);
const idsIn = (heard: string) => [...heard.matchAll(/x-message-id: (\S+)/gi)].map(([, uuid = '']) => uuid);

export function faultOfRaw({ what, bytes, expected }: RawCase, { statuses }: RawSaid): string | null {
  const shown = JSON.stringify(bytes.slice(0, 300));
  if (statuses.some((status) => status >= 500)) return `${what} was answered ${statuses}: ${shown}`;
  if (expected === null || expected.join() === statuses.join()) return null;
  return `${what} was answered ${statuses.join() || 'not at all'}, not ${expected.join()}: ${shown}`;
}
