import http from 'node:http';
import https from 'node:https';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Failure } from './failure.ts';
import { asFailure } from './refusal.ts';

/** The only file of the command line that speaks HTTP. */

export type Asking = {
  readonly method?: 'GET' | 'POST';
  /** Below the service's address. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For the whole exchange; without it the command's own limit counts. */
  readonly timeoutMs?: number;
};

export type Reply = {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
};

export type Api = {
  readonly baseUrl: string;
  readonly timeoutMs: number;
  /** Whatever the service answers; refuses with `NoReply`. */
  ask(asking: Asking): Promise<Reply>;
  /** What it answers when it does what it was asked; else refuses with `Failure`. */
  demand(asking: Asking): Promise<Reply>;
  /** As `demand`, but the body goes to `sink` as it comes, however long it is, and is empty in the reply. */
  demandInto(asking: Asking, sink: Writable): Promise<Reply>;
};

/** No complete answer came. */
export class NoReply extends Failure {
  override name = 'NoReply';
  /** A connection stood, so the service may have got the request and acted on it. */
  readonly mayHaveArrived: boolean;

  constructor(sentence: string, mayHaveArrived: boolean, cause: unknown) {
    super('unreachable', sentence, { cause });
    this.mayHaveArrived = mayHaveArrived;
  }
}

export function openApi(options: {
  readonly baseUrl: string;
  readonly timeoutMs: number;
  /** Shown with every request; null: none. */
  readonly apiKey: string | null;
}): Api {
  const baseUrl = options.baseUrl.replace(/(?<!\/)\/+$/, '');
  const shown = options.apiKey === null ? {} : { authorization: `Bearer ${options.apiKey}` };
  const begin = ({ path, query = {}, headers = {}, timeoutMs = options.timeoutMs, ...rest }: Asking) => {
    const url = new URL(baseUrl + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    return exchange(url, { ...rest, headers: { ...headers, ...shown }, timeoutMs, called: baseUrl });
  };
  const ask = async (asking: Asking) => (await begin(asking)).read();
  return {
    baseUrl,
    timeoutMs: options.timeoutMs,
    ask,
    demand: async (asking) => {
      const reply = refuseRefusal(await ask(asking), baseUrl);
      refuseOtherType(asking, reply.headers);
      return reply;
    },
    demandInto: async (asking, sink) => {
      const answer = await begin(asking);
      if (answer.status !== 200) return refuseRefusal(await answer.read(), baseUrl);
      refuseOtherType(asking, answer.headers);
      return answer.pour(sink);
    },
  };
}

type Begun = {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  read(): Promise<Reply>;
  pour(sink: Writable): Promise<Reply>;
};

type Exchange = Pick<Asking, 'method' | 'headers' | 'body'> & {
  readonly timeoutMs: number;
  /** How the other side is called in errors: queries can hold a number. */
  readonly called: string;
};

/** Sends one request to any address. Never repeats it, follows no redirection. Refuses with `NoReply`. */
async function exchange(url: URL, { method = 'GET', headers = {}, body, timeoutMs, called }: Exchange): Promise<Begun> {
  const signal = AbortSignal.timeout(timeoutMs);
  let isConnected = false;
  const refuse = (error: unknown): never => {
    const reason = signal.aborted ? `${called} did not answer within ${timeoutMs / 1000} s.` : reasonOf(error, called);
    throw new NoReply(reason, isConnected, error);
  };
  const { request } = url.protocol === 'https:' ? https : http;
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const sent = request(url, { method, headers: { ...headers, ...length }, signal, agent: false }, resolve);
    sent.on('socket', (socket) => {
      socket.on('connect', () => {
        isConnected = true;
      });
    });
    sent.on('error', reject);
    sent.end(body);
  }).catch(refuse);
  const reply = { status: response.statusCode ?? 0, headers: response.headers };
  return {
    ...reply,
    read: async () => {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of response) chunks.push(chunk);
      } catch (error) {
        refuse(error);
      }
      return { ...reply, body: Buffer.concat(chunks).toString('utf8') };
    },
    pour: async (sink) => {
      await pipeline(response, sink, { end: false }).catch(refuse);
      return { ...reply, body: '' };
    },
  };
}

/** For doctor: any address, whatever it answers. */
export async function askAddress(url: string, asking: Omit<Exchange, 'called'>): Promise<Reply> {
  return (await exchange(new URL(url), { ...asking, called: 'it' })).read();
}

function reasonOf(error: unknown, called: string): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ECONNREFUSED') {
    return `Nothing listens on ${called}: is the service running? Set --url or POLARIS_SMS_URL.`;
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return `The host of ${called} is not known (${code}). Set --url or POLARIS_SMS_URL.`;
  }
  if (code.startsWith('HPE_')) return `What listens on ${called} does not speak HTTP. Set --url or POLARIS_SMS_URL.`;
  if (code === 'ECONNRESET') return `The connection to ${called} broke off before the answer was complete.`;
  return `The connection to ${called} failed${code === '' ? '' : ` (${code})`}.`;
}

/** An older service knows no CSV, and answers with JSON. */
function refuseOtherType({ headers: asked }: Asking, { 'content-type': type = '' }: http.IncomingHttpHeaders): void {
  if (asked?.accept !== 'text/csv' || type.startsWith('text/csv')) return;
  throw new Failure('unreachable', 'The service does not write CSV here: it is older than this command line.');
}

function refuseRefusal(reply: Reply, baseUrl: string): Reply {
  if (reply.status >= 200 && reply.status < 300) return reply;
  throw asFailure(reply, baseUrl);
}
