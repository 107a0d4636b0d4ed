const units = [
  { name: 'day', one: 'a day', seconds: 86_400 },
  { name: 'hour', one: 'an hour', seconds: 3_600 },
  { name: 'minute', one: 'a minute', seconds: 60 },
  { name: 'second', one: 'a second', seconds: 1 },
] as const;

/** The largest unit of which there is one and no more, or at least two: "a moment", "61 seconds", "a minute", "36 hours". */
export function durationInWords(seconds: number): string {
  if (seconds < 1) return 'a moment';
  const unit = units.findIndex((one, n) => isOne(seconds, n) || seconds >= one.seconds * 2);
  const { name, one, seconds: length } = units[unit] ?? units[3];
  return isOne(seconds, unit) ? one : `${Math.floor(seconds / length)} ${name}s`;
}

/** To the next smaller unit: 119 seconds are more than a minute. */
function isOne(seconds: number, unit: number): boolean {
  const { seconds: length } = units[unit] ?? units[3];
  const smaller = units[unit + 1]?.seconds ?? 1;
  return Math.floor(seconds / smaller) === length / smaller;
}
