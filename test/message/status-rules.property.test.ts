import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDb } from '../../src/db/db.ts';
import { openTwilioClient } from '../../src/twilio/client.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { startFakeTwilio } from '../support/twilio.ts';
import { asSeen, begin, type Driver, perform, see } from './status-driver.ts';
import {
  isEnd,
  legalTransitions,
  mayBeEmptied,
  rankOf,
  type Step,
  sources,
  strangeWords,
  take,
  transition,
  twilioWords,
  type World,
  words,
} from './status-model.ts';
import { type Plan, type Planned, plan, starts, withSid } from './status-plans.ts';

/** Each lane has a database of its own, because some statements (verify, join) are about all messages there are. */
const LANES = 4;
/** It is quick alone; on a machine that is shared it need not be. */
const TAKES_MS = 120_000;
const RANDOM = 1_200;
const AT_ONCE = 320;

const PLACEHOLDER = 'placeholder';
const lanes: Driver[] = [];
const databases: TestDatabase[] = [];
const visited = new Map<string, number>();
let sequences = 0;

beforeAll(async () => {
  for (let lane = 0; lane < LANES; lane += 1) {
    const database = await createDatabase();
    databases.push(database);
    const fake = await startFakeTwilio();
    const twilio = openTwilioClient({
      accountSid: 'AC1',
      authTokens: ['token'],
      apiKey: null,
      baseUrl: fake.url,
      timeoutMs: 5_000,
      maxConcurrency: 5,
    });
    lanes.push({ db: openDb({ url: database.url, poolSize: 6 }), twilio, fake });
  }
});
afterAll(async () => {
  for (const { db, twilio, fake } of lanes) {
    await twilio.close();
    await fake.stop();
    await db.close();
  }
  for (const database of databases) await database.drop();
});

const labelOf = ({ status, isPlaceholder }: World['row']) =>
  isPlaceholder && status === 'sent' ? PLACEHOLDER : status;

/** Two ends that differ, told apart by a fetch that nobody asked for: what is to become of them has a test of its own. */
const isUndecided = (step: Step, { row }: World) =>
  step.kind === 'fetch' && !row.isContested && isEnd(step.word) && isEnd(row.status) && step.word !== row.status;

/** Step by step, the tables must hold what the model says, and nothing else may have happened. */
async function follow(driver: Driver, { start, steps }: Plan): Promise<void> {
  sequences += 1;
  const { world, sids } = await begin(driver.db, start);
  const { uuid } = world.row;
  let before = labelOf(world.row);
  for (const planned of steps) {
    const step = withSid(planned, sids);
    if (isUndecided(step, world)) continue;
    take(world, step);
    const isFinished = await perform(driver, uuid, step);
    const seen = await see(driver.db, uuid, sids);
    const { isUnresolved, ...rest } = seen;
    expect(rest).toEqual(asSeen(world));
    if (seen.row.sid !== null) expect(isUnresolved).toBe(false);
    if (isFinished !== null) expect(isFinished).toBe(mayBeEmptied(world.row));
    const after = labelOf(seen.row);
    const by = step.kind === 'verify' ? 'fetch' : step.kind === 'join' ? 'callback' : step.kind;
    const name = transition(by, before, after);
    visited.set(name, (visited.get(name) ?? 0) + 1);
    before = after;
  }
}

