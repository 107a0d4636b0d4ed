import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { cli, operatorAt, startCli } from './support.ts';

/** Filters, pages and formats, as the wire contract has them: what is asked, and what is made of the answers. */

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function serve(answer: (query: URLSearchParams, response: ServerResponse, request: IncomingMessage) => void) {
  const asked: { query: Record<string, string>; accept: string | undefined }[] = [];
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://service');
    asked.push({ query: Object.fromEntries(searchParams), accept: request.headers.accept });
    answer(searchParams, response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const message = (n: number) => ({
  uuid: randomUUID(),
  created: `2026-10-01T10:00:00.${String(n).padStart(3, '0')}Z`,
  modified: '2026-10-01T10:00:00.000Z',
  sender: '+447700900001',
  receiver: '+447700900123',
  content: 'canary',
  status: 'delivered',
  trustomer_code: 'ouh',
  product_name: 'gdm',
});
const messages = Array.from({ length: 1_200 }, (_, n) => message(n));

/** Pages of the messages; the cursor is the place of the next one. */
function page(query: URLSearchParams, response: ServerResponse): void {
  const from = Number(query.get('cursor') ?? 0);
  const limit = Number(query.get('limit'));
  const isLast = from + limit >= messages.length;
  // As behind a proxy that serves this under another address.
  const next = `<https://elsewhere.example/base/dhos/v1/sms?limit=${limit}&cursor=${from + limit}>; rel="next"`;
  response.setHeader('content-type', 'application/json');
  if (!isLast) response.setHeader('link', next);
  response.end(JSON.stringify(messages.slice(from, from + limit)));
}

const idsIn = (text: string) => [...text.matchAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g)].map(([uuid]) => uuid);

describe('list', () => {
  test('passes every filter on under its name of the wire; a day is all of it', async () => {
    const { asked, url } = await serve((_query, response) => response.end('[]'));
    const flags = ['--status', 'sent', '--error-code', '30003', '--receiver', '07700 900123', '--twilio-sid', 'SM1'];
    const times = ['--created-after', '2026-10-01', '--created-before', '2026-10-02'];
    await cli(['list', ...flags, ...times, '--limit', '7'], operatorAt(url));
    expect(asked.map(({ query }) => query)).toEqual([
      {
        status: 'sent',
        error_code: '30003',
        receiver_e164: '07700 900123',
        twilio_sid: 'SM1',
        created_after: '2026-10-01T00:00:00Z',
        created_before: '2026-10-02T23:59:59.999999Z',
        limit: '7',
      },
    ]);
  });

  test('--all goes from page to page of its own address, with the same filters, under one heading', async () => {
    const { asked, url } = await serve(page);
    const { code, stdout, stderr } = await cli(['list', '--all', '--status', 'delivered'], operatorAt(url));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(idsIn(stdout)).toEqual(messages.map(({ uuid }) => uuid));
    expect(stdout.match(/created \(UTC\)/g)).toHaveLength(1);
    expect(asked.map(({ query }) => query)).toEqual([
      { status: 'delivered', limit: '500' },
      { status: 'delivered', limit: '500', cursor: '500' },
      { status: 'delivered', limit: '500', cursor: '1000' },
    ]);
  });

  test('without --all it is said that there are more', async () => {
    const { url } = await serve(page);
    for (const args of [['list'], ['list', '--json']]) {
      const { code, stderr } = await cli(args, operatorAt(url));
      expect([code, stderr]).toEqual([0, expect.stringMatching(/^There may be more: --all /)]);
    }
  });

  test('--csv is what the service writes, byte for byte', async () => {
    const csv = 'uuid,content\r\n1,"two\r\nlines, äöü"\r\n2,\'=1+1\r\n';
    const { asked, url } = await serve((_query, response) => response.setHeader('content-type', 'text/csv').end(csv));
    expect(await cli(['list', '--all', '--csv'], operatorAt(url))).toEqual({ code: 0, stdout: csv, stderr: '' });
    expect(asked).toEqual([{ query: {}, accept: 'text/csv' }]);
  });

  test('a reader that goes away ends an endless list, without a fault', async () => {
    const { url } = await serve((_query, response) => {
      response.setHeader('content-type', 'text/csv');
      const write = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      };
      response.on('drain', write);
      write();
    });
    const { ended, closeStdout } = startCli(['list', '--all', '--csv'], operatorAt(url));
    await closeStdout();
    expect(await ended).toMatchObject({ code: 0, stderr: '' });
  });
});

test('report --csv is what the service writes', async () => {
  const csv = 'day,status,count\r\n2026-10-01,sent,2\r\n';
  const { asked, url } = await serve((_query, response) => response.setHeader('content-type', 'text/csv').end(csv));
  const { stdout } = await cli(['report', '--month', '2026-10', '--csv'], operatorAt(url));
  expect(stdout).toBe(csv);
  expect(asked[0]?.accept).toBe('text/csv');
});

test.for([
  ['list', '--csv'],
  ['report', '--month', '2026-10', '--csv'],
])('JSON is not passed off as CSV: %j', async (args) => {
  const { url } = await serve((_query, response) => response.setHeader('content-type', 'application/json').end('[]'));
  const { code, stdout, stderr } = await cli(args, operatorAt(url));
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
  expect(stderr).toContain('does not write CSV');
});
