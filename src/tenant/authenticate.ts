import { setTimeout as delay } from 'node:timers/promises';
import type { Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import { isSecret, parseApiKey } from './api-key.ts';
import { type LiveKey, listLiveKeys, noteKeyUsed } from './api-keys.ts';
import type { Caller } from './caller.ts';

/**
 * Who an Authorization header is; null: nobody we know. Refuses with `DatabaseUnavailable` when that cannot be found out.
 * A session is told apart by `session`: it counts as a cookie, a key as a header. A second scheme would be a second function of this type, for credentials that do not have the form of a key.
 */
export type Authenticate = (authorization: string | undefined) => Promise<Caller | null>;

/** What was revoked may open something for so long, in every replica; the promise is 5 s. */
const BELIEVED_MS = 3_000;
/** Older than this it is read again while it still serves, so that no request waits for it. */
const REFRESHED_MS = 1_500;
/** However many unknown keys come: so often, at most, they make us look. */
const LEAST_APART_MS = 200;
const USE_NOTED_EVERY_MS = 60_000;

type Snapshot = { readonly keys: ReadonlyMap<string, LiveKey>; readonly began: number };

/**
 * All live keys are held in memory and read anew every other second: who knocks with keys that do not exist costs neither memory
 * nor, beyond five a second, statements. A key that is not among them may have just been made, so whoever brings one waits for
 * a reading that began after they came.
 */
export function makeAuthenticate({ db, log }: { readonly db: Db; readonly log: Log }): Authenticate {
  let snapshot: Snapshot | null = null;
  let lastBegan = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | null = null;
  const usedAt = new Map<string, number>();

  function read(): Promise<void> {
    reading ??= readOnce().finally(() => {
      reading = null;
    });
    return reading;
  }

  async function readOnce(): Promise<void> {
    const pauseMs = lastBegan + LEAST_APART_MS - performance.now();
    if (pauseMs > 0) await delay(pauseMs);
    // Before the statement: what it says was true then or later.
    const began = performance.now();
    lastBegan = began;
    const keys = await listLiveKeys(db);
    snapshot = { keys: new Map(keys.map((key) => [key.id, key])), began };
  }

  /** What was true at `moment` (milliseconds of `performance.now`) or later. */
  async function readSince(moment: number): Promise<Snapshot> {
    while (snapshot === null || snapshot.began < moment) await read();
    return snapshot;
  }

  function noteUse(id: string, now: number): void {
    if (now - (usedAt.get(id) ?? Number.NEGATIVE_INFINITY) < USE_NOTED_EVERY_MS) return;
    usedAt.set(id, now);
    noteKeyUsed(db, id).catch((error: unknown) => log.debug({ err: error }, 'the use of a key could not be noted'));
  }

  return async (authorization) => {
    const given = readBearer(authorization);
    if (given === null) return null;
    const now = performance.now();
    let known = snapshot;
    if (known === null || now - known.began > BELIEVED_MS) known = await readSince(now - BELIEVED_MS);
    else if (now - known.began > REFRESHED_MS && reading === null) read().catch(() => {});
    let key = known.keys.get(given.id);
    if (key === undefined) {
      known = await readSince(now);
      key = known.keys.get(given.id);
    }
    if (key === undefined || !isSecret(given.secret, key.hash)) return null;
    if (key.leftMs !== null && performance.now() >= known.began + key.leftMs) return null;
    noteUse(key.caller.id, now);
    return key.caller;
  };
}

function readBearer(authorization: string | undefined) {
  const [, credentials] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
  return credentials === undefined ? null : parseApiKey(credentials);
}
