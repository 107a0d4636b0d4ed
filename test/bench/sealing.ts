import { randomBytes } from 'node:crypto';
import { CONNECTIONS, compare, LATENCY_MS, onStage, prepareTexts, startProgram } from './guarantees.ts';
import type { Benchmark } from './harness.ts';

/** Issue 6: encryption costs 15 % of sends/s at the most. */
const TARGET = 0.85;

/** Two services on one PostgreSQL, one with a content key and one without, in turns. */
export const sealingBenchmark: Benchmark = {
  name: 'what sealing texts costs',
  run: (progress) =>
    onStage(async (stage, started) => {
      const twilio = await startProgram(started, 'test/bench/floor-slow-twilio.ts', [String(LATENCY_MS)]);
      const common = { TWILIO_BASE_URL: twilio.url, TWILIO_MAX_CONCURRENCY: String(CONNECTIONS) };
      const sealed = await stage.startReplica({
        ...common,
        CONTENT_KEYS: `bench:${randomBytes(32).toString('base64')}`,
      });
      const clear = await stage.startReplica(common);
      const side = (program: typeof sealed) => ({
        url: program.baseUrl,
        program,
        expected: 200,
        prepare: prepareTexts,
      });
      return compare('sends with sealed texts, beside sends in clear', side(sealed), side(clear), progress, TARGET);
    }),
};
