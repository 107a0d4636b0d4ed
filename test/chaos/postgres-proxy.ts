import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createSplitter, type WireMessage } from './postgres-messages.ts';

/** A place where the proxy stops the traffic of a connection, until it is let go on or the client is gone. */
export type Hold = {
  /** Resolves with the PostgreSQL process that serves this connection, once something is held here. */
  readonly reached: Promise<{ readonly backendPid: number }>;
  /** Forwards what was held, and holds nothing more. */
  release(): void;
  /** Throws away what was held and breaks the connection to the client: it never learns what became of its statement. */
  lose(): void;
};

export type PostgresProxy = {
  /** The database's URL by way of this proxy. */
  readonly url: string;
  /** Stops this prepared statement, wherever it comes from the n-th time on, before PostgreSQL is asked to run it. */
  holdRequest(statement: string, nth?: number): Hold;
  /** Stops the first answer to this prepared statement that touched a row, once PostgreSQL has committed it. */
  holdAnswer(statement: string): Hold;
  /** Breaks every connection and refuses new ones: PostgreSQL can no longer be reached this way. */
  cut(): void;
  close(): Promise<void>;
};

type HeldPlace = Hold & {
  readonly statement: string;
  readonly side: 'request' | 'answer';
  /** How often the statement must come by before it is stopped. */
  passes: number;
  isOpen(): boolean;
  reach(backendPid: number, onward: { release: () => void; lose: () => void }): void;
};

/** A TCP proxy in front of PostgreSQL that reads along: it knows statements by the names they were prepared under. */
export async function startPostgresProxy(databaseUrl: string): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const places: HeldPlace[] = [];
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer({ noDelay: true }, (near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    const far = connect({ port: Number(target.port || 5432), host: target.hostname, noDelay: true });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      // What is held when a client dies is never forwarded: as if it had died a moment before it wrote.
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    connectBoth(near, far, () => places);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  const hold = (side: HeldPlace['side'], statement: string, nth = 1): Hold => {
    const place = createPlace(side, statement, nth - 1);
    places.push(place);
    return place;
  };
  return {
    url: url.href,
    holdRequest: (statement, nth) => hold('request', statement, nth),
    holdAnswer: (statement) => hold('answer', statement),
    cut: () => {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function createPlace(side: HeldPlace['side'], statement: string, passes: number): HeldPlace {
  const { promise: reached, resolve } = Promise.withResolvers<{ backendPid: number }>();
  const held: { release: () => void; lose: () => void }[] = [];
  let isOpen = true;
  const end = (how: 'release' | 'lose') => {
    isOpen = false;
    for (const one of held.splice(0)) one[how]();
  };
  return {
    side,
    statement,
    passes,
    reached,
    isOpen: () => isOpen,
    reach: (backendPid, onward) => {
      held.push(onward);
      // One answer is all that is asked for; a request is stopped on every connection that brings it.
      if (side === 'answer') isOpen = false;
      resolve({ backendPid });
    },
    release: () => end('release'),
    lose: () => end('lose'),
  };
}

function connectBoth(near: Socket, far: Socket, places: () => HeldPlace[]): void {
  const toFar = createGate(far);
  const toNear = createGate(near);
  let backendPid = 0;
  /** An answer is waited for at this place; what PostgreSQL says is kept until it is known whether to stop it. */
  let awaited: HeldPlace | null = null;
  let hasTouchedRows = false;
  let hasFailed = false;

  const lose = () => near.destroy();
  const placeOf = (side: HeldPlace['side'], statement: string | null) =>
    places().find((place) => place.side === side && place.isOpen() && place.statement === statement) ?? null;

  const onRequest = (message: WireMessage) => {
    const held = toFar.isShut() ? null : placeOf('request', message.statement);
    if (held !== null && held.passes > 0) {
      // A Parse comes only the first time; the Bind is what runs it.
      if (message.type === 'B') held.passes -= 1;
    } else if (held !== null) {
      toFar.shut();
      held.reach(backendPid, { release: toFar.open, lose });
    }
    const next = placeOf('answer', message.statement);
    if (next !== null && awaited === null) {
      [awaited, hasTouchedRows, hasFailed] = [next, false, false];
      toNear.shut();
    }
    toFar.send(message.bytes);
  };

  const onAnswer = (message: WireMessage) => {
    backendPid = message.backendPid ?? backendPid;
    toNear.send(message.bytes);
    if (awaited === null) return;
    hasFailed ||= message.type === 'E';
    hasTouchedRows ||= message.type === 'D' || message.rowCount > 0;
    // 'T': a transaction is open, so nothing has been committed yet.
    if (message.type !== 'Z') return;
    const isCommitted = message.transactionStatus === 'I' && hasTouchedRows && !hasFailed && awaited.isOpen();
    if (isCommitted) awaited.reach(backendPid, { release: toNear.open, lose });
    else if (message.transactionStatus !== 'I') return toNear.letThrough();
    else toNear.open();
    awaited = null;
  };

  const requests = createSplitter('begins with a message without a type');
  const answers = createSplitter('every message has a type');
  near.on('data', (chunk) => requests(chunk).forEach(onRequest));
  far.on('data', (chunk) => answers(chunk).forEach(onAnswer));
}

/** Passes bytes on while it is open and keeps them, in order, while it is shut. */
function createGate(target: Socket) {
  const kept: Buffer[] = [];
  let isShut = false;
  const letThrough = () => {
    for (const bytes of kept.splice(0)) if (!target.destroyed) target.write(bytes);
  };
  return {
    isShut: () => isShut,
    shut: () => {
      isShut = true;
    },
    open: () => {
      isShut = false;
      letThrough();
    },
    /** What is kept goes on, what comes is kept again. */
    letThrough,
    send: (bytes: Buffer) => {
      if (isShut) kept.push(bytes);
      else if (!target.destroyed) target.write(bytes);
    },
  };
}
