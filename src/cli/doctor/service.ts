import { readVersion } from '../../version.ts';
import type { Api } from '../api.ts';
import { Failure } from '../failure.ts';
import { readHealth, readRunning, readServedVersion } from '../wire.ts';
import { printable } from '../words.ts';
import { failed, ok, type Result } from './finding.ts';

export async function checkRunning(api: Api): Promise<Result> {
  return orFailed('start the service, or give --url', async () => {
    readRunning(await api.demand({ path: '/running' }));
    return ok(api.baseUrl);
  });
}

/** A health check that fails is answered 503, so any answer is read. */
export async function checkHealth(api: Api): Promise<Result> {
  return orFailed("look at the service's log", async () => {
    const { results } = readHealth(await api.ask({ path: '/healthcheck' }));
    const bad = results.filter(({ passed }) => !passed);
    const said = bad.map(({ checker, output }) => printable(`${checker}: ${output}`)).join('; ');
    if (bad.length > 0) return failed(said, "look at the service's log");
    return ok(results.map(({ checker }) => printable(checker)).join(', '));
  });
}

export async function checkVersion(api: Api): Promise<Result> {
  return orFailed("look at the service's log", async () => {
    const served = readServedVersion(await api.demand({ path: '/version' }));
    const own = readVersion().version;
    const said = printable(`${served.version}, build ${served.circle}, git ${served.hash}`);
    return ok(served.version === own ? said : `${said}; this command line is of ${own}`);
  });
}

async function orFailed(advice: string, check: () => Promise<Result>): Promise<Result> {
  try {
    return await check();
  } catch (error) {
    if (error instanceof Failure) return failed(error.message, advice);
    throw error;
  }
}
