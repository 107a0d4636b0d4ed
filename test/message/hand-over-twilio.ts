import { randomBytes } from 'node:crypto';
import type { Db } from '../../src/db/db.ts';
import type { ToResolve } from '../../src/message/due-messages.ts';
import { evidenceOf } from '../../src/message/evidence.ts';
import { sidsOfOthers } from '../../src/message/messages.ts';
import { recordEvidence, SidTaken } from '../../src/message/outcomes.ts';
import { type LogReading, readLog } from '../../src/message/twilio-log.ts';
import type { TwilioMessage } from '../../src/twilio/outcome.ts';

export const sender = '+447700900001';
export const receiver = '+447700900123';

/** A message that Twilio took. */
export type Taken = {
  readonly sid: string;
  readonly uuid: string;
  readonly n: number;
  readonly content: string;
  readonly at: number;
};

/**
 * Twilio in these tests: what it took and when, in milliseconds of the tests' own time. A text that it took, but does not list yet,
 * is one that it takes later than the settle time.
 */
export function makeTwilio() {
  const taken: (Taken & { isListed: boolean })[] = [];
  return {
    taken,
    take: (one: Omit<Taken, 'sid'>, isListed: boolean): Taken => {
      const entry = { ...one, sid: `SM${randomBytes(16).toString('hex')}`, isListed };
      taken.push(entry);
      return entry;
    },
    /** From now on the log shows everything. */
    catchUp: (now: number) => {
      for (const [at, one] of taken.entries()) if (!one.isListed) taken[at] = { ...one, isListed: true, at: now };
    },
    /** A complete look at the log at this moment. */
    look: async (db: Db, claim: ToResolve, now: number): Promise<LogReading> => {
      const list = taken.filter(({ isListed }) => isListed).map((one) => listed(one, now));
      const { taken: own, ofOtherTexts } = await sidsOfOthers(
        db,
        list.map(({ sid }) => sid),
        claim.uuid,
      );
      const since = new Date(claim.attempts[0]?.started ?? 0);
      return readLog(
        list.toReversed(),
        { sender: claim.sender, content: claim.content, since },
        new Set([...own, ...ofOtherTexts]),
      );
    },
  };
}

/** Time passes by moving what is recorded into the past, so Twilio's date moves with it. */
function listed({ sid, content, at }: Taken, now: number): TwilioMessage {
  const created = Math.floor((Date.now() - (now - at)) / 1000) * 1000;
  return {
    sid,
    status: 'queued',
    errorCode: null,
    errorMessage: null,
    dateSent: null,
    dateCreated: new Date(created).toISOString(),
    body: content,
    from: sender,
    to: receiver,
    messagingServiceSid: null,
  };
}

/** What Twilio says of a message is recorded, unless its SID has become another message's meanwhile. */
export async function hear(db: Db, source: 'answer' | 'list', uuid: string, sid: string, n: number): Promise<void> {
  const said: TwilioMessage = {
    sid,
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
  try {
    await recordEvidence(db, uuid, evidenceOf(said, source, false), n);
  } catch (error) {
    if (!(error instanceof SidTaken)) throw error;
  }
}
