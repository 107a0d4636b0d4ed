/** How things are written on a terminal of 80 columns. Nothing here knows the API. */

export const WIDTH = 80;

/** Terminals obey control characters, and direction marks reorder a line: neither may come out of a message. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '\u{FFFD}');
}

/** The last four digits: enough to tell two patients apart, too few to call one. An emptied number is a keyed hash. */
export function maskReceiver(receiver: string): string {
  if (receiver.startsWith('hashed:')) return 'emptied';
  const digits = receiver.replace(/\D/g, '');
  return `…${digits.slice(-Math.min(4, Math.floor(digits.length / 2)))}`;
}

/** A short code or a name belongs to nobody; a whole number might. */
export function maskSender(sender: string): string {
  return sender.replace(/\D/g, '').length >= 7 ? maskReceiver(sender) : printable(sender);
}

/** Sentences of others may repeat a number: every run of seven digits or more keeps its last four. */
export function withoutNumbers(sentence: string): string {
  return printable(sentence).replace(/(?<![\w-])\+?\(?\d[\d ().-]{5,}\d(?![\w-])/g, (number) =>
    number.replace(/\D/g, '').length < 7 ? number : maskReceiver(number),
  );
}

/** 2026-11-23T15:20:45.561Z → 2026-11-23 15:20 */
export function minuteOf(time: string): string {
  return time.slice(0, 16).replace('T', ' ');
}

export function secondOf(time: string): string {
  return time.slice(0, 19).replace('T', ' ');
}

/** Columns as wide as what stands in them, numbers to the right; gaps of two, or of one where 80 columns ask for it. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, n) => Math.max(...lines.map((line) => lengthOf(String(line[n] ?? '')))));
  const isWide = widths.reduce((sum, width) => sum + width, 2 * (widths.length - 1)) > WIDTH;
  const isNumber = head.map((_, n) => rows.length > 0 && rows.every((row) => typeof row[n] === 'number'));
  return lines
    .map((line) => line.map((cell, n) => pad(String(cell), widths[n] ?? 0, isNumber[n] === true)))
    .map((line) => `${line.join(isWide ? ' ' : '  ').trimEnd()}\n`)
    .join('');
}

function pad(text: string, width: number, toTheRight: boolean): string {
  const space = ' '.repeat(Math.max(0, width - lengthOf(text)));
  return toTheRight ? space + text : text + space;
}

function lengthOf(text: string): number {
  return [...text].length;
}

/** Lines of 80 columns that begin with `indent`; a word longer than a line is cut where the line ends. */
export function wrap(text: string, indent = ''): string {
  const room = WIDTH - lengthOf(indent);
  const lines: string[] = [];
  for (const word of text.split(' ').flatMap((long) => cut(long, room))) {
    const last = lines.at(-1);
    if (last === undefined || lengthOf(last) + 1 + lengthOf(word) > room) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.map((line) => `${(indent + line).trimEnd()}\n`).join('');
}

function cut(word: string, room: number): string[] {
  const letters = [...word];
  const parts = Math.max(1, Math.ceil(letters.length / room));
  return Array.from({ length: parts }, (_, n) => letters.slice(n * room, (n + 1) * room).join(''));
}

/** 3 messages, 1 message. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${grouped(number)} ${number === 1 ? one : many}`;
}

export function grouped(number: number): string {
  return number.toLocaleString('en-GB');
}
