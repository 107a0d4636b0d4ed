/** A binary heap: puts things in any order, takes the one that comes first. Among equals the order is up to `comesBefore`. */
export type Heap<T> = {
  readonly size: number;
  add(item: T): void;
  first(): T | undefined;
  takeFirst(): T | undefined;
  clear(): void;
};

export function createHeap<T>(comesBefore: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = [];

  function add(item: T): void {
    let at = items.length;
    for (let parent = (at - 1) >> 1; at > 0; at = parent, parent = (at - 1) >> 1) {
      const above = items[parent];
      if (above === undefined || !comesBefore(item, above)) break;
      items[at] = above;
    }
    items[at] = item;
  }

  function takeFirst(): T | undefined {
    const [first] = items;
    const last = items.pop();
    if (last !== undefined && items.length > 0) sink(last);
    return first;
  }

  /** Lets the item fall from the top to where nothing below it comes before it. */
  function sink(item: T): void {
    let at = 0;
    for (let next = smallerChild(at); next !== undefined && comesBefore(next.item, item); next = smallerChild(at)) {
      items[at] = next.item;
      at = next.index;
    }
    items[at] = item;
  }

  function smallerChild(at: number): { index: number; item: T } | undefined {
    const left = items[2 * at + 1];
    const right = items[2 * at + 2];
    if (left === undefined) return undefined;
    if (right === undefined || comesBefore(left, right)) return { index: 2 * at + 1, item: left };
    return { index: 2 * at + 2, item: right };
  }

  return {
    get size() {
      return items.length;
    },
    add,
    first: () => items[0],
    takeFirst,
    clear: () => {
      items.length = 0;
    },
  };
}
