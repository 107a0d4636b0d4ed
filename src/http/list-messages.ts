import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Db } from '../db/db.ts';
import { STREAM_WITHIN_MS, type Stream, type Streams, TooManyStreams } from '../db/streams.ts';
import { Refusal } from '../errors.ts';
import type { KeyedHash } from '../message/keyed-hash.ts';
import {
  findPlace,
  type List,
  type Listed,
  listMessages,
  type Position,
  receiversAlike,
  receiversAs,
  streamMessages,
} from '../message/lists.ts';
import type { Tenant } from '../message/message.ts';
import { authorOf, type View, viewOf } from '../tenant/caller.ts';
import { chooseType } from './accept.ts';
import type { HttpApp } from './app-type.ts';
import type { NoteAudit } from './audit.ts';
import { type AskedFilters, type Cursors, makeCursors } from './cursor.ts';
import { type ListFormat, listFormats, writeInPieces, writeWhole } from './list-formats.ts';
import { listAnswers, listQuery } from './list-schemas.ts';
import { problems, tenantHeaders, tenantOf } from './schemas.ts';
import { type Patience, streamedBody } from './streamed-body.ts';

export type ListDeps = {
  readonly db: Db;
  readonly streams: Streams;
  readonly hash: KeyedHash;
  readonly note: NoteAudit;
  /** Where a number without a country code is. */
  readonly countryCode: string;
};

/** So many messages are read at once and answered whole, with an ETag; a longer list is streamed. */
const WHOLE = 1_000;
const patience: Patience = { pieceWithinMs: 30_000, allWithinMs: STREAM_WITHIN_MS };
const RETRY_AFTER_S = 5;

/** The tenant's messages: all, some, or page by page. */
export function listMessagesRoute(app: HttpApp, deps: ListDeps): void {
  const cursors = makeCursors(deps.hash);
  app.get(
    '/dhos/v1/sms',
    {
      config: { scope: 'sms:read' },
      schema: {
        summary: "The tenant's messages, newest first",
        description:
          'All filters count together. Up to 1,000 messages are answered at once, with an ETag; more are streamed while they ' +
          'are read, all of one moment, and the connection is cut when they cannot be read to their end.',
        tags: ['sms'],
        querystring: listQuery,
        headers: tenantHeaders,
        response: { 200: listAnswers, ...problems(400, 401, 403, 406, 503) },
      },
    },
    async (request, reply) => {
      const type = chooseType(request.headers.accept, Object.keys(listFormats) as [keyof typeof listFormats]);
      const format = listFormats[type];
      const tenant = tenantOf(request.caller, request.headers);
      const view = viewOf(request.caller);
      const { limit: asked, cursor, ...filters } = request.query;
      const limit = asked || null;
      const page = cursor === undefined ? { after: null, filters } : openPage(cursors, tenant, cursor, filters);
      refuseHiddenFilters(page.filters, view);
      const list = { ...readFilters(page.filters, deps), tenant, after: page.after };

      const rows = await listMessages(deps.db, list, Math.min(limit ?? WHOLE, WHOLE) + 1);
      const isLong = rows.length > WHOLE && (limit === null || limit > WHOLE);
      const { body, last } = isLong
        ? await openBody(deps.streams, { list, limit, format, view, isWanted: request.method !== 'HEAD' })
        : { body: writeWhole(format, rows.slice(0, limit ?? WHOLE), view), last: lastOfPage(rows, limit) };

      if (view === 'clear') {
        const filtered = Object.keys(page.filters);
        const details = { filters: filtered, ...(!isLong && { messages: Math.min(rows.length, limit ?? WHOLE) }) };
        await deps.note(authorOf(request.caller), { action: 'listed', messageUuid: null, tenant, details });
      }
      if (last !== null) {
        const next = cursors.seal(tenant, { after: last, filters: page.filters });
        reply.header('link', `</dhos/v1/sms?limit=${limit}&cursor=${next}>; rel="next"`);
      }
      if (type === 'text/csv') reply.header('content-disposition', 'attachment; filename="messages.csv"');
      reply.header('vary', 'accept').type(format.contentType);
      return sendBody(request, reply, body);
    },
  );
}

