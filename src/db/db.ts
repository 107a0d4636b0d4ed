import pg from 'pg';

/** A pooled connection inside a transaction. Every write takes one, so none can slip out of its transaction. */
export type Tx = {
  query<Row extends pg.QueryResultRow>(statement: Statement): Promise<Result<Row>>;
};

/** A statement with a name is prepared once a connection; unnamed ones are for what runs rarely. */
export type Statement = {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
  /** How long its answer is waited for, in milliseconds; without it the common limit counts. */
  readonly query_timeout?: number;
};
type Result<Row> = { readonly rows: Row[]; readonly rowCount: number };

export type Db = {
  /** One statement, in a transaction of its own: committed when it answers. */
  query<Row extends pg.QueryResultRow>(statement: Statement): Promise<Result<Row>>;
  /** Commits when `work` returns, rolls back when it throws. Nothing that waits for another service may run inside. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  pool(): { total: number; idle: number; waiting: number };
  close(): Promise<void>;
};

/** How long a request waits for a connection, and PostgreSQL works on one statement, before it is given up. */
const CONNECTION_TIMEOUT_MS = 3_000;
export const STATEMENT_TIMEOUT_MS = 10_000;
/** The same on our side, for a connection that hangs: a little later than PostgreSQL's own, sooner inside a transaction. */
export const QUERY_TIMEOUT_MS = 11_000;
const TRANSACTION_TIMEOUT_MS = 3_000;

/**
 * The database's clock in SQL: UTC, in milliseconds as everything that leaves this service, one moment for all that a
 * transaction writes. Replicas' own clocks differ, so no time that they compare comes from them.
 */
export const utcNow = "date_trunc('milliseconds', now() AT TIME ZONE 'utc')";

/** What is done with each row that holds a text, before anybody sees it. */
export type ReadRow = (row: Record<string, unknown>) => void;

export function openDb(options: { url: string; poolSize: number; readText?: ReadRow }): Db {
  const pool = openPool(options.url, {
    max: options.poolSize,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
  });

  return {
    query: async <Row extends pg.QueryResultRow>(statement: Statement) =>
      withClient(await pool.connect().catch(refuse), (client) => run<Row>(client, statement, options.readText)),
    transaction: async (work) =>
      withClient(await pool.connect().catch(refuse), (client) => inTransaction(client, work, options.readText)),
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => pool.end(),
  };
}

/** What every connection of the service has in common; what is particular to some comes on top. */
export function openPool(url: string, particular: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'polaris-sms',
    connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
    keepAlive: true,
    types,
    // Whatever the server, the role or DATABASE_URL says: G1 rests on the first, reading timestamps on the second. Compiling
    // a statement (jit) takes longer than any of ours, which PostgreSQL's estimates take for slow. Without the last, it may
    // look for a tenant's newest messages among everybody's, from the newest on: endless for a tenant with none of late.
    onConnect: (client) =>
      client.query(
        "SET synchronous_commit = on; SET datestyle = 'ISO'; SET jit = off; SET enable_incremental_sort = off",
      ),
    ...particular,
  });
  // An idle connection that breaks has left the pool already; the next query opens a new one.
  pool.on('error', () => {});
  return pool;
}

/** Pool.query would throw the connection away after every error; this keeps those on which PostgreSQL merely said no. */
async function withClient<T>(client: pg.PoolClient, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  let broken: Error | undefined;
  const onError = (error: Error) => {
    broken = error;
  };
  client.on('error', onError);
  try {
    return await work(client);
  } catch (error) {
    if (error instanceof DatabaseUnavailable && error.isConnection) broken = error;
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

async function inTransaction<T>(client: pg.PoolClient, work: (tx: Tx) => Promise<T>, readText?: ReadRow): Promise<T> {
  const query = <Row extends pg.QueryResultRow>(statement: Statement) =>
    run<Row>(client, { query_timeout: TRANSACTION_TIMEOUT_MS, ...statement }, readText);
  let isCommitting = false;
  try {
    await query({ text: 'BEGIN' });
    const result = await work({ query });
    isCommitting = true;
    await query({ text: 'COMMIT' });
    return result;
  } catch (error) {
    // A connection that does not answer would keep the ROLLBACK waiting as well; dropped, it rolls back by itself.
    const isBroken = error instanceof DatabaseUnavailable && error.isConnection;
    const failure = isBroken
      ? error
      : await query({ text: 'ROLLBACK' }).then(
          () => error,
          (broken: unknown) => broken,
        );
    if (failure instanceof DatabaseUnavailable && !isCommitting) failure.mayBeCommitted = false;
    throw failure;
  }
}

async function run<Row extends pg.QueryResultRow>(
  client: pg.PoolClient,
  statement: Statement,
  readText?: ReadRow,
): Promise<Result<Row>> {
  const values = statement.values?.map((value) => (value instanceof Date ? utcTimestamp(value) : value)) ?? [];
  const result = await client.query<Row>({ ...statement, values }).catch(refuseBroken);
  readTexts(result.rows, readText);
  return { rows: result.rows, rowCount: result.rowCount ?? 0 };
}

/** Rows of one statement have the same columns: the first one tells whether they hold texts. */
export function readTexts(rows: readonly pg.QueryResultRow[], readText?: ReadRow): void {
  const [first] = rows;
  if (readText === undefined || first === undefined || !('content_key_id' in first)) return;
  for (const row of rows) readText(row);
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

/** How values become JavaScript's, wherever they are read. */
export const types = { getTypeParser: typeParser };

/** PostgreSQL cannot be reached, is overloaded, shutting down or read-only: asking again later can help. */
export class DatabaseUnavailable extends Error {
  override name = 'DatabaseUnavailable';
  /** The connection failed, rather than PostgreSQL answering that it cannot. */
  readonly isConnection: boolean;
  /** It broke while PostgreSQL was at work: what was asked may stand all the same, now or a little later. */
  mayBeCommitted = false;

  constructor(cause: unknown) {
    super('the database is unavailable', { cause });
    this.isConnection = !(cause instanceof pg.DatabaseError);
  }
}

/** What PostgreSQL did not say itself came from the connection: cut, timed out, never there. */
export function refuse(error: unknown): never {
  if (error instanceof pg.DatabaseError) {
    throw /^(08|28|3D|53|57|55P03|25006|40)/.test(error.code ?? '') ? new DatabaseUnavailable(error) : error;
  }
  throw error instanceof TypeError || error instanceof RangeError ? error : new DatabaseUnavailable(error);
}

/** After the statement left, only an error of PostgreSQL's own, other than that of its ending (57P), proves that it failed. */
function refuseBroken(error: unknown): never {
  try {
    return refuse(error);
  } catch (refused) {
    const isProof = error instanceof pg.DatabaseError && !error.code?.startsWith('57P');
    if (refused instanceof DatabaseUnavailable) refused.mayBeCommitted = !isProof;
    throw refused;
  }
}

/** The unique constraint or index that refused a row, or null: https://www.postgresql.org/docs/current/errcodes-appendix.html */
export function violatedUniqueness(error: unknown): string | null {
  return error instanceof pg.DatabaseError && error.code === '23505' ? (error.constraint ?? '') : null;
}
