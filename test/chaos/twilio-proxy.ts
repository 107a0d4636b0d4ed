import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A request to create a message, as it passes. */
type Create = {
  /** 1 for the first create that came by. */
  readonly nth: number;
  readonly form: URLSearchParams;
};

/**
 * What becomes of a create. `stop half-way`: so much of its bytes, from 0 to 1, reach Twilio's side; `keep`: not one does;
 * `keep answer`: Twilio has it and has answered, and the answer stays here.
 */
type Treatment = 'pass' | 'keep' | 'keep answer' | { readonly stopAfter: number };

export type TwilioProxy = {
  readonly url: string;
  /** Says what becomes of the creates from now on; without it they pass. */
  treat(treatment: (create: Create) => Treatment): void;
  /** Resolves once so many creates have been stopped, each at its place. */
  stopped(count?: number): Promise<void>;
  /** Forwards all that was stopped and stops nothing more. */
  release(): void;
  /** How many creates have come by, stopped ones included. */
  creates(): number;
  close(): Promise<void>;
};

/** A TCP proxy in front of Twilio which knows just enough of HTTP to see where a create begins and ends. */
export async function startTwilioProxy(twilioUrl: string): Promise<TwilioProxy> {
  const target = new URL(twilioUrl);
  const sockets = new Set<Socket>();
  const held: (() => void)[] = [];
  const waiting = new Set<() => void>();
  let treatment: (create: Create) => Treatment = () => 'pass';
  let seen = 0;
  let stops = 0;

  const stop = (release: () => void) => {
    held.push(release);
    stops += 1;
    for (const look of waiting) look();
  };
  const treatCreate = (form: URLSearchParams): Treatment => {
    seen += 1;
    return treatment({ nth: seen, form });
  };
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port: Number(target.port), host: target.hostname, noDelay: true });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      // When the client dies, Twilio's side sees the connection break: what was stopped never arrives.
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    connectBoth(near, far, treatCreate, stop);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    treat: (next) => {
      treatment = next;
    },
    stopped: (count = 1) =>
      new Promise((resolve) => {
        const look = () => {
          if (stops < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    release: () => {
      treatment = () => 'pass';
      for (const release of held.splice(0)) release();
    },
    creates: () => seen,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function connectBoth(
  near: Socket,
  far: Socket,
  treatCreate: (form: URLSearchParams) => Treatment,
  stop: (release: () => void) => void,
): void {
  /** What Twilio has said while its answer is kept; null while it is not. */
  let keptAnswer: Buffer[] | null = null;
  const write = (socket: Socket, bytes: Buffer) => !socket.destroyed && socket.write(bytes);

  const requests = createRequestSplitter();
  near.on('data', (chunk) => {
    for (const request of requests(chunk)) {
      const treatment = request.create === null ? 'pass' : treatCreate(request.create);
      if (treatment === 'keep') stop(() => write(far, request.bytes));
      else if (typeof treatment === 'object') stopAfter(request.bytes, treatment.stopAfter);
      else {
        if (treatment === 'keep answer') keptAnswer = [];
        write(far, request.bytes);
      }
    }
  });
  far.on('data', (chunk) => {
    if (keptAnswer === null) return write(near, chunk);
    keptAnswer.push(chunk);
    // The first bytes of the answer prove that Twilio has decided.
    if (keptAnswer.length === 1) stop(releaseAnswer);
  });

  function releaseAnswer(): void {
    for (const chunk of keptAnswer ?? []) write(near, chunk);
    keptAnswer = null;
  }

  function stopAfter(bytes: Buffer, fraction: number): void {
    const at = Math.min(bytes.length - 1, Math.max(1, Math.round(bytes.length * fraction)));
    if (far.destroyed) return;
    far.write(bytes.subarray(0, at), () => stop(() => write(far, bytes.subarray(at))));
  }
}

type HttpRequest = {
  readonly bytes: Buffer /** Its form, where it creates a message. */;
  readonly create: URLSearchParams | null;
};

/** Returns a function that takes chunks as they come and answers the requests that they complete. */
function createRequestSplitter(): (chunk: Buffer) => HttpRequest[] {
  let pending = Buffer.alloc(0);
  return (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    const complete: HttpRequest[] = [];
    for (;;) {
      const headEnd = pending.indexOf('\r\n\r\n');
      if (headEnd === -1) return complete;
      const head = pending.toString('latin1', 0, headEnd);
      const end = headEnd + 4 + Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
      if (pending.length < end) return complete;
      const isCreate = /^POST \S*\/Messages\.json /.test(head);
      const form = isCreate ? new URLSearchParams(pending.toString('utf8', headEnd + 4, end)) : null;
      complete.push({ bytes: pending.subarray(0, end), create: form });
      pending = pending.subarray(end);
    }
  };
}
