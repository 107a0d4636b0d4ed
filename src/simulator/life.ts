import type { Draw } from './draw.ts';
import type { MessageStatus } from './messages.ts';

/** How a message ends: the last status it reaches, and Twilio's reason where that is a bad one. */
export type Ending = {
  readonly status: 'delivered' | 'undelivered' | 'failed' | 'sent';
  readonly errorCode: number | null;
};

export type Step = { readonly afterMs: number; readonly status: MessageStatus; readonly errorCode: number | null };

export const happyEnding: Ending = { status: 'delivered', errorCode: null };

/** The steps from the first status to the ending, each with its drawn delay after the one before (TWILIO.md 9). */
export function planLife(first: 'accepted' | 'queued', ending: Ending, draw: Draw): Step[] {
  const road = first === 'accepted' ? (['queued', ...roads[ending.status]] as const) : roads[ending.status];
  return road.map((status) => ({
    status,
    afterMs: within(delaysMs[status], draw.fraction(`delay before ${status}`)),
    errorCode: status === ending.status ? ending.errorCode : null,
  }));
}

const roads = {
  delivered: ['sending', 'sent', 'delivered'],
  undelivered: ['sending', 'sent', 'undelivered'],
  failed: ['sending', 'failed'],
  sent: ['sending', 'sent'],
} as const;

/** Together 1 to 2.5 seconds: long enough to watch, short enough that a newcomer sees `delivered` within three. */
const delaysMs = {
  queued: [20, 100],
  sending: [150, 350],
  sent: [250, 550],
  delivered: [600, 1500],
  undelivered: [600, 1500],
  failed: [250, 550],
} as const;

function within([least, most]: readonly [number, number], fraction: number): number {
  return least + (most - least) * fraction;
}
