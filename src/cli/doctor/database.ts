import { systemClock, within } from '../../clock.ts';
import type { DatabaseConfig } from '../../config-database.ts';
import { type Db, openDb } from '../../db/db.ts';
import { checkDatabase as checkMigrations } from '../../db/installation.ts';
import { failed, ok, type Result, skipped } from './finding.ts';

/** As far apart as a look at Twilio's log allows clocks to be: GUARANTEES, "Evidence that Twilio has it". */
const MOST_APART_MS = 5_000;
const OLDEST_POSTGRES = 15;

/** Connects as the service does, and reads only. */
export async function checkDatabase(config: DatabaseConfig, timeoutMs: number): Promise<Result> {
  if (config.server.kind === 'embedded') {
    return skipped('the service starts its own PostgreSQL; its health, below, says how that is');
  }
  const db = openDb({ url: config.server.url, poolSize: 1 });
  try {
    const result = await within(timeoutMs, examine(db));
    return result === 'too late' ? failed('it does not answer in time', 'look at its load and its log') : result;
  } catch (error) {
    return cannot(error);
  } finally {
    // A connection that hangs would keep the process alive.
    await within(1_000, db.close());
  }
}

async function examine(db: Db): Promise<Result> {
  const asked = systemClock.now().getTime();
  const { rows } = await db.query<{ ms: string; version: string }>({
    text: `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms, current_setting('server_version_num') AS version`,
  });
  const answered = systemClock.now().getTime();
  const major = Math.floor(Number(rows[0]?.version) / 10_000);
  if (major < OLDEST_POSTGRES)
    return failed(`PostgreSQL ${major} is too old`, `use PostgreSQL ${OLDEST_POSTGRES} or newer`);
  const migrations = await checkMigrations(db);
  if (migrations !== 'ok') return failed(migrations, 'start the service once, or run make migrate');
  const apartMs = Number(rows[0]?.ms) - (asked + answered) / 2;
  // Half the way there and back is not known.
  const isApart = Math.abs(apartMs) - (answered - asked) / 2 > MOST_APART_MS;
  const apart = `its clock is ${Math.round(Math.abs(apartMs))} ms ${apartMs < 0 ? 'behind' : 'ahead of'} this machine's`;
  if (isApart) return failed(apart, "let both machines take the time from NTP: the database's clock decides here");
  return ok(`PostgreSQL ${major}, newest migration applied, ${apart}`);
}

/** By code: https://www.postgresql.org/docs/current/errcodes-appendix.html. Words would name hosts and users. */
const reasons: readonly [RegExp, string, string][] = [
  [/^ECONNREFUSED$/, 'nothing listens there', 'start PostgreSQL, or mend DATABASE_HOST and DATABASE_PORT'],
  [/^(ENOTFOUND|EAI_AGAIN)$/, 'its host is not known', 'mend DATABASE_HOST'],
  [/^28/, 'it refuses user or password', 'mend DATABASE_USER and DATABASE_PASSWORD'],
  [/^3D/, 'there is no such database', 'create it, or mend DATABASE_NAME'],
  [/^42P01$/, 'the tables are not there', 'start the service once, or run make migrate'],
  [/^42501$/, 'its user may not read the tables', "let the tables' owner be the service's user"],
  [/^53300$/, 'it has too many connections', 'raise max_connections, or lower DATABASE_POOL_SIZE'],
];

function cannot(error: unknown): Result {
  const code = codeOf(error);
  const [, reason, advice] = reasons.find(([codes]) => codes.test(code)) ?? [];
  const named = code === '' ? '' : ` (${code})`;
  return failed(
    `${reason ?? 'it cannot be reached'}${named}`,
    advice ?? 'check DATABASE_* and that PostgreSQL runs there',
  );
}

/** DatabaseUnavailable carries the error that tells. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return codeOf(error.cause);
}
