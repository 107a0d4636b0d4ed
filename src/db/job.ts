import { type Db, utcNow } from './db.ts';

/** Rows of the table `job`: work that only one replica at a time does. Who dies loses it when its time is over. */
export type Job = {
  /** Goes up each time the work is begun. */
  readonly run: number;
  readonly isRunning: boolean;
  readonly started: Date | null;
  readonly finished: Date | null;
  readonly progress: Readonly<Record<string, unknown>>;
};

const seen = `run::int AS run, (holder IS NOT NULL AND until > ${utcNow}) IS TRUE AS "isRunning", started, finished, progress`;

export async function readJob(db: Db, name: string): Promise<Job | null> {
  const { rows } = await db.query<Job>({
    name: 'read-job',
    text: `SELECT ${seen} FROM job WHERE name = $1`,
    values: [name],
  });
  return rows[0] ?? null;
}

/** The number of the run, which is this holder's now; null while somebody else is at it. `progress` null: that of the last run stays. */
export async function takeJob(
  db: Db,
  name: string,
  { holder, leaseMs, progress }: { holder: string; leaseMs: number; progress: object | null },
): Promise<number | null> {
  const { rows } = await db.query<{ run: number }>({
    name: 'take-job',
    text: `
      INSERT INTO job AS j (name, run, holder, until, started, progress)
      VALUES ($1, 1, $2, ${utcNow} + $3::int * interval '1 ms', ${utcNow}, coalesce($4::jsonb, '{}'))
      ON CONFLICT (name) DO UPDATE SET run = j.run + 1, holder = excluded.holder, until = excluded.until,
        started = excluded.started, finished = NULL, progress = coalesce($4::jsonb, j.progress)
      WHERE j.holder IS NULL OR j.until <= ${utcNow}
      RETURNING run::int AS run`,
    values: [name, holder, leaseMs, progress === null ? null : JSON.stringify(progress)],
  });
  return rows[0]?.run ?? null;
}

/** Goes on holding it, and tells how far it has come. False: somebody else has taken it over meanwhile. */
export async function renewJob(
  db: Db,
  name: string,
  { holder, leaseMs, progress }: { holder: string; leaseMs: number; progress: object | null },
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'renew-job',
    text: `
      UPDATE job SET until = ${utcNow} + $3::int * interval '1 ms', progress = coalesce($4::jsonb, progress)
      WHERE name = $1 AND holder = $2`,
    values: [name, holder, leaseMs, progress === null ? null : JSON.stringify(progress)],
  });
  return rowCount === 1;
}

/** Whoever waits for it takes over work that broke off: it is not held any more, and not finished. */
export async function abandonJob(db: Db, name: string, holder: string): Promise<void> {
  await db.query({
    name: 'abandon-job',
    text: 'UPDATE job SET holder = NULL, until = NULL WHERE name = $1 AND holder = $2',
    values: [name, holder],
  });
}

export async function finishJob(db: Db, name: string, holder: string, progress: object | null): Promise<void> {
  await db.query({
    name: 'finish-job',
    text: `
      UPDATE job SET holder = NULL, until = NULL, finished = ${utcNow}, progress = coalesce($3::jsonb, progress)
      WHERE name = $1 AND holder = $2`,
    values: [name, holder, progress === null ? null : JSON.stringify(progress)],
  });
}
