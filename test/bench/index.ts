import { parseArgs } from 'node:util';
import { consoleBenchmark } from './console.ts';
import { countsBenchmark } from './counts.ts';
import { findBenchmarks } from './find.ts';
import { floodBenchmark } from './flood.ts';
import { guaranteeBenchmarks } from './guarantees.ts';
import { runBenchmarks } from './harness.ts';
import { keyBenchmark } from './keys.ts';
import { reconcileBenchmarks } from './reconcile.ts';
import { retentionBenchmarks } from './retention.ts';
import { sealingBenchmark } from './sealing.ts';
import { simulatorBenchmarks } from './simulator.ts';

/** `make bench`: measures, beside floors measured in the same run, and prints a table. */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    big: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
});

const benchmarks = [
  ...guaranteeBenchmarks,
  floodBenchmark,
  sealingBenchmark,
  ...reconcileBenchmarks,
  ...findBenchmarks,
  countsBenchmark(values.big ? 10_000_000 : 1_000_000),
  consoleBenchmark,
  keyBenchmark,
  ...retentionBenchmarks(values),
  ...simulatorBenchmarks,
];

if (values.help) {
  console.log(`Measures the service and its simulator beside floors of the same run; takes about ten minutes.

  --json        print JSON instead of a table
  --big         over tables of the largest size: an hour more
  --only WORDS  only benchmarks whose names hold these words
  --help        this text

${benchmarks.map(({ name }) => `  ${name}`).join('\n')}`);
} else {
  const chosen = benchmarks.filter(({ name }) => name.includes(values.only));
  await runBenchmarks(chosen, values);
}
