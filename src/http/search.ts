import type { z } from 'zod';
import { Refusal } from '../errors.ts';
import { type Position, receiversAlike } from '../message/lists.ts';
import { maskedCode, maskedNumber } from '../message/masked.ts';
import { readSearchTerm, type SearchTerm } from '../message/search-term.ts';
import { type FoundMessage, listTenants, type Search, type SoughtBy, searchMessages } from '../message/searches.ts';
import { authorOf, type Caller, reachOf, viewOf } from '../tenant/caller.ts';
import type { HttpApp } from './app-type.ts';
import { countedFor } from './counts.ts';
import { type AskedFilters, makeSealer, type Owner, readPage, type Sealer, writePage } from './cursor.ts';
import type { ListDeps } from './list-messages.ts';
import { answer, problems, toIsoUtc } from './schemas.ts';
import { type found, searchAnswer, searchRequest } from './search-schemas.ts';

const USUAL = 50;
/** So many digits a masked number shows. */
const SHOWN_DIGITS = 4;

type Asked = z.output<typeof searchRequest>;
/** A page of a search, as it was asked for or as its cursor holds it; lists of words as JSON. */
type AskedPage = { readonly after: Position | null; readonly filters: AskedFilters };

/** A POST, so that no number stands in an address; it changes nothing. */
export function searchRoute(app: HttpApp, deps: Omit<ListDeps, 'streams'>): void {
  const sealer = makeSealer(deps.hash);
  app.post(
    '/dhos/v1/sms_search',
    {
      config: { scope: 'sms:read' },
      schema: {
        summary: 'Find messages over all tenants of the key, newest first, masked always',
        description:
          'All that is asked counts together; deleted messages are not found. By its last digits a number is found that this service has sent to, ' +
          'not one that only the Python service knew.',
        tags: ['sms'],
        body: searchRequest,
        response: { 200: answer('The messages', searchAnswer), ...problems(400, 401, 403, 413, 415, 503) },
      },
    },
    async ({ body, caller }): Promise<z.output<typeof searchAnswer>> => {
      const page = readAsked(body, sealer, caller);
      const { q } = page.filters;
      const term = q === undefined ? null : termOf(q, deps.countryCode);
      const isSecret = term !== null && saysNumber(term);
      if (isSecret && viewOf(caller) === 'masked')
        throw new Refusal('forbidden', 'q: needs a key with the scope sms:read:content.');
      const search = await readSearch(page, term, caller, deps);
      const { messages, last } = await searchMessages(deps.db, search, body.limit ?? USUAL);
      if (isSecret) await noteSearch(deps, caller, { page, kind: term.kind, messages: messages.length });
      return {
        messages: messages.map(toFound),
        ...(last !== null && { next: sealer.seal(ownerOf('cursor', caller), writePage({ ...page, after: last })) }),
        ...(q !== undefined && term !== null && { token: sealer.seal(ownerOf('token', caller), q), kind: term.kind }),
      };
    },
  );
}

/** Sealed for all who reach the same messages: an address can be passed on to a colleague. */
function ownerOf(what: 'cursor' | 'token', caller: Caller): Owner {
  return ['search', what, reachOf(caller)];
}

/** All of a search is in its cursor; who sends it again must send the same. */
function readAsked(asked: Asked, sealer: Sealer, caller: Caller): AskedPage {
  const filters = filtersOf(asked, openToken(asked, sealer, caller));
  if (asked.cursor === undefined) return { after: null, filters };
  const text = sealer.open(ownerOf('cursor', caller), asked.cursor);
  if (text === null) throw new Refusal('bad request', 'cursor: is not one that a search of this key gave out.');
  const page = readPage(text);
  const differs = Object.keys(filters).find((name) => filters[name] !== page.filters[name]);
  if (differs !== undefined)
    throw new Refusal('bad request', `${differs}: is not what the cursor's search was asked for.`);
  return page;
}

