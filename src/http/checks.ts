import { z } from 'zod';
import { type Check, checkTitles } from '../message/checks.ts';
import type { Reach } from '../message/message.ts';
import { reachOf } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import { answer, noQuery, problems, timestamp } from './schemas.ts';

export type ChecksDeps = {
  readonly check: (reach: Reach) => Promise<Check[]>;
  /** For so long an answer stands. */
  readonly keptMs?: number;
};

/** Whoever asks meanwhile gets the same answer: many open consoles cost what one does. */
const KEPT_MS = 2_000;

const check = z
  .object({
    name: z.enum(Object.keys(checkTitles) as (keyof typeof checkTitles)[]),
    title: z.string().describe('What is as it should be when it is ok'),
    state: z.enum(['ok', 'failing', 'unknown']).describe('unknown: it could not be found out'),
    reason: z.string().describe('Why, with numbers, and what it means when it fails'),
    since: timestamp.optional().describe('Since when it fails, as far as known'),
  })
  .meta({
    id: 'Check',
    examples: [
      {
        name: 'callbacks',
        title: checkTitles.callbacks,
        state: 'failing',
        reason:
          'The last callback came 14 minutes ago, and 212 messages were handed to Twilio since. Statuses are late until ' +
          'callbacks arrive: is the callback address reachable from Twilio?',
        since: '2026-11-23T15:06:46.279Z',
      },
    ],
  });

export function checksRoute(app: HttpApp, deps: ChecksDeps): void {
  const checkOften = keptFor(deps.keptMs ?? KEPT_MS, deps.check);
  app.get(
    '/dhos/v1/checks',
    {
      config: { scope: 'sms:report' },
      schema: {
        summary: 'Does everything that ought to happen happen? Each check by name, in words',
        description:
          'Of a key for one tenant: what is counted are that tenant’s messages. Signatures are counted by each replica for itself, ' +
          'and the answer is the same for two seconds. 200 also when checks fail.',
        tags: ['report'],
        querystring: noQuery,
        response: { 200: answer('The checks', z.array(check)), ...problems(400, 401, 403, 503) },
      },
    },
    async ({ caller }): Promise<z.output<typeof check>[]> =>
      (await checkOften(reachOf(caller))).map(({ since, ...found }) => ({
        ...found,
        ...(since != null && { since: since.toISOString() }),
      })),
  );
}

/** For each reach its own; what is older is forgotten whenever somebody asks. */
function keptFor<Result>(ms: number, find: (reach: Reach) => Promise<Result>): (reach: Reach) => Promise<Result> {
  const kept = new Map<string, { readonly until: number; readonly result: Promise<Result> }>();
  return (reach) => {
    const now = performance.now();
    for (const [name, { until }] of kept) if (until <= now) kept.delete(name);
    const name = JSON.stringify(reach);
    const known = kept.get(name);
    if (known !== undefined) return known.result;
    const result = find(reach);
    kept.set(name, { until: now + ms, result });
    return result;
  };
}
