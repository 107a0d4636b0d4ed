import { hash } from 'node:crypto';

/**
 * What chance gives to one message. Each draw has a name and depends on the seed, the receiver, the text and how often that
 * text was sent to that receiver before: never on a stream shared with other messages, so the order in which requests happen
 * to arrive changes nobody's fate, and a draw added later changes none of the others.
 */
export type Draw = {
  /** 1 for the first request to send this text to this receiver, 2 for the second, … */
  readonly occurrence: number;
  /** see {@link hashText} */
  readonly textHash: string;
  /** Tells this request from every other of the run. */
  readonly key: string;
  /** from 0 up to, not including, 1 */
  fraction(name: string): number;
  /** 32 hexadecimal digits */
  hex(name: string): string;
};

/** Returns a function that gives the n-th request for the same receiver and text its draw. */
export function createDraws(seed: number): (receiver: string, text: string) => Draw {
  const timesBefore = new Map<number, number>();
  return (receiver, text) => {
    const textHash = hashText(text);
    // Keyed by 48 bits of a hash: a redacted text is not kept here, and a number takes little room.
    const pair = digest([receiver, textHash]).readUIntBE(0, 6);
    const occurrence = (timesBefore.get(pair) ?? 0) + 1;
    timesBefore.set(pair, occurrence);
    const key = `${receiver} ${textHash} ${occurrence}`;
    return {
      occurrence,
      textHash,
      key,
      fraction: (name) => fractionOf(seed, key, name),
      hex: (name) => hexOf([seed, key, name], 16),
    };
  };
}

/** How the journal and the judge name a text: the first 16 hexadecimal digits of its SHA-256. */
export function hashText(text: string): string {
  return hexOf([text], 8);
}

/** A fraction from 0 up to, not including, 1 that depends on the parts and on nothing else. */
export function fractionOf(...parts: readonly (string | number)[]): number {
  return digest(parts).readUIntBE(0, 6) / 256 ** 6;
}

function hexOf(parts: readonly (string | number)[], bytes: number): string {
  // Written from bytes: a slice of a longer text would keep the whole of it in memory.
  return digest(parts).toString('hex', 0, bytes);
}

function digest(parts: readonly (string | number)[]): Buffer {
  return hash('sha256', parts.join('\n'), 'buffer');
}
