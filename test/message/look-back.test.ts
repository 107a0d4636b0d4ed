import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Db, openDb } from '../../src/db/db.ts';
import {
  claimToLookBack,
  claimToResolve,
  claimToSend,
  recordLook,
  type ToResolve,
} from '../../src/message/due-messages.ts';
import { evidenceOf } from '../../src/message/evidence.ts';
import { recordMessage } from '../../src/message/orders.ts';
import { recordEvidence, recordUnknown } from '../../src/message/outcomes.ts';
import { lookBack, type ResolveDeps, resolveMessage } from '../../src/message/resolve.ts';
import { openTwilioClient, type TwilioClient } from '../../src/twilio/client.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { type FakeTwilio, newSid, resource, startFakeTwilio } from '../support/twilio.ts';
import { letPass, placeOf, readRows } from './hand-over-rows.ts';

/** Identical texts one after the other: whose is a SID in Twilio's log? Wrongly given away, it makes a text go out twice. */

const sender = '+447700900001';
const receiver = '+447700900123';
const content = 'Please call us.';
const times = { withinMs: 10_000, settleMs: 120_000 };

let database: TestDatabase;
let db: Db;
let fake: FakeTwilio;
let twilio: TwilioClient;
let duplicates: string[];

beforeAll(async () => {
  database = await createDatabase();
  db = openDb({ url: database.url, poolSize: 4 });
  fake = await startFakeTwilio();
  twilio = openTwilioClient({
    accountSid: 'AC1',
    authTokens: ['token'],
    apiKey: null,
    baseUrl: fake.url,
    timeoutMs: 5_000,
    maxConcurrency: 5,
  });
});
afterAll(async () => {
  await twilio.close();
  await fake.stop();
  await db.close();
  await database.drop();
});
beforeEach(async () => {
  await db.query({ text: 'TRUNCATE message, attempt, callback, event, duplicate_handover' });
  duplicates = [];
});

const deps = (): ResolveDeps => ({
  db,
  twilio,
  log: { info: () => {}, warn: () => {}, error: () => {} },
  settleMs: times.settleMs,
  mayResend: true,
  isQuiet: false,
  onLook: () => {},
  onDuplicate: (_uuid, sid) => duplicates.push(sid),
  random: () => 0.5,
});

async function record(): Promise<string> {
  const uuid = randomUUID();
  const recorded = await recordMessage(db, {
    uuid,
    tenant: { trustomerCode: 'ouh', productName: 'gdm' },
    author: null,
    request: { sender, receiver, to: receiver, content, validUntil: null, errorCode: null, errorMessage: null },
    textHash: createHash('sha256').update(content).digest('base64url'),
    key: null,
    send: times,
  });
  expect(recorded.kind).toBe('recorded');
  return uuid;
}

const lose = (uuid: string, n: number) =>
  recordUnknown(db, { uuid, n }, { outcome: 'unknown', httpStatus: null, errorCode: null, reason: 'ECONNRESET' });
const listed = (sid: string) =>
  resource({ sid, body: content, from: sender, to: receiver, date_created: new Date().toUTCString() });
const take = (uuid: string, sid: string, n: number) =>
  recordEvidence(db, uuid, evidenceOf({ ...emptyMessage, sid }, 'answer', false), n);
const emptyMessage = {
  sid: '',
  status: 'queued',
  errorCode: null,
  errorMessage: null,
  dateSent: null,
  dateCreated: null,
  body: null,
  from: null,
  to: null,
  messagingServiceSid: null,
};

/** Twilio's log holds these, all to the one number. */
function logHolds(...sids: string[]): void {
  fake.answerWith(() => ({ status: 200, body: { messages: sids.map(listed), next_page_uri: null } }));
}

async function claimOne(claim: Promise<ToResolve[]>): Promise<ToResolve> {
  const [one, ...more] = await claim;
  if (one === undefined || more.length > 0) throw new Error('one was expected');
  return one;
}