/** Every lane takes the next one as soon as it is free. */
async function overLanes<Item>(
  items: readonly Item[],
  work: (driver: Driver, item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  await Promise.all(
    lanes.map(async (driver) => {
      for (const item of queue) await work(driver, item);
    }),
  );
}

describe('the status of a message, step by step (G4, G5)', { timeout: TAKES_MS }, () => {
  test('every word, from every source, at every status', async () => {
    const every = starts.flatMap((start) =>
      [...words, ...strangeWords.slice(0, 1)].flatMap((one) =>
        sources.map((source, at): Plan => {
          const about = { sid: 0 as const, word: one, code: at % 2 === 0 ? '30008' : null, dateSent: null };
          const first: Planned =
            source === 'callback' ? { kind: source, bearsOurId: true, ...about } : { kind: source, ...about };
          return { start, steps: [first, first] };
        }),
      ),
    );
    await overLanes(every, follow);
  });

  test('of two ends that differ the first stays until a fetch decides, for every two and every word of the fetch', async () => {
    const ends = words.filter(isEnd);
    const every = ends.flatMap((first) =>
      ends
        .filter((second) => second !== first)
        .flatMap((second) =>
          [...ends, 'sent', 'read', 'receiving'].map((truth): Plan => {
            const about = { sid: 0 as const, code: '30008', dateSent: null };
            return {
              start: { status: first, hasSid: true, isPlaceholder: false },
              steps: [
                { kind: 'callback', bearsOurId: false, word: second, ...about },
                { kind: 'callback', bearsOurId: false, word: second, ...about },
                { kind: 'verify', word: truth, ...about },
                { kind: 'callback', bearsOurId: false, word: first, ...about },
              ],
            };
          }),
        ),
    );
    await overLanes(every, follow);
  });

  test('any sequence of answers, callbacks, lists, fetches and our own steps does what the model says', async () => {
    await Promise.all(
      lanes.map((driver, lane) =>
        fc.assert(
          fc.asyncProperty(plan(8), (one) => follow(driver, one)),
          { seed: 20_261_124 + lane, numRuns: RANDOM / LANES },
        ),
      ),
    );
  });

  test('a fetch that names another end than the row has is not passed over: it decides, or Twilio is asked again', async () => {
    const [driver] = lanes;
    if (driver === undefined) throw new Error('there is no lane');
    const ends = words.filter(isEnd);
    const passedOver: string[] = [];
    for (const first of ends) {
      for (const second of ends.filter((one) => one !== first)) {
        const { world, sids } = await begin(driver.db, { status: first, hasSid: true, isPlaceholder: false });
        const step: Step = { kind: 'fetch', sid: sids[0], word: second, code: null, dateSent: null };
        await perform(driver, world.row.uuid, step);
        const { row } = await see(driver.db, world.row.uuid, sids);
        if (row.status !== second && !row.isContested) passedOver.push(`${first} → ${second}`);
      }
    }
    expect(passedOver).toEqual([]);
  });
});

describe('the status of a message, all steps at once on several connections', { timeout: TAKES_MS }, () => {
  /** Every state in which some order of these steps, one after the other, could leave the message. */
  function explained(world: World, all: readonly Step[]): World[] {
    if (all.length === 0) {
      take(world, { kind: 'join' });
      return [world];
    }
    return all.flatMap((step, at) => {
      const next = structuredClone(world);
      take(next, step);
      return explained(next, all.toSpliced(at, 1));
    });
  }
  /** The order of what is kept differs from run to run; what it leads to may not. */
  const ending = ({ row, seconds }: Pick<ReturnType<typeof asSeen>, 'row' | 'seconds'>) =>
    JSON.stringify({ row, seconds });

  async function race(driver: Driver, { start, steps: some }: Plan): Promise<void> {
    sequences += 1;
    const { world, sids } = await begin(driver.db, start);
    const { uuid } = world.row;
    const real = some
      .map((step) => withSid(step, sids))
      // Whether a fetch decides at once has a test of its own.
      .filter((step) => !['verify', 'join'].includes(step.kind) && !(step.kind === 'fetch' && isEnd(step.word)))
      .slice(0, 5);
    await Promise.all(real.map((step) => perform(driver, uuid, step)));
    await perform(driver, uuid, { kind: 'join' });
    const seen = await see(driver.db, uuid, sids);
    const possible = new Set(explained(structuredClone(world), real).map((one) => ending(asSeen(one))));
    expect([...possible]).toContain(ending(seen));
    for (const { before, after } of [...seen.callbacks, ...seen.told]) {
      const isReplaced = start.isPlaceholder && before === 'sent';
      if (!isReplaced && isEnd(before)) expect([before, 'read']).toContain(after);
      if (!isReplaced) expect(rankOf(after)).toBeGreaterThanOrEqual(rankOf(before));
    }
  }

  test('they end where some order of them would have ended, and no rank ever goes down', async () => {
    const plans = fc.sample(plan(5), { seed: 7, numRuns: AT_ONCE });
    await overLanes(plans, race);
  });
});

describe('what was seen', () => {
  test('2,000 sequences at least', () => {
    expect(sequences).toBeGreaterThanOrEqual(2_000);
  });

  test('every legal transition, and no other', () => {
    const legal = legalTransitions([...words, null, 'imported']);
    // Any signed callback replaces the placeholder; for the others it is as good as `sent`.
    for (const source of sources) {
      const further = source === 'callback' ? words : twilioWords.filter((one) => rankOf(one) > rankOf('sent'));
      for (const one of [PLACEHOLDER, ...further]) legal.add(transition(source, PLACEHOLDER, one));
    }
    // Of our own steps only those that change something: where they change nothing is everywhere else.
    const isOurs = (name: string) => !sources.some((source) => name.startsWith(`${source}:`));
    const isStill = (name: string) => /: (.*) → \1$/.test(name);
    const seen = [...visited.keys()].filter((name) => !(isOurs(name) && isStill(name)));
    expect(seen.toSorted()).toEqual([...legal].toSorted());
  });
});
