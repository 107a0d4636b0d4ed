import { randomInt } from 'node:crypto';

/** The ways in which people and other programs write a number; `last` are its last three digits. */
const spellings: readonly ((last: string) => string)[] = [
  (last) => `+447700900${last}`,
  (last) => `07700900${last}`,
  (last) => `07700 900${last}`,
  (last) => `(07700) 900-${last}`,
  (last) => `0044 7700 900${last}`,
  (last) => `+44 (0)7700-900-${last}`,
  (last) => `+44.7700.900.${last}`,
  (last) => `tel:+44-7700-900${last}`,
  (last) => `07700 900${last} ext. 12`,
  (last) => `001-202-555-01${last.slice(1)}x8${last}`,
  (last) => `+1 (202) 555-01${last.slice(1)}`,
];

/** A number that nobody has, newly drawn, in each spelling. */
export function oddNumbers(): string[] {
  return spellings.map((spell) => spell(lastDigits()));
}

export function oddNumber(): string {
  return spellings[randomInt(spellings.length)]?.(lastDigits()) ?? '';
}

/** Of the thousand that are kept for fiction in Britain all but the ten by which the simulator makes messages fail. */
function lastDigits(): string {
  const n = randomInt(980);
  return String(n < 190 ? n : n + 10).padStart(3, '0');
}
