/** Times: days are UTC days, as the service counts them; moments are shown in the reader's zone. */

const DAY_MS = 86_400_000;
const moment = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
const zone = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' });
const dayWords = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });
const longDay = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeZone: 'UTC' });
const monthWords = new Intl.DateTimeFormat('en-GB', { month: 'long', year: 'numeric', timeZone: 'UTC' });

export function now(): Date {
  return new Date();
}

/** `2026-11-23` */
export function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}

export function startOfDay(day: string): string {
  return `${day}T00:00:00.000Z`;
}

export function endOfDay(day: string): string {
  return `${day}T23:59:59.999Z`;
}

export function daysBefore(date: Date, days: number): Date {
  return new Date(date.getTime() - days * DAY_MS);
}

/** The days up to and including that of `date`, the oldest first. */
export function daysUpTo(date: Date, howMany: number): string[] {
  return Array.from({ length: howMany }, (_, n) => dayOf(daysBefore(date, howMany - 1 - n)));
}

export function inWords(time: string): string {
  return moment.format(new Date(time));
}

/** For what is filed: the same wherever it is read. */
export function utcInWords(time: string): string {
  return `${time.slice(0, 19).replace('T', ' ')} UTC`;
}

/** The reader's zone, for example `GMT` or `BST`. */
export function zoneInWords(): string {
  return zone.formatToParts(now()).find(({ type }) => type === 'timeZoneName')?.value ?? 'local time';
}

export function dayInWords(day: string): string {
  return dayWords.format(new Date(startOfDay(day)));
}

export function longDayInWords(day: string): string {
  return longDay.format(new Date(startOfDay(day)));
}

/** `month` as `2026-11`. */
export function monthInWords(month: string): string {
  return monthWords.format(new Date(`${month}-01T00:00:00Z`));
}

export function boundsOfMonth(month: string): { from: string; to: string } {
  const [year = 0, number = 1] = month.split('-').map(Number);
  return { from: `${month}-01T00:00:00.000Z`, to: new Date(Date.UTC(year, number, 1) - 1).toISOString() };
}

export function monthsUpTo(date: Date, howMany: number): string[] {
  return Array.from({ length: howMany }, (_, n) =>
    new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - n, 1)).toISOString().slice(0, 7),
  );
}

/** `3.2 s`, `4 min`, `2 h 10 min`, `3 d`: for people, not for sums. */
export function spanInWords(milliseconds: number): string {
  const seconds = Math.abs(milliseconds) / 1000;
  if (seconds < 1) return `${Math.round(Math.abs(milliseconds))} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.round(hours / 24)} d`;
}

export function sinceInWords(time: string, at: Date): string {
  const milliseconds = at.getTime() - new Date(time).getTime();
  if (Math.abs(milliseconds) < 5_000) return 'just now';
  return milliseconds < 0 ? `in ${spanInWords(milliseconds)}` : `${spanInWords(milliseconds)} ago`;
}
