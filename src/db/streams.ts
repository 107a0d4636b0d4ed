import type pg from 'pg';
import Cursor from 'pg-cursor';
import { within } from '../clock.ts';
import {
  DatabaseUnavailable,
  openPool,
  QUERY_TIMEOUT_MS,
  type ReadRow,
  readTexts,
  refuse,
  STATEMENT_TIMEOUT_MS,
  type Statement,
  types,
} from './db.ts';

/**
 * Long answers, read from cursors. A stream holds its connection for as long as its reader takes, so streams have connections
 * of their own, beside the pool: however many and slow the readers are, sending never waits for them.
 */
export type Streams = {
  /** Refuses with `TooManyStreams` or `DatabaseUnavailable`. Who opens one closes it. */
  open(): Promise<Stream>;
  close(): Promise<void>;
};

/** Everything that is read from one stream is of one moment: its snapshot. */
export type Stream = {
  query<Row extends pg.QueryResultRow>(statement: Statement): Promise<Row[]>;
  /** The rows in their order, some hundreds at a time; no more are read than are taken, and one batch ahead. */
  batches<Row extends pg.QueryResultRow>(statement: Statement): AsyncGenerator<Row[], void, void>;
  /** Gives the connection back, or drops it when it is not well. Never throws; a second time changes nothing. */
  close(): Promise<void>;
};

/** So many connections more than the pool has; a fifth stream waits three seconds for one, as requests wait for the pool. */
const MAX_STREAMS = 4;
/** Of measured sizes the smallest at which the round trips no longer show; a batch of the longest texts is 1 MB. */
const BATCH_ROWS = 500;
/** PostgreSQL counts its time limit for the whole of a stream, so that none outlives this even if this process is gone. */
export const STREAM_WITHIN_MS = 3_600_000;
const CLOSE_WITHIN_MS = 3_000;
/** Streams are rare; connections that nobody uses go. */
const IDLE_MS = 5_000;

/** All connections for streams are in use. */
export class TooManyStreams extends Error {
  override name = 'TooManyStreams';
}

/**
 * One snapshot. Without sorting, PostgreSQL walks along the index that has the order: the first rows come at once instead of
 * after a million were sorted.
 */
const BEGIN = 'BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_sort = off';

export function openStreams({ url, readText }: { url: string; readText?: ReadRow }): Streams {
  const pool = openPool(url, { max: MAX_STREAMS, idleTimeoutMillis: IDLE_MS, statement_timeout: STREAM_WITHIN_MS });
  const connect = () =>
    pool.connect().catch((error: unknown) => {
      if (pool.totalCount - pool.idleCount >= MAX_STREAMS) throw new TooManyStreams('', { cause: error });
      return refuse(error);
    });
  return { open: async () => begin(await connect(), readText), close: () => pool.end() };
}

async function begin(client: pg.PoolClient, readText?: ReadRow): Promise<Stream> {
  let broken: Error | undefined;
  let cursor: Cursor | null = null;
  const fail = (error: unknown): never => {
    broken = error instanceof Error ? error : new Error('the stream failed');
    return refuse(error);
  };
  const onError = (error: Error) => {
    broken = error;
  };
  client.on('error', onError);
  const query = async <Row extends pg.QueryResultRow>({ text, values = [] }: Statement) => {
    const limited = { text, values: [...values], query_timeout: QUERY_TIMEOUT_MS };
    const { rows } = await client.query<Row>(limited).catch(fail);
    readTexts(rows, readText);
    return rows;
  };

  async function* batches<Row extends pg.QueryResultRow>({ text, values = [] }: Statement) {
    const reading = client.query(new Cursor<Row>(text, [...values], { types }));
    cursor = reading;
    const next = () => {
      const rows = read(reading).catch(fail);
      // Nobody may be left to hear of it.
      rows.catch(() => {});
      return rows;
    };
    for (let ahead = next(); ; ) {
      const rows = await ahead;
      if (rows.length === 0) return;
      // While these are written PostgreSQL works on the next ones.
      ahead = next();
      readTexts(rows, readText);
      yield rows;
    }
  }

  async function end(): Promise<void> {
    await cursor?.close();
    await client.query('COMMIT');
  }

  async function closeOnce(): Promise<void> {
    const ended = broken === undefined ? await within(CLOSE_WITHIN_MS, end().catch(onError)) : undefined;
    client.off('error', onError);
    client.release(broken ?? ended === 'too late');
  }

  let closing: Promise<void> | null = null;
  const close = () => {
    closing ??= closeOnce();
    return closing;
  };
  try {
    // Two statements, so two results: nothing to read.
    const limited = { text: BEGIN, query_timeout: QUERY_TIMEOUT_MS };
    await client.query(limited).catch(fail);
  } catch (error) {
    await close();
    throw error;
  }
  return { query, batches, close };
}

async function read<Row>(cursor: Cursor<Row>): Promise<Row[]> {
  const rows = await within(STATEMENT_TIMEOUT_MS, cursor.read(BATCH_ROWS));
  if (rows === 'too late') throw new DatabaseUnavailable(new Error('a batch did not come in time'));
  return rows;
}
