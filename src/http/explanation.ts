import { z } from 'zod';
import type { Db } from '../db/db.ts';
import { type Explanation, explain } from '../message/explanation.ts';
import { findStanding } from '../message/standings.ts';
import { reachOf } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import { errorCode, toWireErrorCode } from './error-schemas.ts';
import { asStoredId, noSuchMessage } from './messages.ts';
import { answer, messageId, noQuery, problems, timestamp } from './schemas.ts';

const action = z.object({
  action: z.enum(['poll', 'send_again', 'delete', 'erase', 'settle']),
  possible: z.boolean(),
  reason: z.string().optional().describe('Why not'),
  risk: z.string().describe('What it can lead to'),
});

const explanation = z
  .object({
    summary: z.string().describe('Did it reach the patient? Why not is told by `error`, where Twilio gave a code'),
    tone: z
      .enum(['good', 'waiting', 'bad', 'unknown', 'neutral'])
      .describe('unknown: nobody can tell whether it arrived, which is not the same as bad'),
    waits_for: z.string().optional().describe('What has to happen before there is news'),
    until: timestamp.optional().describe('When that is tried next, or given up, as `waits_for` says'),
    error: errorCode.optional().describe('What the code that Twilio gave means, and what to do about it'),
    actions: z.array(action),
  })
  .meta({
    id: 'Explanation',
    examples: [
      {
        summary: 'The carrier has it, and has not reported yet whether it reached the patient’s phone.',
        tone: 'waiting',
        waits_for: 'Twilio’s word: by a callback at any moment, or when Twilio is asked next',
        until: '2026-11-23T15:30:45.616Z',
        actions: [
          {
            action: 'poll',
            possible: true,
            risk: 'None: Twilio is only asked how it stands, and what it says is recorded.',
          },
          {
            action: 'settle',
            possible: false,
            reason: 'Only an unconfirmed message can be settled.',
            risk: 'Your word stands until Twilio says otherwise.',
          },
        ],
      },
    ],
  });

export function explanationRoute(app: HttpApp, { db }: { readonly db: Db }): void {
  app.get(
    '/dhos/v1/sms/:message_id/explanation',
    {
      config: { scope: 'sms:read' },
      schema: {
        summary: 'How a message stands, in plain words',
        description:
          'What it waits for, what its error means, and what can be done about it at what risk. Holds neither text nor number.',
        tags: ['sms'],
        params: messageId,
        querystring: noQuery,
        response: { 200: answer('The explanation', explanation), ...problems(400, 401, 403, 404, 503) },
      },
    },
    async (request) => {
      const standing = await findStanding(db, asStoredId(request.params.message_id), reachOf(request.caller));
      if (standing === null) throw noSuchMessage();
      return toWire(explain(standing));
    },
  );
}

function toWire({ summary, tone, waitsFor, until, error, actions }: Explanation): z.infer<typeof explanation> {
  return {
    summary,
    tone,
    ...(waitsFor !== null && { waits_for: waitsFor }),
    ...(until !== null && { until: until.toISOString() }),
    ...(error !== null && { error: toWireErrorCode(error) }),
    actions: actions.map(({ reason, ...rest }) => ({ ...rest, ...(reason !== null && { reason }) })),
  };
}
