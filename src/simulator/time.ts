import { type Clock, systemClock } from '../clock.ts';
import { createHeap } from './heap.ts';

/** The simulator's only way to know the time and to wait. Every duration in it is simulated time. */
export type Time = {
  /** Does time move only by {@link Time.advance}? */
  readonly isDriven: boolean;
  /** what the simulator's calendar and watch show, in milliseconds since 1970 */
  now(): number;
  /** simulated milliseconds since the start */
  elapsed(): number;
  /** Does this when `ms` have passed. Whatever is due at one moment happens in the order of these calls. */
  after(ms: number, act: () => void | Promise<void>): void;
  /** Resolves when everything has happened that was due within the next `ms`. For a driven clock only. */
  advance(ms: number): Promise<void>;
  /** How much is yet to happen. */
  pending(): number;
  /** Forgets what is yet to happen. */
  clear(): void;
};

type Event = { readonly due: number; readonly order: number; readonly act: () => void | Promise<void> };

/**
 * Time that runs `speed` times as fast as real time, or, at speed 0, that stands still until it is driven.
 * A clock given here is believed as it is for dates, so that a program and the simulator inside it agree on them.
 */
export function createTime(speed: number, clock?: Clock): Time {
  return speed === 0 ? createDrivenTime(clock?.now().getTime() ?? drivenStart) : createRunningTime(speed, clock);
}

/** Fixed, so that two runs show the same dates. */
const drivenStart = Date.UTC(2026, 0, 1);

/** setTimeout takes no more than 2^31 - 1; whatever is later is looked at again then. */
const longestTimeoutMs = 2 ** 31 - 1;

function createRunningTime(speed: number, clock?: Clock): Time {
  const events = createEvents();
  const start = systemClock.now().getTime();
  const startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;

  const elapsed = () => (performance.now() - startedAt) * speed;

  function after(ms: number, act: Event['act']): void {
    if (events.add(elapsed() + ms, act)) wakeForFirst();
  }

  /** One real timer is enough: for whatever comes first. */
  function wakeForFirst(): void {
    clearTimeout(timer);
    const first = events.first();
    if (first === undefined) return;
    timer = setTimeout(doWhatIsDue, Math.min(Math.max(0, (first.due - elapsed()) / speed), longestTimeoutMs));
  }

  function doWhatIsDue(): void {
    // Not awaited: a slow receiver of callbacks does not stop the time of the others.
    for (let next = events.takeDue(elapsed()); next !== undefined; next = events.takeDue(elapsed())) void next.act();
    wakeForFirst();
  }

  return {
    isDriven: false,
    now: clock === undefined ? () => start + elapsed() : () => clock.now().getTime(),
    elapsed,
    after,
    advance: () =>
      Promise.reject(new Error('This clock runs by itself: start the simulator with speed 0 to drive it.')),
    pending: events.size,
    clear: () => {
      clearTimeout(timer);
      events.clear();
    },
  };
}

function createDrivenTime(start: number): Time {
  const events = createEvents();
  let elapsed = 0;
  let queue = Promise.resolve();

  /** One event after another; time stands still until each is over, however long that really takes. */
  async function advance(ms: number): Promise<void> {
    const until = elapsed + ms;
    for (let next = events.takeDue(until); next !== undefined; next = events.takeDue(until)) {
      elapsed = Math.max(elapsed, next.due);
      const ended = next.act();
      if (ended !== undefined) await ended;
    }
    elapsed = until;
  }

  return {
    isDriven: true,
    now: () => start + elapsed,
    elapsed: () => elapsed,
    after: (ms, act) => void events.add(elapsed + ms, act),
    advance: (ms) => {
      queue = queue.then(() => advance(ms));
      return queue;
    },
    pending: events.size,
    clear: events.clear,
  };
}

function createEvents() {
  const heap = createHeap<Event>((a, b) => a.due < b.due || (a.due === b.due && a.order < b.order));
  let order = 0;

  return {
    /** Answers whether the new event is now the first. */
    add(due: number, act: Event['act']): boolean {
      const event = { due, order: order++, act };
      heap.add(event);
      return heap.first() === event;
    },
    first: heap.first,
    takeDue(until: number): Event | undefined {
      const first = heap.first();
      return first !== undefined && first.due <= until ? heap.takeFirst() : undefined;
    },
    size: () => heap.size,
    clear: heap.clear,
  };
}
