import { z } from 'zod';
import type { Db } from '../db/db.ts';
import type { Author } from '../message/message.ts';
import { type AuditRow, type Entry, listEntries } from '../tenant/audit-entries.ts';
import { authorOf, reachOf } from '../tenant/caller.ts';
import { chooseType } from './accept.ts';
import type { HttpApp } from './app-type.ts';
import { csvLine } from './csv.ts';
import { instant, text } from './fields.ts';
import { answer, problems, timestamp } from './schemas.ts';

/** Resolves when the entry is committed; at once when there is nobody to name. */
export type NoteAudit = (actor: Author, entry: Omit<Entry, 'actor'>) => Promise<void>;

const MOST = 10_000;
const USUAL = 1_000;

const query = z.strictObject({
  from: instant.optional().meta({ format: 'date-time', description: 'From here on, itself included' }),
  to: instant.optional().meta({ format: 'date-time', description: 'Up to here, itself included' }),
  message_id: text(36).optional().describe('Only what was done to this message'),
  limit: z
    .string('must come once')
    .regex(/^[1-9]\d{0,4}$/, `must be a whole number from 1 to ${MOST}`)
    .transform(Number)
    .refine((limit) => limit <= MOST, `must not be larger than ${MOST}`)
    .optional()
    .meta({ description: `${USUAL} when left out`, example: 500 }),
  cursor: z
    .string('must come once')
    .regex(/^\d{1,18}$/, 'is not one that this list gave out')
    .optional()
    .describe('Where the page before ended: from its `Link`'),
});

const entry = z
  .object({
    id: z.string(),
    at: timestamp,
    actor: z.string().describe('The id of an API key, or `command line`'),
    actor_name: z.string().describe("The key's name, or the operator's"),
    action: z.string(),
    message_id: z.string().optional(),
    trustomer_code: z.string().optional(),
    product_name: z.string().optional(),
    details: z.record(z.string(), z.unknown()).describe('Names, kinds and counts; neither text nor number'),
  })
  .meta({
    id: 'AuditEntry',
    examples: [
      {
        id: '4711',
        at: '2026-11-23T15:20:45.616Z',
        actor: '3f2a9c01d4be',
        actor_name: 'clinic backend',
        action: 'read',
        message_id: '90422bdb-077e-4c62-8dfe-315ba3cea0ce',
        trustomer_code: 'ouh',
        product_name: 'gdm',
        details: {},
      },
    ],
  });

const columns = entry.keyof().options;
const json = answer('The entries. `Link` leads to the next page when there is one', z.array(entry));
const answers = {
  ...json,
  content: {
    ...json.content,
    'text/csv': { schema: z.string().meta({ description: 'RFC 4180 with a header row; `details` as JSON' }) },
    'application/x-ndjson': { schema: z.string().meta({ description: 'Each entry as JSON on a line of its own' }) },
  },
};

/** Who did what: for an administrator, of one tenant or of all. */
export function auditRoute(app: HttpApp, { db, note }: { readonly db: Db; readonly note: NoteAudit }): void {
  app.get(
    '/dhos/v1/audit',
    {
      config: { scope: 'sms:admin' },
      schema: {
        summary:
          'Who sent, read, listed, searched, deleted, erased and settled, and who made and revoked keys; newest first',
        description:
          'Written with AUTH_MODE=apikey only, for without it nobody has a name. A key of one tenant sees that tenant.',
        tags: ['report'],
        querystring: query,
        response: { 200: answers, ...problems(400, 401, 403, 406, 503) },
      },
    },
    async (request, reply) => {
      const type = chooseType(request.headers.accept, ['application/json', 'text/csv', 'application/x-ndjson']);
      const { from = null, to = null, message_id: messageUuid = null, limit = USUAL, cursor = null } = request.query;
      const reach = reachOf(request.caller);
      const rows = await listEntries(db, { reach, from, to, messageUuid, before: cursor, limit: limit + 1 });
      const page = rows.slice(0, limit);
      await note(authorOf(request.caller), {
        action: 'audit read',
        messageUuid: null,
        tenant: reach === 'all tenants' ? null : reach,
        details: { entries: page.length },
      });
      const last = page.at(-1);
      if (rows.length > limit && last !== undefined) {
        const next = new URLSearchParams({
          ...plain({ from, to, message_id: messageUuid }),
          limit: String(limit),
          cursor: last.id,
        });
        reply.header('link', `</dhos/v1/audit?${next}>; rel="next"`);
      }
      reply.header('vary', 'accept');
      return reply.type(`${type}; charset=utf-8`).send(write(type, page.map(toWireEntry)));
    },
  );
}

function plain(words: Record<string, string | null>): Record<string, string> {
  return Object.fromEntries(Object.entries(words).flatMap(([name, word]) => (word === null ? [] : [[name, word]])));
}

type WireEntry = z.infer<typeof entry>;

function toWireEntry(row: AuditRow): WireEntry {
  return {
    id: row.id,
    at: row.at.toISOString(),
    actor: row.actor,
    actor_name: row.actor_name,
    action: row.action,
    ...(row.message_uuid !== null && { message_id: row.message_uuid }),
    ...(row.trustomer_code !== null && { trustomer_code: row.trustomer_code }),
    ...(row.product_name !== null && { product_name: row.product_name }),
    details: row.details,
  };
}

function write(type: 'application/json' | 'text/csv' | 'application/x-ndjson', entries: readonly WireEntry[]): string {
  if (type === 'application/json') return JSON.stringify(entries);
  if (type === 'application/x-ndjson') return entries.map((one) => `${JSON.stringify(one)}\n`).join('');
  const lines = entries.map((one) =>
    csvLine(columns.map((column) => (column === 'details' ? JSON.stringify(one.details) : one[column]))),
  );
  return csvLine(columns) + lines.join('');
}
