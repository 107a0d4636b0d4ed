import type { Db } from '../db/db.ts';
import { type Callback, type Claim, claimCallbacks, listJoinable, type Recorded, type ToRecord } from './callbacks.ts';
import { evidenceOfCallback } from './evidence.ts';
import type { AtTwilio } from './messages.ts';
import { recordEvidence } from './outcomes.ts';

/** What became of a callback; `finished` are the messages whose text Twilio should empty now. */
export type Received = {
  readonly result: 'applied' | 'no change' | 'kept' | 'duplicate';
  /** The message that Twilio was proved just now to have twice (G4). */
  readonly duplicateOf: string | null;
  readonly finished: readonly AtTwilio[];
};

/**
 * A callback whose signature is good: kept, joined to its message, believed if it moves the status forward. All of it is
 * committed when this returns (G6). `claim` is our id from the callback URL; with it a callback finds its row even
 * before the answer to the create has. A SID that nobody knows yet is kept until its message turns up.
 */
export async function receiveCallback(
  record: (one: ToRecord) => Promise<Recorded>,
  callback: Callback,
  claim: Claim | null,
): Promise<Received> {
  const { meant, changed, duplicateOf, finished } = await record({ callback, claim });
  const known = changed > 0 ? 'applied' : 'no change';
  return { result: duplicateOf !== null ? 'duplicate' : meant > 0 ? known : 'kept', duplicateOf, finished };
}

const JOIN_BATCH = 500;

/** Joins kept callbacks to messages that have turned up since, each in a transaction of its own; says to how many. */
export async function joinKeptCallbacks(db: Db): Promise<number> {
  const joinable = await listJoinable(db, JOIN_BATCH);
  for (const { uuid, twilioSid } of joinable) {
    await db.transaction(async (tx) => {
      for (const callback of await claimCallbacks(tx, uuid, twilioSid)) {
        await recordEvidence(tx, uuid, evidenceOfCallback(callback, callback.received), null);
      }
    });
  }
  return joinable.length;
}
