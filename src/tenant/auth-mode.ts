import type { Config } from '../config.ts';
import type { Db } from '../db/db.ts';
import { readOrigin } from '../db/installation.ts';
import { CannotStart } from '../errors.ts';
import type { Log } from '../log.ts';
import { listLiveKeys } from './api-keys.ts';

/**
 * Says how the service is guarded. A new installation in production has to choose: refuses with `CannotStart`. One that took over
 * from the Python service starts as that did, behind whatever guards it (mutual TLS), but not silently.
 */
export async function checkAuthMode(config: Config, db: Db, log: Log): Promise<void> {
  const { mode, isChosen } = config.auth;
  if (mode === 'apikey') {
    const keys = await listLiveKeys(db);
    if (keys.length === 0) log.warn('no API key can open anything yet: make one with npm run cli -- keys create');
    return;
  }
  if (isChosen) {
    log.info('authentication is off, as AUTH_MODE=none says: whoever reaches this service may do everything');
    return;
  }
  if (config.environment === 'PRODUCTION' && (await readOrigin(db)) === 'created') {
    throw new CannotStart(
      'AUTH_MODE is missing: set it to apikey and make a key (npm run cli -- keys create), or to none if something else, ' +
        'such as mutual TLS, keeps strangers away.',
    );
  }
  log.warn(
    'AUTHENTICATION IS OFF: AUTH_MODE is not set, and whoever reaches this service reads and sends everything, for every ' +
      'tenant. Set AUTH_MODE=apikey, or AUTH_MODE=none to say that this is meant',
  );
}
