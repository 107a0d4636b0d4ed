import { expect, test } from 'vitest';
import { hashText } from '../../src/simulator/draw.ts';
import type { Answer } from './clients.ts';
import type { Evidence } from './evidence.ts';
import { judge } from './judge.ts';
import type { Move } from './moves.ts';

const words = 'Nobody needs to answer.';
const text = hashText(words);
const [uuid, sid] = ['90422bdb-077e-4c62-8dfe-315ba3cea0ce', 'SM1'];
const planned = { n: 0, receiver: '+447700900123', content: words, isAsync: false, key: 'k' };
const answered = (status: number, more: object = {}): Answer => {
  return { kind: 'answer', status, uuid, sid: status === 200 ? sid : null, asksToRepeat: status === 503, ...more };
};
const story = (...answers: Answer[]) => ({ planned, answers });
const accepted = { sid, text, uuid, status: 'delivered', hasText: false };
const row = { uuid, sid, status: 'delivered', text };
const second = { ...accepted, sid: 'SM2' };
const move = (before: string | null, after: string | null): Move => ({ uuid, sid, before, after, source: 'message' });

const kept: Evidence = {
  stories: [story({ kind: 'none' }, answered(200))],
  accepted: [accepted],
  rows: [row],
  moves: [move('accepted', 'queued'), move('queued', 'delivered'), move('accepted', 'error'), move('error', 'sent')],
  open: [],
  recordedDuplicates: new Set(),
  replays: [{ story: story(answered(200)), answer: answered(200) }],
  forgeries: [{ sid, outcome: 403 }],
  acknowledged: [{ sid, status: 'delivered' }],
  recordedCallbacks: new Set([`${sid} delivered`]),
  creates: [{ sid, uuid, attempt: '1' }],
  recordedAttempts: new Set([`${uuid} 1`]),
};

function broken(changes: Partial<Evidence>): string[] {
  const findings = judge({ ...kept, ...changes });
  return findings.filter(({ cases }) => cases.length > 0).map(({ name }) => name);
}

test('a run in which every promise was kept has no case', () => {
  expect(broken({})).toEqual([]);
});

test.each<[string, Partial<Evidence>, string[]]>([
  ['sent with no row', { rows: [], stories: [], replays: [] }, ['lost']],
  ['answered 200 with no row', { rows: [], accepted: [], replays: [] }, ['lost']],
  ['answered 200, and Twilio has nothing', { accepted: [], rows: [{ ...row, sid: null, status: 'error' }] }, ['lost']],
  [
    'answered 202, and never ended',
    { accepted: [], stories: [story(answered(202))], rows: [{ ...row, sid: null, status: 'accepted' }] },
    ['lost'],
  ],
  ['answered 503, and sent', { stories: [story(answered(503))] }, ['broken word']],
  ['answered 422 with no name, and sent', { stories: [story(answered(422, { uuid: null }))] }, ['broken word']],
  [
    'answered 503, repeated and sent twice, of which nobody noted one',
    { stories: [story(answered(503), answered(200))], accepted: [accepted, second] },
    ['broken word', 'duplicates', 'silent'],
  ],
  ['sent twice, and noted', { accepted: [accepted, second], recordedDuplicates: new Set(['SM2']) }, ['duplicates']],
  ['a status that is not Twilio’s', { rows: [{ ...row, status: 'sent' }] }, ['wrong final']],
  ['no SID on the row, and sent', { rows: [{ ...row, sid: null, status: 'unconfirmed' }] }, ['wrong final']],
  ['a SID that Twilio does not know', { rows: [row, { ...row, uuid: 'x', sid: 'SM9' }] }, ['misplaced']],
  ['one SID on two rows', { rows: [row, { ...row, uuid: 'x' }] }, ['misplaced']],
  ['the SID of another text', { rows: [{ ...row, text: 'other' }] }, ['misplaced']],
  ['delivered, then sent', { moves: [move('delivered', 'sent')] }, ['backward']],
  ['queued, then error', { moves: [move('queued', 'error')] }, ['backward']],
  ['delivered, then failed', { moves: [move('delivered', 'failed')] }, ['backward']],
  ['sent, then nothing', { moves: [move('sent', null)] }, ['backward']],
  ['unresolved when the time was up', { open: [{ uuid, sid, state: 'sent, unresolved' }] }, ['unresolved']],
  ['over, and still with its text', { accepted: [{ ...accepted, hasText: true }] }, ['unredacted']],
  ['sent before the attempt was on record', { recordedAttempts: new Set() }, ['unlicensed']],
  ['a callback answered 2xx and forgotten', { recordedCallbacks: new Set() }, ['forgotten']],
  ['a forged callback taken', { forgeries: [{ sid, outcome: 204 }] }, ['forged']],
  [
    'another message for the same key',
    { replays: [{ story: story(answered(200)), answer: answered(200, { uuid: 'x' }) }] },
    ['keys'],
  ],
  ['an answer of 500', { stories: [story(answered(500), answered(200))] }, ['answers']],
  [
    'a 503 without Retry-After',
    { stories: [story(answered(503, { asksToRepeat: false }), answered(200))] },
    ['broken word', 'answers'],
  ],
])('the judge sees: %s', (_name, changes, expected) => {
  expect(broken(changes)).toEqual(expected);
});
