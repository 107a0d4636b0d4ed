import { startService } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { type Db, openDb } from '../../src/db/db.ts';
import { readHashKey } from '../../src/db/installation.ts';
import { retain } from '../../src/jobs/retention.ts';
import { openLog } from '../../src/log.ts';
import { makeKeyedHash } from '../../src/message/keyed-hash.ts';

/**
 * The service, with retention in the same process that begins at SIGUSR1 and stops at SIGUSR2 instead of every ten minutes.
 * A line of JSON after each of its runs: how long, what was emptied, and its longest statement.
 */
const config = readConfig();
const log = openLog(config.log);
const service = await startService(config, { log });
const db = openDb({ url: service.databaseUrl, poolSize: 1 });
const hash = makeKeyedHash(await readHashKey(db));

let longestMs = 0;
const timed: Db = {
  ...db,
  query: async (statement) => {
    const began = performance.now();
    try {
      return await db.query(statement);
    } finally {
      longestMs = Math.max(longestMs, performance.now() - began);
    }
  },
};

let stopping = new AbortController();
process.on('SIGUSR1', async () => {
  stopping = new AbortController();
  const began = performance.now();
  const emptied = await retain({
    db: timed,
    log,
    hash,
    countryCode: config.countryCode,
    days: { text: 1, number: 1 },
    stopping: stopping.signal,
    countEmptied: () => {},
  });
  console.log(`retention ${JSON.stringify({ ...emptied, tookMs: performance.now() - began, longestMs })}`);
});
process.on('SIGUSR2', () => stopping.abort());
console.log(`listens on ${service.baseUrl}`);
