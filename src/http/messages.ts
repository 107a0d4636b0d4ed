import { z } from 'zod';
import type { Db } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { deleteMessage, findMessage } from '../message/find.ts';
import type { Author, Message, Tenant } from '../message/message.ts';
import { authorOf, type Caller, reachOf, viewOf } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import type { NoteAudit } from './audit.ts';
import { answer, message, messageId, problems, tenantHeaders, tenantOf, toWire } from './schemas.ts';

type Refused = 'not found' | 'of another tenant' | 'still needed';

export type MessageDeps = {
  readonly db: Db;
  readonly note: NoteAudit;
  readonly erase: (uuid: string, tenant: Tenant, author: Author) => Promise<Message | Refused>;
};

const deleteQuery = z.strictObject({
  erase: z.enum(['true', 'false'], 'must be true or false, and come once').optional().meta({
    description: 'true: text and number are emptied here at once; also of a message that was deleted earlier',
  }),
});

const readQuery = z.strictObject({
  mask: z.enum(['true', 'false'], 'must be true or false, and come once').optional().meta({
    description:
      'true: masked, whatever the key may read: without its text and with the last four digits of the number. Not audited',
  }),
});

/** Look one up, hide it, erase it. */
export function messageRoutes(app: HttpApp, { db, erase, note }: MessageDeps): void {
  app.get(
    '/dhos/v1/sms/:message_id',
    {
      config: { scope: 'sms:read' },
      schema: {
        summary: 'A message',
        tags: ['sms'],
        params: messageId,
        querystring: readQuery,
        response: { 200: answer('The message', message), ...problems(400, 401, 403, 404, 503) },
      },
    },
    async (request) => {
      const found = await findMessage(db, asStoredId(request.params.message_id), reachOf(request.caller));
      if (found === null) throw noSuchMessage();
      const view = request.query.mask === 'true' ? 'masked' : viewOf(request.caller);
      if (view === 'clear') {
        const tenant = { trustomerCode: found.trustomer_code, productName: found.product_name };
        await note(authorOf(request.caller), { action: 'read', messageUuid: found.uuid, tenant, details: {} });
      }
      return toWire(found, view);
    },
  );

  app.delete(
    '/dhos/v1/sms/:message_id',
    {
      config: { scope: 'sms:delete' },
      schema: {
        summary: 'Hide a message for good',
        description:
          'It stays in the database, is still followed and redacted, and is no longer counted. With `erase=true` its text and number are emptied at once.',
        tags: ['sms'],
        params: messageId,
        querystring: deleteQuery,
        headers: tenantHeaders,
        response: { 200: answer('The message, with `deleted`', message), ...problems(400, 401, 403, 404, 409, 503) },
      },
    },
    async (request) => {
      const { caller } = request;
      const [id, tenant] = [asStoredId(request.params.message_id), tenantOf(caller, request.headers)];
      const author = authorOf(caller);
      const deleted: Message | Refused =
        request.query.erase === 'true' ? await erase(id, tenant, author) : await deleteMessage(db, id, tenant, author);
      if (typeof deleted === 'string') throw refusalOf(deleted, caller);
      return toWire(deleted, viewOf(caller));
    },
  );
}

function refusalOf(refused: Refused, caller: Caller): Refusal {
  switch (refused) {
    case 'not found':
      return noSuchMessage();
    case 'of another tenant':
      // As the Python service says it, which knew no callers; to a key it is as if it were not there.
      if (caller.kind === 'key') return noSuchMessage();
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
