import { showMoment } from './duration.ts';

/** How much was asked, and how much of it at once. */
export type Load = {
  /** A request is here: answers how many are in flight with it. Call {@link Load.end} when it has been answered or its caller has gone. */
  begin(): number;
  end(): void;
  inFlight(): number;
  /** It was answered with this HTTP status. */
  answered(http: number): void;
  report(): LoadReport;
};

export type LoadReport = {
  readonly peakInFlight: number;
  readonly requests: number;
  readonly busiestMinute: number;
  /** the minutes in which something was asked, named by their beginnings */
  readonly perMinute: readonly { readonly minute: string; readonly accepted: number; readonly refused: number }[];
};

export function createLoad(elapsed: () => number): Load {
  const minutes = new Map<number, { accepted: number; refused: number }>();
  let inFlight = 0;
  let peakInFlight = 0;

  function begin(): number {
    inFlight += 1;
    peakInFlight = Math.max(peakInFlight, inFlight);
    return inFlight;
  }

  function answered(http: number): void {
    const at = Math.floor(elapsed() / 60_000);
    const minute = minutes.get(at) ?? { accepted: 0, refused: 0 };
    minute[http < 400 ? 'accepted' : 'refused'] += 1;
    minutes.set(at, minute);
  }

  function report(): LoadReport {
    const perMinute = [...minutes].map(([at, counts]) => ({ minute: showMoment(at * 60_000).slice(0, 5), ...counts }));
    const sizes = perMinute.map(({ accepted, refused }) => accepted + refused);
    const requests = sizes.reduce((sum, size) => sum + size, 0);
    return { peakInFlight, requests, busiestMinute: Math.max(0, ...sizes), perMinute };
  }

  return {
    begin,
    end: () => {
      inFlight -= 1;
    },
    inFlight: () => inFlight,
    answered,
    report,
  };
}
