import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the service asked of Twilio. */
export type Asked = {
  readonly method: string;
  readonly path: string;
  readonly authorization: string;
  readonly form: Readonly<Record<string, string>>;
};

/** `hang up`: no byte comes back; `silence`: the connection stays open; `truncated`: the answer breaks off half-way. */
export type Reply =
  | { readonly status: number; readonly body: unknown; readonly headers?: Record<string, string> }
  | { readonly truncated: string }
  | 'hang up'
  | 'silence';

export type FakeTwilio = {
  readonly url: string;
  readonly asked: Asked[];
  /** Says what comes back from now on; undefined = what a healthy Twilio answers. */
  answerWith(answer: ((asked: Asked) => Reply | Promise<Reply>) | undefined): void;
  stop(): Promise<void>;
};

/** A server in Twilio's place that answers as a test wishes: also what no Twilio, and so no simulator, would. */
export async function startFakeTwilio(): Promise<FakeTwilio> {
  const asked: Asked[] = [];
  let answer: (asked: Asked) => Reply | Promise<Reply> = healthy;
  const server = createServer(async (request, response) => {
    const one = await read(request);
    asked.push(one);
    write(response, await answer(one));
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    answerWith: (next) => {
      answer = next ?? healthy;
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The environment of a service that takes this server for Twilio. */
export function twilioAt(url: string): Record<string, string> {
  return {
    TWILIO_BASE_URL: url,
    TWILIO_ACCOUNT_SID: 'ACtest',
    TWILIO_AUTH_TOKEN: 'token-of-the-tests',
    TWILIO_CALL_BACK_URL: 'https://sms.example/dhos/v1/sms/callback',
  };
}

export function newSid(): string {
  return `SM${randomBytes(16).toString('hex')}`;
}

/** Twilio's message resource, as far as it matters here. */
export function resource(fields: { sid?: string; status?: string; [field: string]: unknown } = {}): object {
  return {
    sid: newSid(),
    status: 'queued',
    error_code: null,
    error_message: null,
    date_sent: null,
    body: '',
    ...fields,
  };
}

export function sidIn(path: string): string {
  return /Messages\/(\w+)\.json$/.exec(path)?.[1] ?? '';
}

export function isCreate(asked: Asked): boolean {
  return asked.method === 'POST' && asked.path.endsWith('/Messages.json');
}

/** Takes every message, finds each `sent` and empties each text. */
export function healthy(asked: Asked): Reply {
  if (isCreate(asked)) return { status: 201, body: resource() };
  return { status: 200, body: resource({ sid: sidIn(asked.path), status: 'sent' }) };
}

async function read(request: IncomingMessage): Promise<Asked> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return {
    method: request.method ?? '',
    path: request.url ?? '',
    authorization: request.headers.authorization ?? '',
    form: Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString('utf8'))),
  };
}

function write(response: ServerResponse, reply: Reply): void {
  if (reply === 'silence') return;
  if (reply === 'hang up') {
    response.socket?.destroy();
    return;
  }
  if ('truncated' in reply) {
    response.writeHead(201, { 'content-type': 'application/json', 'content-length': '5000' });
    response.write(reply.truncated, () => response.socket?.destroy());
    return;
  }
  const body = typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body);
  response.writeHead(reply.status, reply.headers ?? {}).end(body);
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
