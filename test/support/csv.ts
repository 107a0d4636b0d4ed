/** Reads CSV as RFC 4180 has it, character by character: lines of cells. Throws on what the RFC does not allow. */
export function parseCsv(text: string): string[][] {
  const lines: string[][] = [];
  let line: string[] = [];
  let at = 0;
  const quoted = () => {
    let cell = '';
    for (at += 1; ; at += 1) {
      if (at >= text.length) throw new Error('a quoted cell has no end');
      if (text[at] !== '"') cell += text[at];
      else if (text[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else break;
    }
    at += 1;
    return cell;
  };
  const plain = () => {
    const cell = /^[^",\r\n]*/.exec(text.slice(at))?.[0] ?? '';
    at += cell.length;
    return cell;
  };
  while (at < text.length) {
    line.push(text[at] === '"' ? quoted() : plain());
    if (text.startsWith('\r\n', at)) {
      lines.push(line);
      line = [];
      at += 2;
    } else if (text[at] === ',') at += 1;
    else throw new Error(`after a cell came ${JSON.stringify(text[at])}`);
  }
  if (line.length > 0) throw new Error('the last line has no end');
  return lines;
}

/** What a cell stood for before it was made safe for spreadsheets. */
export function plainCell(cell: string): string {
  return cell.replace(/^'/, '');
}
