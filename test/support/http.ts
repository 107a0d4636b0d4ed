import { STATUS_CODES } from 'node:http';
import { connect } from 'node:net';
import { expect } from 'vitest';
import type { Answer } from './service.ts';

/** The one shape of errors, its six fields and no other, unless `more` names some. */
export function expectProblem(answer: Answer, status: number, detail: string | RegExp, more: object = {}): void {
  expect(answer.text).toMatch(/^\{/);
  const said = typeof detail === 'string' ? detail : answer.json.detail;
  expect(answer.json).toEqual({
    type: 'about:blank',
    title: STATUS_CODES[status],
    status,
    detail: said,
    message: said,
    code: status,
    ...more,
  });
  if (typeof detail !== 'string') expect(said).toMatch(detail);
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json(; charset=utf-8)?$/);
}

export type RawAnswer = { readonly status: number; readonly head: string; readonly body: string };

/** Sends bytes that no HTTP client would, and reads what comes back until the service closes the connection. */
export async function sendRaw(baseUrl: string, bytes: string | Buffer): Promise<RawAnswer> {
  const [head = '', body = ''] = (await readRaw(baseUrl, bytes)).split('\r\n\r\n', 2);
  return { status: Number(head.split(' ')[1]), head, body };
}

/** The same, as one text: of requests that came together, all answers. */
export function readRaw(baseUrl: string, bytes: string | Buffer): Promise<string> {
  const { hostname, port } = new URL(baseUrl);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('utf8')));
  });
}

/** A whole request in bytes, after which the service closes the connection. */
export function rawRequest(
  method: string,
  path: string,
  headers: Record<string, string>,
  body: string | Buffer = '',
): Buffer {
  const all = { host: 'sms', connection: 'close', 'content-length': String(Buffer.byteLength(body)), ...headers };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\n${head.join('')}\r\n`, 'latin1'),
    Buffer.from(body),
  ]);
}
