/** RFC 4180. A cell that a spreadsheet would take for a formula begins with an apostrophe, as in the service's own CSV. */
export function csvOf<Row extends object>(columns: readonly (keyof Row & string)[], rows: readonly Row[]): string {
  const lines = rows.map((row) => columns.map((column) => cell(String(row[column] ?? ''))).join(','));
  return `${[columns.join(','), ...lines].join('\r\n')}\r\n`;
}

function cell(text: string): string {
  const safe = /^[=+\-@\t\r'|%]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
