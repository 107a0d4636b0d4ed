import { pino } from 'pino';
import { build as buildPretty } from 'pino-pretty';
import type { LogConfig } from './config.ts';

/**
 * The logger of everything. Patient data must never reach it: lines hold ids, kinds and counts; errors are reduced to
 * what cannot hold a text or a number.
 */
export type Log = pino.Logger;

export function openLog(config: LogConfig, destination?: pino.DestinationStream): Log {
  return pino(
    {
      name: 'polaris-sms',
      level: config.level,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      base: { name: 'polaris-sms' },
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
      serializers: { err: describeError },
    },
    destination ?? destinationOf(config),
  );
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
  const code = 'code' in error ? String(error.code) : undefined;
  const isSystemError = 'syscall' in error;
  return {
    type: error.name,
    code,
    ...(isSystemError && { message: error.message }),
    at: (error.stack ?? '')
      .split('\n')
      .filter((line) => /^\s+at /.test(line))
      .slice(0, 8)
      .map((line) => line.trim()),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  };
}
