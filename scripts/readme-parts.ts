import { readFileSync } from 'node:fs';
import pg from 'pg';
import { statuses } from '../src/message/status.ts';
import { magicNumbers } from '../src/simulator/magic-numbers.ts';

/** The parts of the README that are written from the code, by the name of their markers. */
export async function readmeParts(databaseUrl: string): Promise<Record<string, string>> {
  return {
    targets: targets(),
    statuses: statusTable(),
    'magic numbers': magicNumberTable(),
    database: await databaseDiagram(databaseUrl),
  };
}

/** Replaces what stands between `<!-- name -->` and `<!-- /name -->`. */
export function withParts(readme: string, parts: Record<string, string>): string {
  return Object.entries(parts).reduce((text, [name, part]) => {
    const [before, rest] = splitAt(text, `<!-- ${name} -->\n`);
    const [, after] = splitAt(rest, `<!-- /${name} -->`);
    return `${before}<!-- ${name} -->\n${part}\n<!-- /${name} -->${after}`;
  }, readme);
}

function splitAt(text: string, marker: string): [string, string] {
  const at = text.indexOf(marker);
  if (at === -1) throw new Error(`README.md has no marker ${marker.trim()}`);
  return [text.slice(0, at), text.slice(at + marker.length)];
}

function targets(): string {
  const makefile = readFileSync(new URL('../Makefile', import.meta.url), 'utf8');
  const rows = [...makefile.matchAll(/^([a-z-]+):[^#\n]*## (.*)$/gm)].map(([, name, what]) => [
    `\`make ${name}\``,
    what ?? '',
  ]);
  return table(['target', 'what it does'], rows);
}

function statusTable(): string {
  const rows = Object.entries(statuses).map(([word, { saidBy, means, next }]) => [`\`${word}\``, saidBy, means, next]);
  return table(['status', 'said by', 'means', 'what follows'], rows);
}

function magicNumberTable(): string {
  const rows = magicNumbers.map(({ field, numbers, inWords }) => [
    field === 'To' ? 'receiver' : 'sender',
    numbers.map((number) => (number.startsWith('+') ? `\`${number}\`` : `…\`${number}\``)).join(' or '),
    inWords,
  ]);
  return table(['field', 'number', 'what happens'], rows);
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const tables = [
  'message',
  'attempt',
  'callback',
  'event',
  'duplicate_handover',
  'idempotency_key',
  'api_key',
  'audit',
  'job',
  'installation',
];

type Column = { table_name: string; column_name: string; data_type: string; is_key: boolean };

/** A Mermaid diagram of the tables that the migrations make; `ours` are the columns that the Python service did not have. */
async function databaseDiagram(databaseUrl: string): Promise<string> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query<Column>(
    `SELECT c.table_name, c.column_name, replace(c.data_type, ' without time zone', '') AS data_type,
           EXISTS (SELECT FROM information_schema.key_column_usage k
                   WHERE k.table_name = c.table_name AND k.column_name = c.column_name) AS is_key
    FROM information_schema.columns c
    WHERE c.table_schema = current_schema() AND c.table_name = ANY($1)
    ORDER BY array_position($1, c.table_name::text), c.ordinal_position`,
    [tables],
  );
  await client.end();
  const boxes = [...Map.groupBy(rows, (row) => row.table_name)].map(([name, columns]) => {
    const lines = columns.map((column) => {
      const type = column.data_type.replace('character varying', 'varchar').replaceAll(' ', '_');
      return `    ${type} ${column.column_name}${column.is_key ? ' PK' : ''}`;
    });
    return `  ${name} {\n${lines.join('\n')}\n  }`;
  });
  const relations = [
    '  message ||--o{ attempt : "handed to Twilio by"',
    '  message |o--o{ callback : "heard of by"',
    '  message ||--o{ event : "has lived through"',
    '  message ||--o{ duplicate_handover : "was taken twice as"',
    '  message ||--o| idempotency_key : "is named by"',
  ];
  return `\`\`\`mermaid\nerDiagram\n${[...relations, ...boxes].join('\n')}\n\`\`\``;
}
