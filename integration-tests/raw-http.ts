import http from 'node:http';
import https from 'node:https';

/**
 * A client that sends headers exactly as they are spelled, over one connection: what fetch does not show.
 * `connections` says how many it has opened so far.
 */
export type RawClient = {
  ask(path: string, options: RawAsking): Promise<RawAnswer>;
  connections(): number;
  close(): void;
};
type RawAsking = { method: string; headers: Readonly<Record<string, string>>; body?: string };
type RawAnswer = { status: number; headers: http.IncomingHttpHeaders; text: string };

const ANSWER_WITHIN_MS = 15_000;

export function openRawClient(baseUrl: string): RawClient {
  const { Agent, request } = baseUrl.startsWith('https:') ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let connections = 0;
  return {
    connections: () => connections,
    close: () => agent.destroy(),
    ask: (path, { method, headers, body }) =>
      new Promise((resolve, reject) => {
        const options = { agent, method, headers: { ...lengthOf(body), ...headers }, timeout: ANSWER_WITHIN_MS };
        const asking = request(baseUrl + path, options, (answer) => {
          let text = '';
          answer.setEncoding('utf8');
          answer.on('data', (part: string) => {
            text += part;
          });
          answer.on('error', reject);
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
        });
        asking.on('socket', () => {
          if (!asking.reusedSocket) connections += 1;
        });
        asking.on('timeout', () => asking.destroy(new Error(`no answer to ${method} ${path}`)));
        asking.on('error', reject);
        asking.end(body);
      }),
  };
}

function lengthOf(body: string | undefined): Record<string, string> {
  return body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
}
