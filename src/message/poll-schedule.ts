/**
 * When Twilio is asked about a message that has gone quiet: so long after it last said something new of it. The word `sent` is
 * often the last one, because not every carrier reports delivery (TWILIO.md 9), so the pauses widen and come to an end.
 */
const agesInMinutes = [10, 30, 2 * 60, 6 * 60, 24 * 60, 72 * 60, 7 * 24 * 60];

/** The poll that comes after 72 hours without news: the silence is told then. */
export const SILENT_AT_POLL = 6;

/** How long after the last news the first poll comes, as an SQL interval. */
export const firstPoll = `interval '${agesInMinutes[0]} minutes'`;

/** From poll number n (an SQL expression, 1 is the first) to the next, as an SQL interval; NULL after the last one. */
export function pauseAfterPoll(n: string): string {
  const pauses = agesInMinutes
    .slice(1)
    .map((age, at) => `WHEN ${at + 1} THEN interval '${age - (agesInMinutes[at] ?? 0)} minutes'`);
  return `(CASE ${n} ${pauses.join(' ')} END)`;
}