/** Sent a second time after two looks, and handed over: to be looked back at. */
async function sentAgain(sid: string): Promise<string> {
  const uuid = await record();
  await lose(uuid, 1);
  const looks = [{ kind: 'look again', afterMs: 1_000, looks: 1 } as const, { kind: 'send again' } as const];
  for (const conclusion of looks) {
    await letPass(db, 131_000);
    const { epoch } = await claimOne(claimToResolve(db, { limit: 10, leaseMs: 60_000 }));
    await recordLook(db, { uuid, epoch, n: 1, conclusion, details: {}, isTold: true });
  }
  await letPass(db, 1);
  const claimed = await claimToSend(db, { limit: 10, ...times, own: [] });
  expect(claimed).toMatchObject([{ n: 2 }]);
  await take(uuid, sid, 2);
  return uuid;
}

const claimLookBack = () => claimOne(claimToLookBack(db, { limit: 10, leaseMs: 60_000 }));
const sidOf = async (uuid: string) => (await readRows(db)).get(uuid)?.sid;

test('an earlier attempt that Twilio took after the settle time is found by looking back: a duplicate, told and recorded', async () => {
  const [second, late] = [newSid(), newSid()];
  const uuid = await sentAgain(second);
  await letPass(db, 131_000);
  logHolds(second, late);
  await lookBack(deps(), await claimLookBack());
  expect([await sidOf(uuid), duplicates]).toEqual([second, [late]]);
  const { rows } = await db.query({ text: 'SELECT twilio_sid, message_uuid FROM duplicate_handover' });
  expect(rows).toEqual([{ twilio_sid: late, message_uuid: uuid }]);
  expect(await claimToLookBack(db, { limit: 10, leaseMs: 1 })).toEqual([]);
});

test('looking back takes no SID away from an identical text that is under way: that one is found, and not sent twice', async () => {
  const [first, twins] = [newSid(), newSid()];
  const uuid = await sentAgain(first);
  // The same text once more, taken by Twilio, its answer lost: nobody has recorded its SID yet.
  const twin = await record();
  await lose(twin, 1);
  await letPass(db, 131_000);
  logHolds(first, twins);

  const backwards = await claimToLookBack(db, { limit: 10, leaseMs: 60_000 });
  for (const claim of backwards) await lookBack(deps(), claim);
  await resolveMessage(deps(), await claimOne(claimToResolve(db, { limit: 10, leaseMs: 60_000 })));
  expect([await sidOf(uuid), await sidOf(twin), duplicates]).toEqual([first, twins, []]);
});

test('nor does a look whose message was answered while Twilio’s list was on its way', async () => {
  const [first, twins] = [newSid(), newSid()];
  const uuid = await record();
  await letPass(db, 131_000);
  const claim = await claimOne(claimToResolve(db, { limit: 10, leaseMs: 60_000 }));
  let twin = '';
  fake.answerWith(async () => {
    fake.answerWith(undefined);
    // The answer that was late comes; the text is free again, goes out once more, and this time the answer is lost.
    await take(uuid, first, 1);
    twin = await record();
    await lose(twin, 1);
    return { status: 200, body: { messages: [listed(twins), listed(first)], next_page_uri: null } };
  });
  await resolveMessage(deps(), claim);
  await letPass(db, 131_000);
  logHolds(first, twins);
  await resolveMessage(deps(), await claimOne(claimToResolve(db, { limit: 10, leaseMs: 60_000 })));
  expect([await sidOf(uuid), await sidOf(twin), duplicates]).toEqual([first, twins, []]);
});

test('the SID of another message is no second copy of this one', async () => {
  const [first, others] = [newSid(), newSid()];
  const uuid = await record();
  await take(uuid, first, 1);
  const other = await record();
  await take(other, others, 1);
  const { isDuplicate } = await recordEvidence(
    db,
    uuid,
    evidenceOf({ ...emptyMessage, sid: others }, 'list', false),
    1,
  );
  expect(isDuplicate).toBe(false);
  expect((await db.query({ text: 'SELECT FROM duplicate_handover' })).rowCount).toBe(0);
  const rows = await readRows(db);
  expect([...rows.values()].map((row) => placeOf(row))).toEqual(['handed over', 'handed over']);
});
