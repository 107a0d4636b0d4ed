import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { fire } from '../chaos/fire.ts';
import type { Stage } from '../chaos/stage.ts';
import { startFlags } from '../support/process.ts';
import { flameGraph, longest, type Profile } from './flame.ts';
import { CONNECTIONS, callbacksFor, LATENCY_MS, onStage, prepareTexts, startProgram } from './guarantees.ts';

/** `make profile`: where the service's processor time goes while it sends, and while it takes callbacks. */
const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '12000' },
    out: { type: 'string', default: '.' },
    help: { type: 'boolean', default: false },
  },
});
const LONGEST = 15;
const WITHIN_MS = 120_000;

type Prepare = (count: number) => Promise<Buffer[]>;

if (values.help) {
  console.log(`Writes profile-post.svg and profile-callback.svg, and prints what ran longest.

  --requests N   of each (12000)
  --out FOLDER   where to (here)
  --help         this text`);
} else {
  await profile('post', 'POST, Twilio answers after 50 ms', async () => ({ expected: 200, prepare: prepareTexts }));
  await profile('callback', 'callbacks', async (stage, service) => ({
    expected: 204,
    prepare: await callbacksFor(stage, service),
  }));
}

async function profile(
  name: string,
  title: string,
  load: (
    stage: Stage,
    service: Awaited<ReturnType<Stage['startReplica']>>,
  ) => Promise<{ expected: number; prepare: Prepare }>,
): Promise<void> {
  const count = Number(values.requests);
  const folder = await mkdtemp(path.join(tmpdir(), 'polaris-sms-profile-'));
  try {
    const seconds = await onStage(async (stage, started) => {
      const twilio = await startProgram(started, 'test/bench/floor-slow-twilio.ts', [String(LATENCY_MS)]);
      const env = { TWILIO_BASE_URL: twilio.url, TWILIO_MAX_CONCURRENCY: String(CONNECTIONS) };
      // The callbacks' first message goes to the stage's own simulator, which knows it.
      const service = await stage.startReplica(name === 'post' ? env : {}, [
        ...startFlags,
        '--cpu-prof',
        `--cpu-prof-dir=${folder}`,
      ]);
      const { expected, prepare } = await load(stage, service);
      const requests = await prepare(count);
      const port = Number(new URL(service.baseUrl).port);
      const fired = await fire({ port, connections: CONNECTIONS, requests, forMs: WITHIN_MS });
      const wrong = fired.answers.find((answer) => answer !== expected);
      if (wrong !== undefined) throw new Error(`a request was answered ${wrong}`);
      // It writes the profile as it ends.
      service.child.kill('SIGTERM');
      await service.ended;
      return fired.seconds;
    });
    const [file] = await readdir(folder);
    if (file === undefined) throw new Error('the service wrote no profile');
    const read: Profile = JSON.parse(await readFile(path.join(folder, file), 'utf8'));
    const picture = path.join(values.out, `profile-${name}.svg`);
    await writeFile(picture, flameGraph(read, `${title}: ${count} requests, ${Math.round(count / seconds)}/s`));
    console.log(`\n${title}: ${picture}\n\n${asTable(longest(read, LONGEST))}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function asTable(rows: ReturnType<typeof longest>): string {
  return rows.map(({ what, share }) => `${(100 * share).toFixed(1).padStart(6)} %  ${what}`).join('\n');
}
