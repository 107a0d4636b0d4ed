export type Places = {
  /** Waits, in turn, for so many places at once; answers how to give them back. */
  take(weight: number): Promise<() => void>;
};

/** So many things may go on at the same time, a heavy one counting for several. */
export function makePlaces(count: number): Places {
  const queue: { weight: number; begin: () => void }[] = [];
  let free = count;

  const serve = () => {
    for (let next = queue[0]; next !== undefined && next.weight <= free; next = queue[0]) {
      queue.shift();
      free -= next.weight;
      next.begin();
    }
  };
  return {
    take: async (asked) => {
      const weight = Math.min(asked, count);
      await new Promise<void>((begin) => {
        queue.push({ weight, begin });
        serve();
      });
      return () => {
        free += weight;
        serve();
      };
    },
  };
}
