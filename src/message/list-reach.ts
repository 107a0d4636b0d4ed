/** The most messages that a page of Twilio's list holds. */
export const PAGE = 1_000;
/** Reading a page is worth it when it saves more fetches than this (TWILIO.md 16). */
export const FETCHES_A_PAGE = 5;
const MAX_PAGES = 500;
const PARTS = 10;

/** How far back the list is read: to messages recorded at `until`, `wanted` of which are open, in `pages` of the account's messages. */
export type Reach = {
  readonly until: Date;
  readonly wanted: number;
  readonly ours: number;
  readonly mostPages: number;
};

/**
 * The farthest point of time from which on more messages are open than five times the pages it takes to get there: one old
 * message in a busy account is not worth them, a thousand are. Looked for in tenths of what is open. `countSince`: how many
 * messages of ours, open or not, were recorded since then. Null: the list does not pay at all.
 */
export async function reachOfList(
  open: readonly { readonly created: Date }[],
  countSince: (moment: Date) => Promise<number>,
): Promise<Reach | null> {
  const newestFirst = open.map(({ created }) => created).sort((a, b) => b.getTime() - a.getTime());
  for (let part = PARTS; part > 0; part -= 1) {
    const wanted = Math.ceil((newestFirst.length * part) / PARTS);
    const until = newestFirst[wanted - 1];
    if (until === undefined || wanted <= FETCHES_A_PAGE) return null;
    const ours = await countSince(until);
    // Also a list without end, or one that leads in circles, costs no more than the fetches that it could have saved.
    const mostPages = Math.min(MAX_PAGES, Math.ceil(wanted / FETCHES_A_PAGE));
    if (wanted > FETCHES_A_PAGE * Math.ceil(ours / PAGE)) return { until, wanted, ours, mostPages };
  }
  return null;
}
