import { lowerCase, type VariableReader } from './variables.ts';

/** What becomes of a message whose fate at Twilio is unknown, and of the same text again: GUARANTEES.md. */
export type SendingConfig = {
  readonly ambiguousSend: 'resolve' | 'never-resend';
  readonly settleMs: number;
  /** 0 = the same text again is a message of its own. */
  readonly duplicateWindowS: number;
};

/** How many days after `created` text and number are kept here; 0 = for good. */
export type RetentionConfig = { readonly contentDays: number; readonly numberDays: number };

export function readSending(reader: VariableReader): SendingConfig {
  const ambiguousSend = reader.oneOf('AMBIGUOUS_SEND', ['RESOLVE', 'NEVER-RESEND'] as const, 'RESOLVE');
  return {
    ambiguousSend: lowerCase(ambiguousSend),
    settleMs: reader.integer('SETTLE_MS', 120_000, 0, 3_600_000),
    duplicateWindowS: reader.integer('DUPLICATE_WINDOW_S', 0, 0, 30 * 86_400),
  };
}

const LONGEST_RETENTION_DAYS = 36_500;

export function readRetention(reader: VariableReader, duplicateWindowS: number): RetentionConfig {
  const contentDays = reader.integer('CONTENT_RETENTION_DAYS', 0, 0, LONGEST_RETENTION_DAYS);
  const numberDays = reader.integer('NUMBER_RETENTION_DAYS', 0, 0, LONGEST_RETENTION_DAYS);
  if (duplicateWindowS > shortestRetentionS({ contentDays, numberDays })) {
    reader.problem('DUPLICATE_WINDOW_S', 'must not be longer than CONTENT_RETENTION_DAYS or NUMBER_RETENTION_DAYS');
  }
  return { contentDays, numberDays };
}

/** The hash by which the same text is known again stands for text and number, and goes with the first of them. */
export function shortestRetentionS({ contentDays, numberDays }: RetentionConfig): number {
  return Math.min(...[contentDays, numberDays].filter((days) => days > 0)) * 86_400;
}
