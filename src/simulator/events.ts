import type { CallbackOutcome } from './courier.ts';
import type { MessageStatus } from './messages.ts';
import type { RequestKind } from './scenario.ts';

/** What happened, for people who watch: never a text, and of a number only the last four digits. */
export type SimulatorEvent = { readonly at: Date } & Happening;

export type Happening =
  | { readonly kind: 'created'; readonly sid: string; readonly to: string; readonly status: MessageStatus }
  | { readonly kind: 'refused'; readonly code: number; readonly to: string }
  /** the scenario meddled with a request */
  | { readonly kind: 'disturbed'; readonly request: RequestKind; readonly rule: number; readonly fault: string }
  | {
      readonly kind: 'changed';
      readonly sid: string;
      readonly to: string;
      readonly status: MessageStatus;
      readonly errorCode: number | null;
    }
  | {
      readonly kind: 'called back';
      readonly sid: string;
      readonly status: string;
      readonly attempt: number;
      readonly outcome: CallbackOutcome;
      readonly fault?: string;
    }
  | { readonly kind: 'callback lost'; readonly sid: string; readonly status: string }
  | { readonly kind: 'redacted' | 'deleted'; readonly sid: string };

export type Tell = (happening: Happening) => void;

/** The last four digits; nothing of what is too short to hide anything. */
export function maskNumber(number: string): string {
  return number.length < 8 ? '…' : `…${number.slice(-4)}`;
}

/** One line for the terminal. */
export function describeEvent(event: SimulatorEvent): string {
  return `${event.at.toISOString().slice(11, 23)}  ${describe(event)}`;
}

const noSid = '-'.repeat(34);

function describe(event: Happening): string {
  switch (event.kind) {
    case 'created':
      return `${event.sid}  to ${event.to}  created as ${event.status}`;
    case 'refused':
      return `${noSid}  to ${event.to}  refused with ${event.code}`;
    case 'disturbed':
      return `${noSid}  rule ${event.rule} on ${event.request}: ${event.fault}`;
    case 'changed':
      return `${event.sid}  to ${event.to}  ${event.status}${event.errorCode === null ? '' : ` (${event.errorCode})`}`;
    case 'called back': {
      const fault = event.fault === undefined ? '' : ` (${event.fault})`;
      return `${event.sid}  callback ${event.status}, try ${event.attempt}${fault}: ${event.outcome}`;
    }
    case 'callback lost':
      return `${event.sid}  callback ${event.status} lost`;
    case 'redacted':
    case 'deleted':
      return `${event.sid}  ${event.kind}`;
    default:
      return event satisfies never;
  }
}
