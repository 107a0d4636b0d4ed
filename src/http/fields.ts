import { z } from 'zod';

/** Kinds of values in requests, checked at the door. */

/**
 * `max` is in UTF-16 units, as Twilio counts; zod's own `max` counts code points and is there for the document. PostgreSQL
 * refuses NUL, and pg would replace a lone surrogate without a word, so both stop here.
 */
export function text(max: number, noText = 'must be a text') {
  const tooLong = `must not be longer than ${max} characters`;
  return z
    .string(noText)
    .max(max, { error: tooLong, abort: true })
    .refine((value) => value.length <= max, tooLong)
    .refine((value) => !value.includes('\0'), 'must not contain a NUL character')
    .refine((value) => value.isWellFormed(), 'must not contain half a surrogate pair');
}

export const requiredText = (max: number) => text(max).min(1, 'must not be empty');

export const instant = z
  .string('is missing or came twice')
  // A plus sign that was not encoded arrives as a space.
  .transform((value) => value.replace(/ (\d\d:?\d\d)$/, '+$1'))
  .refine(isInstant, 'must be a date and time with a zone, for example 2026-11-23T00:00:00.000Z');

/** RFC 3339, with zones up to 15:59 from UTC: PostgreSQL knows no others. */
function isInstant(value: string): boolean {
  const match = /^(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-](0\d|1[0-5]):?[0-5]\d)$/.exec(
    value,
  );
  const day = match?.[1];
  if (day === undefined || day.startsWith('0000')) return false;
  const parsed = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(day);
}

/** Longer than any number, name or code; short enough for an index. */
export const MAX_WORD = 250;
/** A trust or a product. */
export const tenantWord = text(MAX_WORD, 'is missing')
  .trim()
  .min(1, 'must not be empty')
  // Node joins a header that comes twice with a comma.
  .refine((value) => !value.includes(','), 'must come once')
  .transform((value) => value.toLowerCase());
