import { z } from 'zod';
import type { Reply } from './api.ts';
import { Failure } from './failure.ts';
import { readJson } from './refusal.ts';

/** What the API says, as far as the command line shows it. Fields that come later are passed over. */

const word = z.string();

const message = z.object({
  uuid: word,
  created: word,
  modified: word,
  sender: word,
  receiver: word,
  content: word,
  trustomer_code: word,
  product_name: word,
  status: word.optional(),
  twilio_sid: word.optional(),
  date_sent: word.optional(),
  error_code: word.optional(),
  error_message: word.optional(),
  deleted: word.optional(),
  redacted: word.optional(),
  valid_until: word.optional(),
  content_emptied: word.optional(),
  number_emptied: word.optional(),
});
export type WireMessage = z.infer<typeof message>;

const event = z.object({
  at: word,
  actor: word,
  summary: word,
  status_before: word.optional(),
  status_after: word.optional(),
  twilio_sid: word.optional(),
});
export type WireEvent = z.infer<typeof event>;

const counts = z.object({ data: z.record(word, z.record(word, z.int())), measurement_timestamp: word });

const progress = z.object({
  running: z.boolean(),
  started: word.optional(),
  finished: word.optional(),
  total: z.int(),
  asked: z.int(),
  changed: z.int(),
  gone: z.int(),
  failed: z.int(),
  redacted: z.int(),
});
export type Progress = z.infer<typeof progress>;

const redactions = z.object({
  from: word,
  to: word,
  finished: z.int(),
  emptied_at_twilio: z.int(),
  outstanding: z.int(),
  oldest_outstanding: word.optional(),
  emptied_here: z.int(),
  numbers_emptied_here: z.int(),
  unfinished: z.int(),
  left_alone: z.int(),
  measurement_timestamp: word,
});
export type Redactions = z.infer<typeof redactions>;

const health = z.object({ results: z.array(z.object({ checker: word, passed: z.boolean(), output: word })) });

/** Refuses what Polaris SMS would not say: something else answers there. */
function reader<T>(schema: z.ZodType<T>) {
  return ({ body }: Reply): T => {
    const parsed = schema.safeParse(readJson(body));
    if (parsed.success) return parsed.data;
    throw new Failure('unreachable', 'The answer is not one that Polaris SMS would give: is --url right?');
  };
}

export const readMessage = reader(message);
export const readMessages = reader(z.array(message));
export const readEvents = reader(z.array(event));
export const readCounts = reader(counts);
export const readProgress = reader(progress);
export const readRedactions = reader(redactions);
export const readHealth = reader(health);
export const readRunning = reader(z.object({ running: z.literal(true) }));
export const readServedVersion = reader(z.object({ circle: word, hash: word, version: word }));
