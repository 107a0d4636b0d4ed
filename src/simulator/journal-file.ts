import { closeSync, openSync, writeSync } from 'node:fs';
import { CannotStart } from '../errors.ts';

/** A file to which lines are appended. */
export type JournalFile = { append(line: string): void; close(): void };

/** Lines are written together, once a turn of the event loop. Refuses with {@link CannotStart} when the file cannot be opened. */
export function openJournalFile(path: string): JournalFile {
  const file = open(path);
  let waiting: string[] = [];

  function flush(): void {
    const lines = waiting;
    waiting = [];
    if (lines.length > 0) writeSync(file, lines.join(''));
  }

  return {
    append: (line) => {
      if (waiting.push(line) === 1) setImmediate(flush);
    },
    close: () => {
      flush();
      closeSync(file);
    },
  };
}

function open(path: string): number {
  try {
    return openSync(path, 'a');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CannotStart(`The journal ${path} cannot be written: ${reason}.`, { cause });
  }
}
