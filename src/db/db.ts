import pg from 'pg';
import { systemClock } from '../clock.ts';

/** A pooled connection inside a transaction. Every write takes one, so none can slip out of its transaction. */
export type Tx = {
  /** One moment for every row that this transaction writes. */
  readonly now: Date;
  query<Row extends pg.QueryResultRow>(statement: Statement): Promise<Result<Row>>;
};

/** A statement with a name is prepared once a connection; unnamed ones are for what runs rarely. */
export type Statement = { readonly name?: string; readonly text: string; readonly values?: readonly unknown[] };
type Result<Row> = { readonly rows: Row[]; readonly rowCount: number };

export type Db = {
  query<Row extends pg.QueryResultRow>(statement: Statement): Promise<Result<Row>>;
  /** Commits when `work` returns, rolls back when it throws. Nothing that waits for another service may run inside. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  pool(): { total: number; idle: number; waiting: number };
  close(): Promise<void>;
};

/** How long a request waits for a connection, and PostgreSQL works on one statement, before it is given up. */
const CONNECTION_TIMEOUT_MS = 3_000;
const STATEMENT_TIMEOUT_MS = 10_000;
/** The same on our side, for a connection that hangs: a little later than PostgreSQL's own, sooner inside a transaction. */
const QUERY_TIMEOUT_MS = 11_000;
const TRANSACTION_TIMEOUT_MS = 3_000;

export function openDb(options: { url: string; poolSize: number; clock?: { now(): Date } }): Db {
  const clock = options.clock ?? systemClock;
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize,
    application_name: 'polaris-sms',
    connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
    keepAlive: true,
    types: { getTypeParser: typeParser },
    // Whatever the server, the role or DATABASE_URL says: G1 rests on the first, reading timestamps on the second.
    onConnect: (client) => client.query("SET synchronous_commit = on; SET datestyle = 'ISO'"),
  });
  // An idle connection that breaks has left the pool already; the next query opens a new one.
  pool.on('error', () => {});

  return {
    query: (statement) => run(pool, statement),
    transaction: async (work) => inTransaction(await pool.connect().catch(refuse), clock.now(), work),
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => pool.end(),
  };
}

async function inTransaction<T>(client: pg.PoolClient, now: Date, work: (tx: Tx) => Promise<T>): Promise<T> {
  let broken: Error | undefined;
  const onError = (error: Error) => {
    broken = error;
  };
  const query = <Row extends pg.QueryResultRow>(statement: Statement) =>
    run<Row>(client, { ...statement, query_timeout: TRANSACTION_TIMEOUT_MS });
  client.on('error', onError);
  try {
    await query({ text: 'BEGIN' });
    const result = await work({ now, query });
    await query({ text: 'COMMIT' });
    return result;
  } catch (error) {
    // A connection that does not answer would keep the ROLLBACK waiting as well; dropped, it rolls back by itself.
    if (error instanceof DatabaseUnavailable && error.isConnection) broken = error;
    else await query({ text: 'ROLLBACK' }).catch(onError);
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

async function run<Row extends pg.QueryResultRow>(
  target: pg.Pool | pg.PoolClient,
  statement: Statement & { readonly query_timeout?: number },
): Promise<Result<Row>> {
  const values = statement.values?.map((value) => (value instanceof Date ? utcTimestamp(value) : value)) ?? [];
  const result = await target.query<Row>({ ...statement, values }).catch(refuse);
  return { rows: result.rows, rowCount: result.rowCount ?? 0 };
}

/** The columns are `timestamp` without zone and hold UTC; pg by itself would write the process's local time. */
function utcTimestamp(date: Date): string {
  return date.toISOString().slice(0, -1);
}

const { TIMESTAMP } = pg.types.builtins;

function typeParser(oid: number, format?: 'text' | 'binary'): unknown {
  if (oid === TIMESTAMP && format !== 'binary') return (text: string) => new Date(`${text.replace(' ', 'T')}Z`);
  return pg.types.getTypeParser(oid, format);
}

/** PostgreSQL cannot be reached, is overloaded, shutting down or read-only: asking again later can help. */
export class DatabaseUnavailable extends Error {
  override name = 'DatabaseUnavailable';
  /** The connection failed, rather than PostgreSQL answering that it cannot. */
  readonly isConnection: boolean;

  constructor(cause: unknown) {
    super('the database is unavailable', { cause });
    this.isConnection = !(cause instanceof pg.DatabaseError);
  }
}

/** What PostgreSQL did not say itself came from the connection: cut, timed out, never there. */
function refuse(error: unknown): never {
  if (error instanceof pg.DatabaseError) {
    throw /^(08|28|3D|53|57|55P03|25006|40)/.test(error.code ?? '') ? new DatabaseUnavailable(error) : error;
  }
  throw error instanceof TypeError || error instanceof RangeError ? error : new DatabaseUnavailable(error);
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '23505';
}
