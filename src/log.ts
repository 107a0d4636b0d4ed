import { pino } from 'pino';
import { build as buildPretty } from 'pino-pretty';
import type { LogConfig } from './config.ts';
import { onlyKnown } from './log-fields.ts';

/**
 * The logger of everything. Patient data must never reach it: of a line's fields only those of log-fields.ts are written, from
 * whomever they come (our own lines, a child's bindings, Fastify's); errors are reduced to what cannot hold a text or a number.
 */
export type Log = pino.Logger;

export function openLog(config: LogConfig, destination?: pino.DestinationStream): Log {
  const log = pino(
    {
      name: 'polaris-sms',
      level: config.level,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      base: { name: 'polaris-sms' },
      formatters: {
        level: (label) => ({ level: label.toUpperCase() }),
        log: onlyKnown,
      },
      serializers: { err: describeError },
      hooks: { logMethod: logSentence },
    },
    destination ?? destinationOf(config),
  );
  // A child's own bindings, serializers and formatters would go past the list; all children inherit this.
  const childOf = log.child;
  log.child = function child(this: pino.Logger, bindings: pino.Bindings) {
    return childOf.call(this, onlyKnown(bindings));
  } as typeof log.child;
  return log;
}

/**
 * Fields and one sentence, nothing that would be put into the sentence afterwards; an error without a sentence would have its own
 * words taken for one.
 */
function logSentence(this: pino.Logger, args: unknown[], write: pino.LogFn): void {
  const [first, sentence] = args;
  if (typeof first === 'string') {
    write.call(this, {}, first);
    return;
  }
  const fields = first instanceof Error ? { err: first } : typeof first === 'object' && first !== null ? first : {};
  write.call(this, fields, typeof sentence === 'string' ? sentence : 'no sentence');
}

function destinationOf({ format }: LogConfig): pino.DestinationStream {
  if (format === 'json') return pino.destination({ sync: true });
  return buildPretty({
    colorize: format === 'colour',
    sync: true,
    messageKey: 'message',
    ignore: 'pid,hostname,name',
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
  });
}

/**
 * The type, code and call path of an error, not its words: PostgreSQL and HTTP libraries repeat values in theirs. System
 * errors (a refused connection, a full disk) keep their words, they name addresses and files only.
 */
function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const code = 'code' in error && /^\w{1,60}$/.test(String(error.code)) ? String(error.code) : undefined;
  const isSystemError = 'syscall' in error;
  return {
    type: error.name,
    code,
    ...(isSystemError && { message: error.message }),
    at: callPath(error),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  };
}

/** The stack begins with the error's words, and a line of theirs may look like a call. */
function callPath({ stack = '', message }: Error): string[] {
  return stack
    .replace(message, () => '')
    .split('\n')
    .filter((line) => /^ {4}at .*(?::\d+:\d+|<anonymous>|native)\)?$/.test(line))
    .slice(0, 8)
    .map((line) => line.trim());
}
