import { z } from 'zod';
import type { Db } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { findMessage } from '../message/find.ts';
import { findToPoll, type ToPoll } from '../message/open-messages.ts';
import type { PolledNow } from '../message/poll-now.ts';
import { authorOf, reachOf, viewOf } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import type { NoteAudit } from './audit.ts';
import { asStoredId, noSuchMessage } from './messages.ts';
import { answer, message, messageId, noQuery, problems, toWire } from './schemas.ts';

export type PollDeps = {
  readonly db: Db;
  readonly note: NoteAudit;
  readonly poll: (message: ToPoll) => Promise<PolledNow>;
};

const polled = z
  .object({
    message,
    said: z
      .string()
      .optional()
      .describe(
        'Twilio’s word for its status, `unknown` for a new one; left out when Twilio does not have it any more',
      ),
    changed: z.boolean().describe('Did that bring anything new?'),
  })
  .meta({ id: 'Polled' });

/** Somebody wants to know now how a message stands at Twilio. */
export function pollRoute(app: HttpApp, { db, note, poll }: PollDeps): void {
  app.post(
    '/dhos/v1/sms/:message_id/poll',
    {
      config: { scope: 'sms:admin' },
      schema: {
        summary: 'Ask Twilio now how a message stands',
        description: 'What Twilio says is recorded as if it had come by a callback: the status moves forward only.',
        tags: ['sms'],
        params: messageId,
        querystring: noQuery,
        response: { 200: answer('How it stands now', polled), ...problems(400, 401, 403, 404, 409, 503) },
      },
    },
    async ({ params, caller }) => {
      const [uuid, reach] = [asStoredId(params.message_id), reachOf(caller)];
      const { said, isChanged } = await ask(poll, await findToPoll(db, uuid, reach));
      const found = await findMessage(db, uuid, reach);
      if (found === null) throw noSuchMessage();
      const tenant = { trustomerCode: found.trustomer_code, productName: found.product_name };
      await note(authorOf(caller), {
        action: 'polled',
        messageUuid: uuid,
        tenant,
        details: { said, changed: isChanged },
      });
      return { message: toWire(found, viewOf(caller)), ...(said !== null && { said }), changed: isChanged };
    },
  );
}

async function ask(poll: PollDeps['poll'], found: Awaited<ReturnType<typeof findToPoll>>) {
  if (found === null) throw noSuchMessage();
  const { twilioSid } = found;
  if (twilioSid === null) throw new Refusal('conflict', 'It has no SID: Twilio cannot be asked about it.');
  const answered = await poll({ ...found, twilioSid });
  if (answered.kind === 'asked') return answered;
  throw new Refusal('unavailable', 'Twilio does not tell at the moment. Nothing was changed: ask again.', {
    retryAfterS: answered.retryAfterS,
  });
}