/** What was typed; nothing typed is nothing asked. */
function openToken({ q, token }: Asked, sealer: Sealer, caller: Caller): string | undefined {
  if (token === undefined) return q?.trim() || undefined;
  if (q !== undefined) throw new Refusal('bad request', 'q, token: only one of them can be sent.');
  const typed = sealer.open(ownerOf('token', caller), token);
  if (typed === null) throw new Refusal('bad request', 'token: is not one that a search of this key gave out.');
  return typed;
}

function filtersOf(asked: Asked, q: string | undefined): AskedFilters {
  const { status, error_code, from, to, trustomer_code, product_name } = asked;
  const all = { q, status: inOrder(status), error_code: inOrder(error_code), from, to, trustomer_code, product_name };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

function inOrder(words: readonly string[] | undefined): string | undefined {
  return words && JSON.stringify([...new Set(words)].sort());
}

function termOf(q: string, countryCode: string): SearchTerm {
  const term = readSearchTerm(q, countryCode);
  if (term === null)
    throw new Refusal('bad request', 'q: is neither an id, a SID, a phone number nor its last digits.');
  return term;
}

/** Who may not see a number may not find out by asking for it either. */
function saysNumber(term: SearchTerm): boolean {
  return term.kind === 'number' || (term.kind === 'last digits' && term.digits.length > SHOWN_DIGITS);
}

type SearchDeps = Omit<ListDeps, 'streams'>;

async function readSearch({ after, filters }: AskedPage, term: SearchTerm | null, caller: Caller, deps: SearchDeps) {
  const within = countedFor(caller, filters);
  const isAll = within.trustomerCode === null && within.productName === null;
  const { trustomerCode, productName } = within;
  const isOne = trustomerCode !== null && productName !== null;
  return {
    by: term === null ? null : soughtBy(term, deps),
    isAll,
    tenants: isOne ? [{ trustomerCode, productName }] : await listTenants(deps.db, within),
    status: wordsOf(filters.status),
    errorCode: wordsOf(filters.error_code),
    from: filters.from ?? null,
    to: filters.to ?? null,
    after,
  } satisfies Search;
}

function wordsOf(words: string | undefined): string[] | null {
  return words === undefined ? null : JSON.parse(words);
}

function soughtBy(term: SearchTerm, { countryCode, hash }: SearchDeps): SoughtBy {
  if (term.kind !== 'number') return term;
  return { kind: 'number', receivers: receiversAlike(term.spelling, countryCode, hash) ?? [] };
}

/** With the names of what was asked: never the number. */
function noteSearch(
  { note }: SearchDeps,
  caller: Caller,
  { page, kind, messages }: { page: AskedPage; kind: SearchTerm['kind']; messages: number },
): Promise<void> {
  const reach = reachOf(caller);
  const details = { searched: kind, filters: Object.keys(page.filters), messages };
  const tenant = reach === 'all tenants' ? null : reach;
  return note(authorOf(caller), { action: 'searched', messageUuid: null, tenant, details });
}

function toFound(row: FoundMessage): z.output<typeof found> {
  const code = maskedCode(row.error_code);
  return {
    uuid: row.uuid,
    created: row.created.toISOString(),
    trustomer_code: row.trustomer_code,
    product_name: row.product_name,
    receiver: maskedNumber(row.receiver),
    sender: row.sender,
    ...(row.status !== null && { status: row.status }),
    ...(code !== null && { error_code: code }),
    ...(row.twilio_sid !== null && { twilio_sid: row.twilio_sid }),
    ...(row.date_sent !== null && { date_sent: toIsoUtc(row.date_sent) }),
    ...(row.redacted !== null && { redacted: row.redacted.toISOString() }),
    ...(row.content_emptied !== null && { content_emptied: row.content_emptied.toISOString() }),
    ...(row.number_emptied !== null && { number_emptied: row.number_emptied.toISOString() }),
  };
}
