import type { ListQuery } from './list-query.ts';
import type { MessageStore, Row } from './message-store.ts';
import { apiVersion, asResource, type Message } from './messages.ts';

export function listPath(accountSid: string): string {
  return `/${apiVersion}/Accounts/${accountSid}/Messages.json`;
}

/**
 * One page of Twilio's list, newest first. The cursor is a message and not a number, so a page stays what it was while new
 * messages arrive. `addedUntil` is the list's lag: what was added later is not in it yet.
 */
export function listPage(store: MessageStore, query: ListQuery, path: string, addedUntil: number) {
  const isListed = ({ message, addedAt }: Row) => addedAt <= addedUntil && matches(query, message);
  const { rows, hasOlder, hasNewer } = pageOf(store, query, isListed);
  const uri = (page: number, token: string) =>
    `${path}?${query.filters && `${query.filters}&`}PageSize=${query.pageSize}&Page=${page}${token}`;
  const start = query.page * query.pageSize;
  const [newest, oldest] = [rows.at(0)?.message.sid, rows.at(-1)?.message.sid];
  return {
    messages: rows.map(({ message }) => asResource(message)),
    first_page_uri: uri(0, ''),
    next_page_uri: hasOlder ? uri(query.page + 1, `&PageToken=PA${oldest}`) : null,
    previous_page_uri: hasNewer ? uri(Math.max(0, query.page - 1), `&PageToken=PB${newest}`) : null,
    page: query.page,
    page_size: query.pageSize,
    start,
    end: start + Math.max(0, rows.length - 1),
    uri: uri(query.page, query.cursor === null ? '' : `&PageToken=${tokenOf(query.cursor)}`),
  };
}

function matches({ from, to, sent }: ListQuery, message: Message): boolean {
  if (to !== null && message.to !== to) return false;
  return (from === null || message.from === from) && sent.every((allows) => allows(message.sent));
}

function tokenOf({ side, sid }: NonNullable<ListQuery['cursor']>): string {
  return (side === 'after' ? 'PA' : 'PB') + sid;
}

type Page = { readonly rows: Row[]; readonly hasOlder: boolean; readonly hasNewer: boolean };

function pageOf(store: MessageStore, query: ListQuery, isListed: (row: Row) => boolean): Page {
  const place = query.cursor === null ? undefined : store.place(query.cursor.sid);
  if (query.cursor?.side === 'before') return pageBefore(store, query, place, isListed);
  const rows: Row[] = [];
  for (const row of store.newestFirst(query.to, place)) {
    if (!isListed(row)) continue;
    if (rows.length === query.pageSize) return { rows, hasOlder: true, hasNewer: place !== undefined };
    rows.push(row);
  }
  return { rows, hasOlder: false, hasNewer: place !== undefined && rows.length > 0 };
}

/** The page that ends just before this row: whatever is newer, of which the last ones count. */
function pageBefore(
  store: MessageStore,
  query: ListQuery,
  place: Row | undefined,
  isListed: (row: Row) => boolean,
): Page {
  const newer: Row[] = [];
  for (const row of store.newestFirst(query.to)) {
    if (place !== undefined && row.index <= place.index) break;
    if (isListed(row)) newer.push(row);
  }
  return { rows: newer.slice(-query.pageSize), hasOlder: true, hasNewer: newer.length > query.pageSize };
}
