import { connect } from 'node:net';
import { parseArgs } from 'node:util';

/**
 * One core that floods the service with callbacks until it is killed, as fast as the answers come: raw sockets, bytes made
 * ready beforehand, `depth` requests at once on each connection. Says on every SIGUSR2 how many were answered, and how.
 */
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '' },
    connections: { type: 'string', default: '64' },
    depth: { type: 'string', default: '1' },
    signature: { type: 'string', default: '' },
  },
});

const body = new URLSearchParams({
  MessageSid: `SM${'0'.repeat(32)}`,
  SmsSid: `SM${'0'.repeat(32)}`,
  MessageStatus: 'delivered',
  To: '+447700900123',
  From: '+447700900001',
  AccountSid: `AC${'0'.repeat(32)}`,
  ApiVersion: '2010-04-01',
}).toString();
const head = [
  'POST /dhos/v1/sms/callback?m=90422bdb-077e-4c62-8dfe-315ba3cea0ce&a=1 HTTP/1.1',
  'Host: sms',
  'Content-Type: application/x-www-form-urlencoded; charset=UTF-8',
  ...(values.signature === '' ? [] : [`X-Twilio-Signature: ${values.signature}`]),
  `Content-Length: ${body.length}`,
];
const depth = Number(values.depth);
const requests = Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`.repeat(depth), 'latin1');

let refused = 0;
let others = 0;

function flood(): void {
  const socket = connect({ port: Number(values.port), host: '127.0.0.1', noDelay: true }, () => socket.write(requests));
  let open = depth;
  let rest = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    const pieces = (rest + chunk).split('HTTP/1.1 ');
    // The last piece may be cut within the words that are split at; what stands before it is whole.
    rest = pieces.pop() ?? '';
    if (rest.endsWith('}')) [pieces[pieces.length], rest] = [rest, ''];
    else rest = `HTTP/1.1 ${rest}`;
    for (const piece of pieces) {
      if (piece === '') continue;
      if (piece.startsWith('403')) refused += 1;
      else others += 1;
      open -= 1;
    }
    if (open > 0) return;
    open = depth;
    socket.write(requests);
  });
  socket.on('error', () => {});
  socket.on('close', () => setImmediate(flood));
}

process.on('SIGUSR2', () => console.log(`${JSON.stringify({ refused, others })}`));
for (let n = 0; n < Number(values.connections); n += 1) flood();
console.log('flooding');
