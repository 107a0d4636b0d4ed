import type { Db } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { deleteMessage, findMessage } from '../message/find.ts';
import type { HttpApp } from './app-type.ts';
import { answer, message, messageId, noQuery, problems, tenantHeaders, tenantOf, toWire } from './schemas.ts';

/** Look one up, hide it. */
export function messageRoutes(app: HttpApp, db: Db): void {
  app.get(
    '/dhos/v1/sms/:message_id',
    {
      schema: {
        summary: 'A message',
        tags: ['sms'],
        params: messageId,
        querystring: noQuery,
        response: { 200: answer('The message', message), ...problems(400, 404, 503) },
      },
    },
    async (request) => {
      const found = await findMessage(db, asStoredId(request.params.message_id));
      if (found === null) throw noSuchMessage();
      return toWire(found);
    },
  );

  app.delete(
    '/dhos/v1/sms/:message_id',
    {
      schema: {
        summary: 'Hide a message for good',
        description: 'It stays in the database, is still followed and redacted, and is no longer counted.',
        tags: ['sms'],
        params: messageId,
        querystring: noQuery,
        headers: tenantHeaders,
        response: { 200: answer('The message, with `deleted`', message), ...problems(400, 403, 404, 503) },
      },
    },
    async (request) => {
      const deleted = await deleteMessage(db, asStoredId(request.params.message_id), tenantOf(request.headers));
      if (deleted === 'not found') throw noSuchMessage();
      if (deleted === 'of another tenant') throw new Refusal('forbidden', 'This message belongs to another tenant.');
      return toWire(deleted);
    },
  );
}

/** Old rows may hold any id that fits the column; what does not fit cannot exist. */
export function asStoredId(id: string): string {
  if (id.length > 36 || id.includes('\0') || !id.isWellFormed()) throw noSuchMessage();
  return id;
}

export function noSuchMessage(): Refusal {
  return new Refusal('not found', 'There is no such message.');
}