/** The filters of a page are in its cursor; who sends them again must send the same. */
function openPage(cursors: Cursors, tenant: Tenant, cursor: string, filters: AskedFilters) {
  const page = cursors.open(tenant, cursor);
  if (page === null) throw new Refusal('bad request', 'cursor: is not one that a list of this tenant gave out.');
  const differs = Object.entries(filters).find(([name, value]) => page.filters[name] !== value);
  if (differs !== undefined)
    throw new Refusal('bad request', `${differs[0]}: is not what the cursor's list was asked for.`);
  return page;
}

/** Who may not see a number may not find out by asking for it either. */
function refuseHiddenFilters(filters: AskedFilters, view: View): void {
  const hidden = ['receiver', 'receiver_e164'].find((name) => filters[name] !== undefined);
  if (view === 'masked' && hidden !== undefined)
    throw new Refusal('forbidden', `${hidden}: needs a key with the scope sms:read:content.`);
}

function readFilters(filters: AskedFilters, { countryCode, hash }: ListDeps): Omit<List, 'tenant' | 'after'> {
  const { receiver, receiver_e164: spelled } = filters;
  const alike = spelled === undefined ? null : receiversAlike(spelled, countryCode, hash);
  if (spelled !== undefined && alike === null)
    throw new Refusal('bad request', 'receiver_e164: must be a phone number, in any usual spelling.');
  return {
    status: filters.status ?? null,
    errorCode: filters.error_code ?? null,
    createdAfter: filters.created_after ?? null,
    createdBefore: filters.created_before ?? null,
    receivers: receiver === undefined ? null : receiversAs(receiver, countryCode, hash),
    receiversAlike: alike,
    twilioSid: filters.twilio_sid ?? null,
  };
}

/** One row more than asked for was read: it tells whether there is another page. */
function lastOfPage(rows: readonly Listed[], limit: number | null): Position | null {
  const last = limit !== null && rows.length > limit ? rows[limit - 1] : undefined;
  return last === undefined ? null : { created: last.place, uuid: last.uuid };
}

type Streamed = {
  readonly list: List;
  readonly limit: number | null;
  readonly format: ListFormat;
  readonly view: View;
  /** A HEAD wants the header fields alone. */
  readonly isWanted: boolean;
};

/** The first piece is waited for, so that what goes wrong until then still gets a proper answer. */
async function openBody(streams: Streams, { list, limit, format, view, isWanted }: Streamed) {
  const stream = await streams.open().catch(refuseBusy);
  try {
    const last = limit === null ? null : await findPlace(stream, list, limit);
    const pieces = thenClose(stream, writeInPieces(format, streamMessages(stream, list, limit), view));
    const first = await pieces.next();
    // Fastify would read a body to its end to leave it out.
    if (first.done || !isWanted) await pieces.return();
    const body = first.done || !isWanted ? Readable.from([]) : streamedBody(first.value, pieces, patience);
    return { body, last };
  } catch (error) {
    await stream.close();
    throw error;
  }
}

async function* thenClose(stream: Stream, pieces: AsyncIterable<Buffer>) {
  try {
    yield* pieces;
  } finally {
    await stream.close();
  }
}

/** A list that breaks off is not ended plainly: to a client of HTTP/1.0, as some proxies are, that would be its end. */
function sendBody(request: FastifyRequest, reply: FastifyReply, body: string | Readable): FastifyReply {
  if (body instanceof Readable) {
    body.once('error', () => {
      if (reply.raw.headersSent) request.raw.socket.resetAndDestroy();
    });
  }
  return reply.send(body);
}

function refuseBusy(error: unknown): never {
  if (!(error instanceof TooManyStreams)) throw error;
  throw new Refusal('unavailable', 'Too many long lists are being read: ask again, or page by page.', {
    retryAfterS: RETRY_AFTER_S,
  });
}
