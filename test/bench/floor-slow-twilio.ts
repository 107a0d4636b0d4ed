import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** As little of Twilio as a sender needs: each create is answered 201 with a SID of its own after a fixed time. */
const LATENCY_MS = Number(process.argv[2] ?? 50);

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const form = new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
    const body = JSON.stringify(resourceOf(form));
    setTimeout(() => {
      response.writeHead(201, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
      response.end(body);
    }, LATENCY_MS);
  });
});

function resourceOf(form: URLSearchParams): object {
  const now = new Date().toUTCString().replace('GMT', '+0000');
  return {
    account_sid: `AC${'0'.repeat(32)}`,
    api_version: '2010-04-01',
    body: form.get('Body'),
    date_created: now,
    date_sent: null,
    date_updated: now,
    direction: 'outbound-api',
    error_code: null,
    error_message: null,
    from: form.get('From'),
    messaging_service_sid: null,
    num_media: '0',
    num_segments: '1',
    price: null,
    price_unit: 'USD',
    sid: `SM${randomBytes(16).toString('hex')}`,
    status: 'queued',
    to: form.get('To'),
  };
}

server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
