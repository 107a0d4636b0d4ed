import { parseArgs } from 'node:util';
import { findBenchmarks } from './find.ts';
import { guaranteeBenchmarks } from './guarantees.ts';
import { runBenchmarks } from './harness.ts';
import { retentionBenchmarks } from './retention.ts';
import { simulatorBenchmarks } from './simulator.ts';

/** `make bench`: measures, beside floors measured in the same run, and prints a table. */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    big: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(
    'Measures the service and its simulator; takes about seven minutes.\n\n  --json   print JSON instead of a table\n  --big    over tables of the largest size: half an hour more\n  --help   this text',
  );
} else {
  await runBenchmarks(
    [...guaranteeBenchmarks, ...findBenchmarks, ...retentionBenchmarks(values), ...simulatorBenchmarks],
    values,
  );
}
