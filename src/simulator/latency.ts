import { fractionOf } from './draw.ts';

/** How long an answer takes: half of them up to `median`, all but one in a hundred up to `p99`, in milliseconds. */
export type Latency = { readonly median: number; readonly p99: number };

/** A log-normal time, drawn for this request: in the logarithm, 2.326 standard deviations lie between the two points. */
export function drawLatency({ median, p99 }: Latency, seed: number, fate: string): number {
  const deviation = Math.log(p99 / median) / 2.326;
  const [one, other] = [fractionOf(seed, fate, 'latency'), fractionOf(seed, fate, 'latency again')];
  const normal = Math.sqrt(-2 * Math.log(1 - one)) * Math.cos(2 * Math.PI * other);
  return median * Math.exp(deviation * normal);
}
