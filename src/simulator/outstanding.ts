/** Counts what is under way, so that whoever waits for the end of it need not guess how long that takes. */
export type Outstanding = {
  /** One thing more is under way. */
  begin(): void;
  /** One of them is over. */
  end(): void;
  /** Resolves when nothing is under way. */
  none(): Promise<void>;
  /** Nothing more will end: lets everyone who waits go. */
  abandon(): void;
};

export function createOutstanding(): Outstanding {
  let count = 0;
  let waiting: (() => void)[] = [];

  function abandon(): void {
    count = 0;
    for (const go of waiting) go();
    waiting = [];
  }

  function end(): void {
    count -= 1;
    if (count === 0) abandon();
  }

  async function none(): Promise<void> {
    if (count > 0) await new Promise<void>((resolve) => waiting.push(resolve));
  }

  return {
    begin: () => {
      count += 1;
    },
    end,
    none,
    abandon,
  };
}
