import { type Command, type Tenant, wrongUse } from './command.ts';
import { periodFlags, readPeriod } from './period.ts';
import { print, printJson, remark } from './terminal.ts';
import { readCounts } from './wire.ts';
import { printable, table, WIDTH } from './words.ts';

type Counts = Readonly<Record<string, Readonly<Record<string, number>>>>;

export const report: Command = {
  about: 'Counts messages by UTC day and status; deleted ones are left out. Without a tenant: of all of them.',
  flags: {
    ...periodFlags,
    'all-tenants': { about: 'of all of them, whatever POLARIS_SMS_… says' },
    csv: { about: 'as CSV' },
  },
  examples: ['--month 2026-11 --trustomer OUH', '--from 2026-11-01 --to 2026-11-07 --csv'],
  timeoutS: 60,
  tenant: 'taken',
  run: async (call) => {
    if (call.is('csv') && call.is('json')) throw wrongUse('report', 'Give either --csv or --json.');
    const period = readPeriod('report', call);
    const tenant: Tenant = call.is('all-tenants') ? { trustomer: null, product: null } : call.tenant();
    const reply = await call.api().demand({
      path: '/dhos/v1/sms_status_counts',
      query: {
        start_date: period.from,
        end_date: period.to,
        trustomer_code: tenant.trustomer ?? undefined,
        product_name: tenant.product ?? undefined,
      },
      headers: { accept: call.is('csv') ? 'text/csv' : 'application/json' },
    });
    if (call.is('csv')) print(reply.body);
    else if (call.is('json')) printJson(reply.body);
    else {
      remark(`${whose(tenant)}, ${period.from} to ${period.to}\n`);
      print(describe(readCounts(reply).data));
    }
    return 'done';
  },
};

function whose({ trustomer, product }: Tenant): string {
  const words = [trustomer ?? 'all trusts', product ?? 'all products'];
  return printable(words.join(' / '));
}

/** In the order of a message's life; words that Twilio invents later come last. */
const order = ['accepted', 'scheduled', 'queued', 'sending', 'sent', 'delivered', 'read'];
const badEnds = ['undelivered', 'failed', 'canceled', 'error', 'unconfirmed'];

function describe(data: Counts): string {
  const days = Object.keys(data).sort();
  if (days.length === 0) return 'No messages.\n';
  const present = new Set(Object.values(data).flatMap((counts) => Object.keys(counts)));
  const known = [...order, ...badEnds];
  const statuses = [
    ...known.filter((status) => present.has(status)),
    ...[...present].filter((s) => !known.includes(s)).sort(),
  ];
  const total = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((sum, n) => sum + n, 0);
  return inBlocks([...statuses, 'total'])
    .map((block) => {
      const cells = (day: string) =>
        block.map((status) => (status === 'total' ? total(data[day] ?? {}) : (data[day]?.[status] ?? 0)));
      const rows = days.map((day) => [day, ...cells(day)]);
      const sums = block.map((_, n) => rows.reduce((sum, row) => sum + Number(row[n + 1]), 0));
      return table(['day (UTC)', ...block.map(printable)], [...rows, ['all', ...sums]]);
    })
    .join('\n');
}

/** As many columns side by side as 80 columns hold; each may hold a number of nine digits. */
function inBlocks(statuses: readonly string[]): string[][] {
  const blocks: string[][] = [[]];
  let room = WIDTH - 10;
  for (const status of statuses) {
    const width = Math.max(9, status.length) + 2;
    if (width > room) {
      blocks.push([]);
      room = WIDTH - 10;
    }
    blocks.at(-1)?.push(status);
    room -= width;
  }
  return blocks;
}
