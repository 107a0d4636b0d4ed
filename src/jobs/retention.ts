import { readJob } from '../db/job.ts';
import { type Emptied, emptyWhatIsOver, type Progress, type RetentionDeps } from '../message/retention.ts';
import { runUnlessRunning } from './alone.ts';

const JOB = 'retention';

/** Retention by one replica at a time, from where the last run ended. Null: another one is at it. */
export async function retain(deps: RetentionDeps): Promise<Emptied | null> {
  let emptied: Emptied | null = null;
  await runUnlessRunning({ db: deps.db, name: JOB, goesOn: true }, async (tell) => {
    const job = await readJob(deps.db, JOB);
    emptied = await emptyWhatIsOver(deps, readProgress(job?.progress ?? {}), tell);
  });
  return emptied;
}

function readProgress(kept: Readonly<Record<string, unknown>>): Progress {
  return Object.fromEntries(Object.entries(kept).filter(([, moment]) => typeof moment === 'string'));
}
