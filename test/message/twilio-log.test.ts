import { describe, expect, test } from 'vitest';
import { beginOfLog, hidesNumbers, readLog, sidsIn } from '../../src/message/twilio-log.ts';
import type { TwilioMessage } from '../../src/twilio/outcome.ts';

const since = new Date('2026-11-24T10:00:00.700Z');
const wanted = { sender: '+447700900001', content: 'Your appointment is on Monday.', since };
const nobody: ReadonlySet<string> = new Set();

/** One that is ours, unless told otherwise. */
function listed(changes: Partial<TwilioMessage> = {}): TwilioMessage {
  return {
    sid: 'SM1',
    status: 'queued',
    errorCode: null,
    errorMessage: null,
    dateSent: null,
    dateCreated: '2026-11-24T10:00:00.000Z',
    body: wanted.content,
    from: wanted.sender,
    to: '+447700900123',
    messagingServiceSid: null,
    ...changes,
  };
}
const read = (list: TwilioMessage[], taken = nobody, of = wanted) => readLog(list, of, taken);
const found = (...sids: string[]) => ({ kind: 'found', copies: sids.map((sid) => expect.objectContaining({ sid })) });
/** Twilio's date for a moment so many milliseconds after the attempt began: to the second, rounded down. */
const dateAfter = (ms: number) => new Date(Math.floor((since.getTime() + ms) / 1000) * 1000).toISOString();

describe('what the log says about a text', () => {
  test('the same sender and text since the attempt began: Twilio has it, whatever its status', () => {
    const words = [
      'accepted',
      'scheduled',
      'queued',
      'sending',
      'sent',
      'delivered',
      'undelivered',
      'failed',
      'canceled',
    ];
    for (const status of [...words, 'read', 'a word of next year'])
      expect(read([listed({ status })])).toEqual(found('SM1'));
  });

  test('an empty log: nothing', () => {
    expect(read([])).toEqual({ kind: 'nothing' });
  });

  test.each<[string, Partial<TwilioMessage>]>([
    ['another text', { body: 'Your appointment is on Tuesday.' }],
    ['a text that only begins like it', { body: `${wanted.content}!` }],
    ['another sender', { from: '+447700900002' }],
    ['another sender, emptied', { from: '+447700900002', body: '' }],
    ['another messaging service, whose number is not chosen', { from: null, messagingServiceSid: 'MG2' }],
    ['an older one', { dateCreated: dateAfter(-8_000) }],
    ['an older one, emptied', { dateCreated: dateAfter(-8_000), body: '' }],
    ['a create that Twilio refused', { status: 'failed', errorCode: '21610' }],
    ['a create that Twilio refused, emptied', { status: 'failed', errorCode: '21610', body: '' }],
  ])('%s: nothing', (_name, changes) => {
    expect(read([listed(changes)])).toEqual({ kind: 'nothing' });
  });

  test('spaces at the ends count for nothing, on either side', () => {
    expect(read([listed({ body: ` ${wanted.content}\n` })])).toEqual(found('SM1'));
    expect(read([listed()], nobody, { ...wanted, content: `${wanted.content}  ` })).toEqual(found('SM1'));
  });

  test('one that failed at the carrier was taken: only codes of the API say that the create was refused', () => {
    for (const errorCode of ['30003', '30008', '63016', null]) {
      expect(read([listed({ status: 'failed', errorCode })])).toEqual(found('SM1'));
    }
    for (const status of ['queued', 'undelivered', 'delivered']) {
      expect(read([listed({ status, errorCode: '21610' })])).toEqual(found('SM1'));
    }
  });
});

