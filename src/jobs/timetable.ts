import type { Log } from '../log.ts';

export type Job = { readonly name: string; readonly everyMs: number; readonly run: () => Promise<unknown> };

export type Timetable = {
  /** Waits for what is running, starts nothing more. */
  stop(): Promise<void>;
};

/** Runs each job again and again, never twice at once; one that fails is logged and runs again at its next time. */
export function startTimetable(jobs: readonly Job[], log: Log): Timetable {
  const running = new Map<string, Promise<unknown>>();
  const timers = jobs.map((job) => setInterval(() => start(job), job.everyMs).unref());

  function start(job: Job): void {
    if (running.has(job.name)) return;
    const run = job
      .run()
      .catch((error: unknown) => log.warn({ err: error, job: job.name }, 'a job failed and will run again'))
      .finally(() => running.delete(job.name));
    running.set(job.name, run);
  }

  return {
    stop: async () => {
      for (const timer of timers) clearInterval(timer);
      await Promise.all(running.values());
    },
  };
}
