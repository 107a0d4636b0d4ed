import type { MessageStatus } from './messages.ts';

/** How a message ends: the last status it reaches, and Twilio's reason where that is a bad one. */
export type Ending = {
  readonly status: 'delivered' | 'undelivered' | 'failed' | 'sent';
  readonly errorCode: number | null;
};

export type Step = { readonly afterMs: number; readonly status: MessageStatus; readonly errorCode: number | null };

export const happyEnding: Ending = { status: 'delivered', errorCode: null };

/** The step after this status on the way to the ending, with its drawn delay (TWILIO.md 9); undefined at the end. */
export function nextStep(status: MessageStatus, ending: Ending, fraction: (name: string) => number): Step | undefined {
  const road = roads[ending.status];
  // `accepted` is not on it: what follows is its first stage.
  const next = road[road.indexOf(status) + 1];
  if (next === undefined) return undefined;
  return {
    status: next,
    afterMs: within(delaysMs[next], fraction(`delay before ${next}`)),
    errorCode: next === ending.status ? ending.errorCode : null,
  };
}

const roads: Readonly<Record<Ending['status'], readonly MessageStatus[]>> = {
  delivered: ['queued', 'sending', 'sent', 'delivered'],
  undelivered: ['queued', 'sending', 'sent', 'undelivered'],
  failed: ['queued', 'sending', 'failed'],
  sent: ['queued', 'sending', 'sent'],
};

/** Together 1 to 2.5 seconds: long enough to watch, short enough that a newcomer sees `delivered` within three. */
const delaysMs: Readonly<Record<MessageStatus, readonly [least: number, most: number]>> = {
  accepted: [0, 0],
  queued: [20, 100],
  sending: [150, 350],
  sent: [250, 550],
  delivered: [600, 1500],
  undelivered: [600, 1500],
  failed: [250, 550],
  canceled: [0, 0],
};

function within([least, most]: readonly [number, number], fraction: number): number {
  return least + (most - least) * fraction;
}
