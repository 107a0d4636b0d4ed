import type { Browser } from 'playwright-core';
import { Pool } from 'undici';
import { setup as buildConsole } from '../browser/build.ts';
import { openBrowser } from '../browser/support.ts';
import { seeFirstPage, signInWith, startVisit } from '../browser/visits.ts';
import { setStage } from '../chaos/stage.ts';
import { createKey } from '../support/keys.ts';
import { startFlags } from '../support/process.ts';
import { callsOf, type Tenant, timeCalls } from './console-calls.ts';
import { findSubject, writePast } from './console-past.ts';
import type { Benchmark, Measurement } from './harness.ts';

/** The console on a service with a past: what each page asks of the API, and how long the first page takes in Chromium. */
const MESSAGES = 1_000_000;
const ROUNDS = 15;
const VISITS = 7;
const CALL_TARGET_MS = 200;
const PAGE_TARGET_MS = 1_000;

const whose: readonly { who: string; tenant: Tenant }[] = [
  { who: 'all tenants', tenant: null },
  { who: 'one tenant', tenant: { trustomer_code: 'ouh', product_name: 'gdm' } },
];

export const consoleBenchmark: Benchmark = {
  name: 'console',
  run: async (progress) => {
    await using started = new AsyncDisposableStack();
    progress('building the console');
    await buildConsole();
    const stage = await setStage({ seed: 1, postgresSettings: { max_wal_size: '4GB' } });
    started.defer(() => stage.stop());
    progress(`writing ${MESSAGES} messages`);
    const messages = await writePast(stage.databaseUrl, MESSAGES);
    const subject = await findSubject(stage.databaseUrl);
    const { baseUrl } = await stage.startReplica({ AUTH_MODE: 'apikey' }, startFlags);
    const browser = await openBrowser();
    started.defer(() => browser.close());
    const measurements: Measurement[] = [];
    for (const { who, tenant } of whose) {
      const session = await signInWith(baseUrl, await keyFor(stage.databaseUrl, tenant));
      progress(`calls of ${who}`);
      const http = new Pool(baseUrl, { connections: 1 });
      const calls = callsOf(tenant, subject);
      const times = await timeCalls(http, { calls, rounds: ROUNDS, cookie: `polaris_session=${session}` });
      await http.destroy();
      progress(`the first page of ${who}`);
      const visits = await timeVisits(browser, { baseUrl, session });
      const size = `${messages.toLocaleString('en')} messages`;
      measurements.push(lineOf(`console among ${size}: first page, ${who}`, visits, PAGE_TARGET_MS));
      for (const [what, ms] of times) measurements.push(lineOf(`  ${what}, ${who}`, ms, CALL_TARGET_MS));
    }
    return measurements;
  },
};

async function keyFor(databaseUrl: string, tenant: Tenant): Promise<string> {
  const bound = tenant && { trustomerCode: tenant.trustomer_code, productName: tenant.product_name };
  return (await createKey(databaseUrl, { tenant: bound })).text;
}

/** Each by somebody who was never there before. */
async function timeVisits(browser: Browser, place: { baseUrl: string; session: string }): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < VISITS; n += 1) {
    const visit = await startVisit(browser, place);
    times.push(await seeFirstPage(visit, place.baseUrl));
    await visit.end();
  }
  return times;
}

/** The median is what is measured; the least and the most stand beside it. */
function lineOf(what: string, times: readonly number[], targetMs: number): Measurement {
  const sorted = times.toSorted((a, b) => a - b);
  const [least = 0, value = 0, most = 0] = [sorted[0], sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  return {
    what: `${what} (${least.toFixed(0)} to ${most.toFixed(0)})`,
    value,
    unit: 'ms',
    target: `≤ ${targetMs.toLocaleString('en')} ms`,
    isMet: value <= targetMs,
  };
}
