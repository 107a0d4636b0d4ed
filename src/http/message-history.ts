import { z } from 'zod';
import type { Db } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { findMessage } from '../message/find.ts';
import { type Happening, readHistory } from '../message/history.ts';
import { recordSettled } from '../message/outcomes.ts';
import { authorOf, reachOf, viewOf } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import { asStoredId, noSuchMessage } from './messages.ts';
import { answer, event, message, messageId, noQuery, problems, settleRequest, toWire } from './schemas.ts';

/** What happened to a message, and an operator's word on what could not be found out. */
export function messageHistoryRoutes(app: HttpApp, db: Db): void {
  app.get(
    '/dhos/v1/sms/:message_id/events',
    {
      config: { scope: 'sms:read' },
      schema: {
        summary: 'What happened to a message, the oldest first',
        description: 'Each attempt, answer, callback, look, redaction and deletion, with its time and who did it.',
        tags: ['sms'],
        params: messageId,
        querystring: noQuery,
        response: { 200: answer('The history', z.array(event)), ...problems(400, 401, 403, 404, 503) },
      },
    },
    async (request) => {
      const found = await findMessage(db, asStoredId(request.params.message_id), reachOf(request.caller));
      if (found === null) throw noSuchMessage();
      return (await readHistory(db, found)).map(toWireEvent);
    },
  );

  app.post(
    '/dhos/v1/sms/:message_id/settle',
    {
      config: { scope: 'sms:admin' },
      schema: {
        summary: 'Decide an `unconfirmed` message',
        description:
          'For an operator who has looked in Twilio’s console. Recorded as such; any word of Twilio’s that comes later wins.',
        tags: ['sms'],
        params: messageId,
        querystring: noQuery,
        body: settleRequest,
        response: { 200: answer('The message', message), ...problems(400, 401, 403, 404, 409, 413, 415, 503) },
      },
    },
    async (request) => {
      const { caller } = request;
      const reach = reachOf(caller);
      const uuid = asStoredId(request.params.message_id);
      const settled = await recordSettled(db, uuid, { outcome: request.body.outcome, reach, author: authorOf(caller) });
      if (settled !== null) return toWire(settled, viewOf(caller));
      if ((await findMessage(db, uuid, reach)) === null) throw noSuchMessage();
      throw new Refusal('conflict', 'Only an unconfirmed message can be settled.');
    },
  );
}

/** What is not known is left out. */
function toWireEvent(happening: Happening): z.infer<typeof event> {
  const { at, what, actor, summary, attempt, statusBefore, statusAfter, twilioSid, httpStatus, errorCode, parameters } =
    happening;
  return {
    at: at.toISOString(),
    what,
    actor,
    summary,
    ...(attempt != null && { attempt }),
    ...(statusBefore != null && { status_before: statusBefore }),
    ...(statusAfter != null && { status_after: statusAfter }),
    ...(twilioSid != null && { twilio_sid: twilioSid }),
    ...(httpStatus != null && { http_status: httpStatus }),
    ...(errorCode != null && { error_code: errorCode }),
    ...(parameters !== undefined && { parameters }),
  };
}
