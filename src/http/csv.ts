/**
 * CSV as RFC 4180 has it, in UTF-8 without a byte order mark, and safe to open: a spreadsheet takes a cell that begins with
 * one of `= + - @` (or their wide forms), a tab or a line break for a formula. Such a cell gets an apostrophe in front, and so
 * does one that begins with an apostrophe: who reads it back takes one leading apostrophe away and has the value again.
 */
const LOOKS_LIKE_A_FORMULA = /^[=+\-@＝＋－＠\t\r\n']/;
/** More than the RFC asks for: some spreadsheets part cells at semicolons or tabs, or trim them. */
const NEEDS_QUOTES = /[",;\t\r\n]|^\s|\s$/;

/** One line with its CRLF; a value that is not there is an empty cell. */
export function csvLine(cells: readonly (string | number | undefined)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

function csvCell(value: string | number | undefined): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const safe = LOOKS_LIKE_A_FORMULA.test(value) ? `'${value}` : value;
  return NEEDS_QUOTES.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
