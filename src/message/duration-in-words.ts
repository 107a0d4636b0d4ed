const units = [
  { name: 'day', seconds: 86_400 },
  { name: 'hour', seconds: 3_600 },
  { name: 'minute', seconds: 60 },
  { name: 'second', seconds: 1 },
] as const;

/** The largest unit of which there are two, or one of the smallest: "119 seconds", "2 minutes", "36 hours". */
export function durationInWords(seconds: number): string {
  const { name, seconds: one } = units.find((unit) => seconds >= unit.seconds * 2) ?? { name: 'second', seconds: 1 };
  const count = Math.max(0, Math.floor(seconds / one));
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}
