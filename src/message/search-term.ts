import { toE164 } from './phone-number.ts';

/** What somebody typed to find messages by. */
export type SearchTerm =
  | { readonly kind: 'uuid'; readonly ids: readonly string[] }
  | { readonly kind: 'sid'; readonly ids: readonly string[] }
  | { readonly kind: 'number'; readonly spelling: string }
  | { readonly kind: 'last digits'; readonly digits: string };

const LEAST_DIGITS = 4;
const MOST_DIGITS = 9;
/** So many digits after a zero can be a whole number as it is dialled at home. */
const LEAST_DIALLED = 9;
/** The letters that a number may come with: `tel:`, an extension. */
const lettersOfNumbers = ['', 'tel', 'x', 'ext', 'extn', 'extension', 'telext', 'telx'];

/** Null: it is neither an id, a SID, a phone number nor its last digits. `countryCode`: where a number without one is. */
export function readSearchTerm(typed: string, countryCode: string): SearchTerm | null {
  const term = typed.trim();
  if (/^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(term)) return { kind: 'uuid', ids: spellingsOfUuid(term) };
  if (/^(SM|MM)[0-9a-f]{32}$/i.test(term)) return { kind: 'sid', ids: spellingsOfSid(term) };
  const digits = lastDigits(term);
  if (digits !== null && !isDialled(digits, countryCode)) return { kind: 'last digits', digits };
  return isNumber(term, countryCode) ? { kind: 'number', spelling: term } : null;
}

/** As it was typed, and as it is stored. */
function spellingsOfUuid(term: string): string[] {
  const stored = term
    .toLowerCase()
    .replaceAll('-', '')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return [...new Set([term, stored])];
}

function spellingsOfSid(term: string): string[] {
  return [...new Set([term, term.slice(0, 2).toUpperCase() + term.slice(2).toLowerCase()])];
}

/** Four to nine digits, also as a masked number shows them: `****0123`. */
function lastDigits(term: string): string | null {
  const digits = term.replace(/^[*…]{1,8}/, '').replace(/[\s-]/g, '');
  return /^\d+$/.test(digits) && digits.length >= LEAST_DIGITS && digits.length <= MOST_DIGITS ? digits : null;
}

function isDialled(digits: string, countryCode: string): boolean {
  return digits.startsWith('0') && digits.length >= LEAST_DIALLED && toE164(digits, countryCode, 'possible') !== null;
}

/** libphonenumber would find a number in a sentence, and letters that stand for digits. */
function isNumber(term: string, countryCode: string): boolean {
  const letters = term.replace(/\P{L}/gu, '').toLowerCase();
  const digits = term.replace(/\P{Nd}/gu, '');
  return (
    lettersOfNumbers.includes(letters) && digits.length >= LEAST_DIGITS && toE164(term, countryCode, 'parsed') !== null
  );
}
