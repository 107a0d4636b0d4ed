import { pipeline, Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Served } from './exchange.ts';
import type { Time } from './time.ts';

/** Sends an answer in its manner, whole or damaged, when its time has come. */
export function send(reply: FastifyReply, served: Served, time: Time): void {
  if (served.afterMs === 0) sendNow(reply, served, time);
  else time.after(served.afterMs, () => sendNow(reply, served, time));
}

function sendNow(reply: FastifyReply, { answer, manner }: Served, time: Time): void {
  if (answer.retryAfterS !== undefined) reply.header('retry-after', answer.retryAfterS);
  if (manner === 'whole' || manner === 'wrong-types' || manner === 'foreign-sid') {
    reply.code(answer.status).send(answer.body ?? undefined);
  } else if (manner === 'html') {
    reply.code(answer.status).type('text/html').send(pageOf(answer.status));
  } else {
    reply.hijack();
    damaged[manner](reply, Buffer.from(JSON.stringify(answer.body ?? {})), answer.status, time);
  }
}

type Send = (reply: FastifyReply, body: Buffer, status: number, time: Time) => void;

const json = { 'content-type': 'application/json;charset=utf-8' };

/** From here on nobody looks after the response but its sender. */
const damaged: Record<'reset' | 'hang' | 'truncated' | 'drip' | 'endless', Send> = {
  reset: ({ raw }) => raw.socket?.resetAndDestroy(),

  /** The caller gives up some day, or stops with us. */
  hang: () => {},

  /** All headers, half the body, and then the connection is closed. */
  truncated: ({ raw }, body, status) => {
    raw.writeHead(status, { ...json, 'content-length': body.length });
    raw.write(body.subarray(0, Math.floor(body.length / 2)), () => raw.destroy());
  },

  drip: ({ raw }, body, status, time) => {
    raw.writeHead(status, { ...json, 'content-length': body.length });
    const sendFrom = (at: number) => {
      if (raw.destroyed) return;
      raw.write(body.subarray(at, at + 1));
      if (at + 1 === body.length) raw.end();
      else time.after(1000, () => sendFrom(at + 1));
    };
    sendFrom(0);
  },

  /** A body that begins well and never ends; no faster than the caller reads. */
  endless: ({ raw }, body, status) => {
    raw.writeHead(status, json);
    pipeline(Readable.from(withoutEnd(body)), raw, () => {});
  },
};

function* withoutEnd(body: Buffer): Generator<Buffer> {
  yield body.subarray(0, -1);
  for (const blanks = Buffer.alloc(16 * 1024, ' '); ; ) yield blanks;
}

function pageOf(status: number): string {
  return `<html>\r\n<head><title>${status}</title></head>\r\n<body><center><h1>${status}</h1></center></body>\r\n</html>\r\n`;
}
