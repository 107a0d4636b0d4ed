import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Db, openDb } from '../../src/db/db.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import type { Command } from './hand-over-commands.ts';
import { flawsOf, type Place, PROVED, placeOf, type Row, readRows } from './hand-over-rows.ts';
import { scripts } from './hand-over-scripts.ts';
import { type Sequence, sequence } from './hand-over-sequences.ts';
import { type Did, makeWorld, type World } from './hand-over-world.ts';

/** Each lane has a database of its own: claims are about all messages there are. */
const LANES = 4;
const RANDOM = 600;
const TAKES_MS = 120_000;
const lanes: Db[] = [];
const databases: TestDatabase[] = [];
const visited = new Set<string>();

beforeAll(async () => {
  for (let lane = 0; lane < LANES; lane += 1) {
    const database = await createDatabase();
    databases.push(database);
    lanes.push(openDb({ url: database.url, poolSize: 4 }));
  }
});
afterAll(async () => {
  for (const db of lanes) await db.close();
  for (const database of databases) await database.drop();
});

/** After each command: nothing is wrong with any row, and what the command did it was allowed to do. */
async function follow(db: Db, { commands, isLate }: Sequence): Promise<void> {
  const world = makeWorld(db);
  await world.begin();
  let before = await readRows(db);
  for (const command of commands) {
    const together = Array.isArray(command);
    const did = (await Promise.all((together ? command : [command as Command]).map(timely(isLate, world)))).flat();
    const after = await readRows(db);
    checkRows(before, after, isLate);
    if (!together) checkDeeds(command as Command, did, before, after);
    before = after;
  }
  await finish(db, world, isLate);
}

/** Twilio's log is complete by the settle time, unless the sequence is about a Twilio that is later than that. */
const timely =
  (isLate: boolean, world: World) =>
  (command: Command): Promise<readonly Did[]> =>
    world.run(command.do === 'call' && !isLate ? { ...command, isListed: true } : command);

function checkRows(before: ReadonlyMap<string, Row>, after: ReadonlyMap<string, Row>, isLate: boolean): void {
  const all = [...after.values()];
  expect(all.flatMap((row) => flawsOf(row, all))).toEqual([]);
  for (const row of all) {
    const old = before.get(row.uuid);
    const was = placeOf(old);
    // Ends are ends; only Twilio's word wins over them, and nothing over that.
    if (!['new', 'waiting', 'open'].includes(was)) expect([was, 'handed over']).toContain(placeOf(row));
    if (old?.sid != null) expect([row.sid, row.attempts]).toEqual([old.sid, old.attempts]);
    for (const { n } of row.tries.slice(Math.max(1, old?.tries.length ?? 1))) {
      const outcome = row.tries[n - 2]?.outcome ?? 'none';
      const isProved = PROVED.has(outcome) || (isLate && outcome === 'accepted');
      expect(isProved, `attempt ${n} began after one that ended ${outcome}: ${row.whole}`).toBe(true);
    }
  }
}

function checkDeeds(
  command: Command,
  did: readonly Did[],
  before: ReadonlyMap<string, Row>,
  after: ReadonlyMap<string, Row>,
): void {
  const changed = [...after.values()].filter((row) => before.get(row.uuid)?.whole !== row.whole);
  const meant = new Set(did.map(({ uuid }) => uuid));
  if (command.do !== 'wait') expect(changed.map(({ uuid }) => uuid).filter((uuid) => !meant.has(uuid))).toEqual([]);
  for (const { what, uuid, holds, took } of did) {
    if (what === 'record: twin') expect(isOpen(before)).toBe(true);
    if (uuid === null) continue;
    const [old, row] = [before.get(uuid), after.get(uuid)];
    if (row === undefined) throw new Error('a row is gone');
    if (what === 'claim to send')
      expect(old).toMatchObject({ status: 'accepted', sid: null, step: 'send', isInTime: true });
    if (what === 'claim to resolve')
      expect(old).toMatchObject({ status: 'accepted', sid: null, step: 'resolve', isDue: true });
    if (what === 'expire') expect(old).toMatchObject({ status: 'accepted', sid: null, step: 'send', isInTime: false });
    // Nobody else gets it while this claim is good.
    if (what.startsWith('claim to')) expect([what, row.isDue, row.epoch]).toEqual([what, false, (old?.epoch ?? 0) + 1]);
    const isStale = holds !== undefined && isStaleFor(what, holds, old);
    if (isStale) expect(row.whole, `${what} with a stale claim`).toBe(old?.whole);
    if (took !== undefined && holds !== undefined) expect(took).toBe(!isStale);
    const isEvidence = ['answer', 'callback', 'found'].includes(what);
    if (took === false || isStale || (isEvidence && row.sid === null)) continue;
    visited.add(`${what}: ${placeOf(old)} → ${placeOf(row)}`);
  }
  if (command.do === 'claim to send') expectSomeClaimed(command.isOwn, did.length, before);
  if (command.do === 'claim to resolve') {
    const due = [...before.values()].filter(
      ({ status, step, isDue }) => step === 'resolve' && isDue && status === 'accepted',
    );
    expect(did.length).toBe(Math.min(command.limit, due.length));
  }
}

const isOpen = (rows: ReadonlyMap<string, Row>) => [...rows.values()].some(({ unresolved }) => unresolved);

