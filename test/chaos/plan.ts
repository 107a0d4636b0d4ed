import { fractionOf } from '../../src/simulator/draw.ts';

/** One text that a client of the drill wants sent. No two are alike, so that the judge can tell them apart by their words. */
export type PlannedMessage = {
  readonly n: number;
  readonly receiver: string;
  readonly content: string;
  /** with `Prefer: respond-async` */
  readonly isAsync: boolean;
  /** its Idempotency-Key */
  readonly key: string | null;
};

export const sender = '+447700900001';

/** The n-th message of the run with this seed: whom it goes to and how it is asked for. */
export function planMessage(seed: number, n: number): PlannedMessage {
  const draw = (name: string) => fractionOf(seed, 'drill', n, name);
  return {
    n,
    receiver: receiverAt(draw('fate'), draw('receiver')),
    content: `Drill ${seed}, message ${n}: nobody needs to answer.`,
    isAsync: draw('async') < 0.2,
    key: draw('key') < 1 / 3 ? `drill-${seed}-${n}` : null,
  };
}

/**
 * One in twelve goes to an ending with a fate: undelivered, failed, `sent` for ever, or refused. Not to the two that refuse for
 * ever (8) or break for ever (9): no message to them would have an end within the drill.
 */
function receiverAt(fate: number, place: number): string {
  const last = fate < 1 / 12 ? 990 + Math.floor(place * 8) : usual(Math.floor(place * 980));
  return `+447700900${String(last).padStart(3, '0')}`;
}

/** The endings 190 to 199 have fates as well. */
function usual(place: number): number {
  return place < 190 ? place : place + 10;
}
