import { type Call, type Flag, wrongUse } from './command.ts';

/** Both ends are included. */
type Period = { readonly from: string; readonly to: string };

export const periodFlags: Readonly<Record<string, Flag>> = {
  from: { value: 'DAY', about: 'from this UTC day on, or from a moment with a zone (2026-11-01T08:00:00Z); included' },
  to: { value: 'DAY', about: 'up to this UTC day or moment; included' },
  month: { value: 'MONTH', about: 'instead of both: a UTC month, for example 2026-11' },
};

export function readPeriod(name: string, call: Call): Period {
  const [from, to, month] = [call.text('from'), call.text('to'), call.text('month')];
  if (month !== undefined && from === undefined && to === undefined) return periodOfMonth(name, month);
  if (month !== undefined || from === undefined || to === undefined) {
    throw wrongUse(name, 'Give --from and --to, or --month.');
  }
  return { from: startOf(from), to: endOf(to) };
}

/** A day is its first moment; whatever else it is goes to the service as it is. */
export function startOf(time: string): string {
  return isDay(time) ? `${time}T00:00:00Z` : time;
}

/** A day is its last moment: PostgreSQL's times have microseconds. */
export function endOf(time: string): string {
  return isDay(time) ? `${time}T23:59:59.999999Z` : time;
}

function isDay(time: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(time);
}

function periodOfMonth(name: string, month: string): Period {
  const [, year = '', number = ''] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(month) ?? [];
  if (year === '') throw wrongUse(name, '--month must be a year and a month, for example 2026-11.');
  const lastDay = new Date(Date.UTC(Number(year), Number(number), 0)).getUTCDate();
  return { from: startOf(`${month}-01`), to: endOf(`${month}-${lastDay}`) };
}