describe('how old it may be: a date without milliseconds, clocks that differ by up to 5 s', () => {
  test('for every millisecond of the attempt, one created at that moment by a clock 5 s behind is found', () => {
    for (let ms = 0; ms < 1_000; ms += 1) {
      const began = new Date(Date.UTC(2026, 10, 24, 10, 0, 0, ms));
      const twilios = new Date(Math.floor((began.getTime() - 5_000) / 1000) * 1000).toISOString();
      expect(read([listed({ dateCreated: twilios })], nobody, { ...wanted, since: began })).toEqual(found('SM1'));
    }
  });

  test('one of the begin itself counts, one a moment before it does not', () => {
    const begin = beginOfLog(since);
    expect(since.getTime() - begin.getTime()).toBe(6_000);
    expect(read([listed({ dateCreated: begin.toISOString() })])).toEqual(found('SM1'));
    const before = new Date(begin.getTime() - 1).toISOString();
    expect(read([listed({ dateCreated: before })])).toEqual({ kind: 'nothing' });
  });

  test('a clock ahead, or an attempt of long ago: later is never too late', () => {
    for (const ms of [0, 5_000, 60_000, 86_400_000]) {
      expect(read([listed({ dateCreated: dateAfter(ms) })])).toEqual(found('SM1'));
    }
  });

  test('without a date it cannot be ruled out', () => {
    expect(read([listed({ dateCreated: null })])).toEqual(found('SM1'));
    expect(read([listed({ dateCreated: null, body: null })])).toEqual({ kind: 'proves nothing' });
  });
});

describe('whose it may be', () => {
  test('a SID that is another message’s is not ours, with its text or emptied', () => {
    const taken = new Set(['SM1']);
    expect(read([listed()], taken)).toEqual({ kind: 'nothing' });
    expect(read([listed({ body: '' })], taken)).toEqual({ kind: 'nothing' });
    expect(read([listed(), listed({ sid: 'SM2' })], taken)).toEqual(found('SM2'));
  });

  test('a messaging service chooses the number, now or later: its SID says that it is ours', () => {
    const sender = `MG${'0'.repeat(32)}`;
    const ours = { ...wanted, sender };
    for (const from of [null, '+447700900077']) {
      expect(read([listed({ from, messagingServiceSid: sender })], nobody, ours)).toEqual(found('SM1'));
    }
    expect(read([listed({ from: '+447700900077' })], nobody, ours)).toEqual({ kind: 'nothing' });
    // A number of ours that is also in a messaging service.
    expect(read([listed({ messagingServiceSid: sender })])).toEqual(found('SM1'));
  });

  test('every copy is found, the oldest first, one without a date before all others', () => {
    const list = [
      listed({ sid: 'SM4', dateCreated: dateAfter(9_000) }),
      listed({ sid: 'SM3', dateCreated: dateAfter(4_000) }),
      listed({ sid: 'SM0', body: 'something else' }),
      listed({ sid: 'SM2', dateCreated: dateAfter(0) }),
      listed({ sid: 'SM1', dateCreated: null }),
    ];
    expect(read(list)).toEqual(found('SM1', 'SM2', 'SM3', 'SM4'));
    expect(sidsIn(list)).toEqual(['SM4', 'SM3', 'SM0', 'SM2', 'SM1']);
  });
});

describe('a log that proves nothing', () => {
  test.each(['', null])('there is one of our sender whose text is %j: it could be ours', (body) => {
    expect(read([listed({ body })])).toEqual({ kind: 'proves nothing' });
  });

  test('but one that has our text is proof enough beside it', () => {
    expect(read([listed({ sid: 'SM9', body: '' }), listed()])).toEqual(found('SM1'));
  });

  test('numbers that are masked: a search by number would find nothing, whatever there is', () => {
    for (const to of ['+4477009XXXXX', '+4477009*****', '+44770', 'redacted', '']) {
      const isMasked = to !== '+44770';
      expect(hidesNumbers([listed(), listed({ to })])).toBe(isMasked);
    }
  });

  test('numbers in full hide nothing, nor does a channel before them, a short code, or no number', () => {
    const tos = ['+447700900123', '447700900123', '60001', 'whatsapp:+447700900123', 'messenger:123456', null];
    expect(hidesNumbers(tos.map((to) => listed({ to })))).toBe(false);
    expect(hidesNumbers([])).toBe(false);
  });
});

describe('nothing in the log is believed by half', () => {
  test('the same text from a sender that Twilio does not name could be ours: it is not “nothing”', () => {
    // TWILIO.md 5: nearly everything can be null, `from` by name. Resending on it would be a blind resend (G3).
    expect(read([listed({ from: null, messagingServiceSid: null })])).not.toEqual({ kind: 'nothing' });
  });
});
