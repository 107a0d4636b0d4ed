import { z } from 'zod';
import type { Db } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { deleteMessage, findMessage } from '../message/find.ts';
import type { Message, Tenant } from '../message/message.ts';
import type { HttpApp } from './app-type.ts';
import { answer, message, messageId, noQuery, problems, tenantHeaders, tenantOf, toWire } from './schemas.ts';

type Refused = 'not found' | 'of another tenant' | 'still needed';

export type MessageDeps = {
  readonly db: Db;
  readonly erase: (uuid: string, tenant: Tenant) => Promise<Message | Refused>;
};

const deleteQuery = z.strictObject({
  erase: z.enum(['true', 'false'], 'must be true or false, and come once').optional().meta({
    description: 'true: text and number are emptied here at once; also of a message that was deleted earlier',
  }),
});

/** Look one up, hide it, erase it. */
export function messageRoutes(app: HttpApp, { db, erase }: MessageDeps): void {
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
        description:
          'It stays in the database, is still followed and redacted, and is no longer counted. With `erase=true` its text and number are emptied at once.',
        tags: ['sms'],
        params: messageId,
        querystring: deleteQuery,
        headers: tenantHeaders,
        response: { 200: answer('The message, with `deleted`', message), ...problems(400, 403, 404, 409, 503) },
      },
    },
    async (request) => {
      const [id, tenant] = [asStoredId(request.params.message_id), tenantOf(request.headers)];
      const deleted: Message | Refused =
        request.query.erase === 'true' ? await erase(id, tenant) : await deleteMessage(db, id, tenant);
      if (typeof deleted === 'string') throw refusalOf(deleted);
      return toWire(deleted);
    },
  );
}

function refusalOf(refused: Refused): Refusal {
  switch (refused) {
    case 'not found':
      return noSuchMessage();
    case 'of another tenant':
      return new Refusal('forbidden', 'This message belongs to another tenant.');
    case 'still needed':
      return new Refusal(
        'conflict',
        'Whether Twilio has this message is being found out, for which its text is needed. Nothing was changed: erase it later.',
      );
    default:
      return refused satisfies never;
  }
}

/** Old rows may hold any id that fits the column; what does not fit cannot exist. */
export function asStoredId(id: string): string {
  if (id.length > 36 || id.includes('\0') || !id.isWellFormed()) throw noSuchMessage();
  return id;
}

export function noSuchMessage(): Refusal {
  return new Refusal('not found', 'There is no such message.');
}
