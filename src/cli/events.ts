import { type Command, callerHeaders } from './command.ts';
import { print, printJson } from './terminal.ts';
import { readEvents, type WireEvent } from './wire.ts';
import { printable, withoutNumbers, wrap } from './words.ts';

export const events: Command = {
  words: ['id'],
  about:
    'Shows what happened to a message, the oldest first: when (UTC), how long after what came before, who, and what.',
  flags: {},
  examples: ['90422bdb-077e-4c62-8dfe-315ba3cea0ce'],
  timeoutS: 30,
  tenant: 'taken',
  run: async (call) => {
    const reply = await call.api().demand({
      path: `/dhos/v1/sms/${encodeURIComponent(call.word(0))}/events`,
      headers: callerHeaders(call.tenant()),
    });
    if (call.is('json')) printJson(reply.body);
    else print(tell(readEvents(reply)));
    return 'done';
  },
};

/** A line with the date wherever a new day begins; a SID where it is first heard of: a second one is a second copy. */
function tell(story: readonly WireEvent[]): string {
  const firstOf = new Map<string, WireEvent>();
  for (const event of story) {
    const sid = event.twilio_sid;
    if (sid !== undefined && !firstOf.has(sid)) firstOf.set(sid, event);
  }
  return story
    .map((event, n) => {
      const before = story[n - 1];
      const day = event.at.slice(0, 10);
      const heading = before?.at.slice(0, 10) === day ? '' : `${printable(day)}\n`;
      const isNewSid = event.twilio_sid !== undefined && firstOf.get(event.twilio_sid) === event;
      return heading + line(event, before, isNewSid);
    })
    .join('');
}

function line(event: WireEvent, before: WireEvent | undefined, isNewSid: boolean): string {
  const gap = before === undefined ? '' : `+${inWords(Date.parse(event.at) - Date.parse(before.at))}`;
  const head = `  ${printable(event.at.slice(11, 23))} ${gap.padStart(9)}  ${printable(event.actor).padEnd(8)}  `;
  const sid = isNewSid ? ` ${printable(event.twilio_sid ?? '')}` : '';
  const said = withoutNumbers(event.summary) + changeOf(event) + sid;
  return head + wrap(said, ' '.repeat(head.length)).slice(head.length);
}

function changeOf({ status_before, status_after }: WireEvent): string {
  if (status_after === undefined || status_after === status_before) return '';
  return ` [${status_before === undefined ? '' : `${printable(status_before)} → `}${printable(status_after)}]`;
}

/** 45 ms, 1.2 s, 3.5 min, 2.0 h, 3.1 days. */
export function inWords(ms: number): string {
  if (!(ms >= 1000)) return `${Math.max(0, ms || 0)} ms`;
  const units: readonly [number, string][] = [
    [86_400_000, 'days'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1_000, 's'],
  ];
  const [size, unit] = units.find(([least]) => ms >= least) ?? [1_000, 's'];
  return `${(ms / size).toFixed(1)} ${unit}`;
}