/** Somebody else has been at it since, or Twilio's word has come. */
function isStaleFor(what: string, holds: NonNullable<Did['holds']>, old: Row | undefined): boolean {
  if (old === undefined || old.sid !== null || old.status !== 'accepted') return true;
  if ('epoch' in holds) return holds.epoch !== old.epoch;
  // A message that is to be sent again cannot be put back, nor is a licence given for it to one who had the last one.
  return holds.n !== old.attempts || (['put back', 'retry', 'unknown'].includes(what) && old.step !== 'resolve');
}

/** Nothing that could be sent is passed over while there is a place for it. */
function expectSomeClaimed(isOwn: boolean, claimed: number, before: ReadonlyMap<string, Row>): void {
  const rows = [...before.values()];
  const open = new Set(rows.filter(({ unresolved }) => unresolved).map(({ textHash }) => textHash));
  const ready = rows.filter((row) => placeOf(row) === 'waiting' && (row.isDue || isOwn) && row.isInTime);
  if (ready.some(({ textHash }) => !open.has(textHash))) expect(claimed).toBeGreaterThan(0);
}

const restless: readonly Command[] = [
  { do: 'wait', ms: 150_001 },
  { do: 'expire' },
  { do: 'claim to send', limit: 10, isOwn: false },
  ...[0, 1, 2].map((): Command => ({ do: 'call', pick: 0, fate: 'taken', isListed: true })),
  ...[0, 1, 2].map((): Command => ({ do: 'report', pick: 0, isAgain: false })),
  { do: 'claim to resolve', limit: 10 },
  ...[0, 1, 2, 3].map((): Command => ({ do: 'look', pick: 0, canSee: true })),
  ...[0, 1, 2, 3].map((): Command => ({ do: 'conclude', pick: 0, mayResend: true, isAgain: false })),
];

/** G2: while PostgreSQL and Twilio answer, every message reaches an end; and Twilio has each one as often as its row says. */
async function finish(db: Db, world: World, isLate: boolean): Promise<void> {
  const isOver = ({ step }: Row) => step === null || ['verify', 'poll', 'redact'].includes(step);
  for (let round = 0; round < 40; round += 1) {
    const rows = await readRows(db);
    if ([...rows.values()].every(isOver)) break;
    for (const command of restless) await world.run(command);
    await world.lookBack();
  }
  const rows = await readRows(db);
  for (const row of rows.values()) expect([row.whole, isOver(row)]).toEqual([row.whole, true]);
  checkRows(rows, rows, isLate);
  if (isLate) await expectNothingSilent(db, world);
  else for (const row of rows.values()) expectAsOften(row, world);
}

function expectAsOften({ uuid, sid, whole }: Row, world: World): void {
  const taken = world.taken.filter((one) => one.uuid === uuid).map((one) => one.sid);
  expect(taken, whole).toEqual(sid === null ? [] : [sid]);
}

/** G4: acceptance after the settle time cannot be prevented; it is never silent. */
async function expectNothingSilent(db: Db, world: World): Promise<void> {
  for (const [pick] of world.taken.entries())
    await world.run({ do: 'call back', pick, word: 'sent', bearsOurId: true });
  const { rows } = await db.query<{ sid: string }>({
    text: 'SELECT twilio_sid AS sid FROM message UNION SELECT twilio_sid FROM duplicate_handover',
  });
  const known = new Set(rows.map(({ sid }) => sid));
  expect(world.taken.filter(({ sid }) => !known.has(sid))).toEqual([]);
}

describe('who may hand a message to Twilio (G1, G2, G3, G4)', { timeout: TAKES_MS }, () => {
  test.each(Object.entries(scripts))('%s', async (_name, commands) => {
    const [db] = lanes;
    if (db === undefined) throw new Error('there is no lane');
    await follow(db, { commands, isLate: true });
  });

  test('senders, resolvers, a deleting caller and Twilio, in any order, late and stale, break no rule', async () => {
    await Promise.all(
      lanes.map((db, lane) =>
        fc.assert(
          fc.asyncProperty(sequence, (one) => follow(db, one)),
          { seed: 4_711 + lane, numRuns: RANDOM / LANES },
        ),
      ),
    );
  });

  test('every legal transition was seen, and no other', () => {
    const places: readonly Place[] = [
      'waiting',
      'open',
      'handed over',
      'refused',
      'expired',
      'cancelled',
      'unconfirmed',
    ];
    const legal = [
      'record: new → open',
      'record: new → waiting',
      'claim to send: waiting → open',
      'claim to resolve: open → open',
      'unknown: open → open',
      'retry: open → open',
      'refused: open → refused',
      // After it was found absent Twilio's refusal for good is heard late: true all the same.
      'refused: waiting → refused',
      // A sender that slept reports only that it did not call: somebody else sends it.
      'refused: waiting → waiting',
      'put back: open → waiting',
      'put back: open → cancelled',
      'look again: open → open',
      'send again: open → waiting',
      'send again: open → cancelled',
      'unconfirmed: open → unconfirmed',
      'expire: waiting → expired',
      'delete: waiting → cancelled',
      ...places
        .filter((place) => !['waiting', 'cancelled'].includes(place))
        .map((place) => `delete: ${place} → ${place}`),
      ...['answer', 'callback', 'found'].flatMap((what) => places.map((place) => `${what}: ${place} → handed over`)),
    ];
    expect([...visited].toSorted()).toEqual(legal.toSorted());
  });
});
