import { createHash } from 'node:crypto';

/**
 * What chance gives to one message. Each draw has a name and depends on the seed, the receiver, the text and how often that
 * text went to that receiver before: never on a stream shared with other messages, so the order in which requests happen
 * to arrive changes nobody's fate, and a draw added later changes none of the others.
 */
export type Draw = {
  /** from 0 up to, not including, 1 */
  fraction(name: string): number;
  /** 32 hexadecimal digits */
  hex(name: string): string;
};

/** Returns a function that gives the n-th message of the same receiver and text its draw. */
export function createDraws(seed: number): (receiver: string, text: string) => Draw {
  // Keyed by hash, so that a redacted text is not kept here.
  const timesBefore = new Map<string, number>();
  return (receiver, text) => {
    const key = hash(receiver, text);
    const n = timesBefore.get(key) ?? 0;
    timesBefore.set(key, n + 1);
    return drawFor(seed, key, n);
  };
}

function drawFor(seed: number, key: string, n: number): Draw {
  const hex = (name: string) => hash(String(seed), key, String(n), name).slice(0, 32);
  return { hex, fraction: (name) => Number.parseInt(hex(name).slice(0, 12), 16) / 16 ** 12 };
}

function hash(...parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
