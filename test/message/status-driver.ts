import { randomBytes, randomUUID } from 'node:crypto';
import type { Db } from '../../src/db/db.ts';
import { joinKeptCallbacks } from '../../src/message/callback.ts';
import { recordCallback } from '../../src/message/callbacks.ts';
import { claimToVerify } from '../../src/message/due-messages.ts';
import {
  recordEvidence,
  recordPutBack,
  recordRefused,
  recordSettled,
  recordUnknown,
} from '../../src/message/outcomes.ts';
import { verifyMessage } from '../../src/message/verify.ts';
import type { TwilioClient } from '../../src/twilio/client.ts';
import { type FakeTwilio, resource, sidIn } from '../support/twilio.ts';
import type { Kept, Row, Step, Told, World } from './status-model.ts';

/** Where a message begins: what its row holds. */
export type Start = { readonly status: string | null; readonly hasSid: boolean; readonly isPlaceholder: boolean };

export type Driver = { readonly db: Db; readonly twilio: TwilioClient; readonly fake: FakeTwilio };

/** A message of its own for one sequence, and the model's picture of it. `sids`: its own, and that of a second copy. */
export async function begin(db: Db, start: Start): Promise<{ world: World; sids: readonly [string, string] }> {
  const sids = [`SM${randomBytes(16).toString('hex')}`, `SM${randomBytes(16).toString('hex')}`] as const;
  const sid = start.hasSid ? sids[0] : null;
  const row: Row = {
    uuid: randomUUID(),
    status: start.status,
    sid,
    code: null,
    dateSent: null,
    isPlaceholder: start.isPlaceholder,
    isContested: false,
  };
  const isOpen = start.status === 'accepted' && sid === null;
  await db.query({
    text: `
      WITH begun AS (
        INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, content, status, twilio_sid,
                             trustomer_code, product_name, receiver_e164, placeholder, handed_over, attempts, unresolved, step, due,
                             text_hash)
        VALUES ($1, now(), 'x', now(), 'x', '+447700900001', '+447700900123', 'text', $2, $3, 'ouh', 'gdm', '+447700900123', $4,
                CASE WHEN $3::varchar IS NULL THEN NULL ELSE now() END, 1, $5,
                CASE WHEN $5 THEN 'resolve' END, CASE WHEN $5 THEN now() + interval '1 day' END, $1)
        RETURNING uuid
      )
      INSERT INTO attempt (message_uuid, n, started, deadline) SELECT uuid, 1, now(), now() FROM begun`,
    values: [row.uuid, start.status, sid, start.isPlaceholder, isOpen],
  });
  return { world: { row, seconds: new Set(), callbacks: [], waiting: new Map(), told: [] }, sids };
}

/** Does for real what the model does in `take`. Answers what the statement says of the text: may it be emptied now? */
export async function perform({ db, twilio, fake }: Driver, uuid: string, step: Step): Promise<boolean | null> {
  switch (step.kind) {
    case 'answer':
    case 'list':
    case 'fetch': {
      const evidence = {
        source: step.kind,
        twilioSid: step.sid,
        status: step.word,
        errorCode: step.code,
        errorMessage: step.code === null ? null : `words about ${step.code}`,
        dateSent: step.dateSent,
        isPlaceholder: false,
      };
      return (await recordEvidence(db, uuid, evidence, step.kind === 'fetch' ? null : 1)).isFinished;
    }
    case 'callback': {
      const callback = {
        twilioSid: step.sid,
        messageStatus: step.word,
        errorCode: step.code,
        errorMessage: null,
        parameters: { MessageSid: step.sid, MessageStatus: step.word },
      };
      const recorded = await recordCallback(db, callback, step.bearsOurId ? { uuid, attempt: 1 } : null);
      return recorded.meant > 0 ? recorded.finished.length === 1 : null;
    }
    case 'join':
      await joinKeptCallbacks(db);
      return null;
    case 'verify': {
      const claims = await claimToVerify(db, { limit: 1_000, leaseMs: 60_000 });
      const claim = claims.find((one) => one.uuid === uuid);
      if (claim === undefined) return null;
      fake.answerWith(({ path }) => ({
        status: 200,
        body: resource({
          sid: sidIn(path),
          status: step.word,
          error_code: step.code === null ? null : Number(step.code),
          date_sent: step.dateSent,
        }),
      }));
      await verifyMessage({ db, twilio, log: { info: () => {}, warn: () => {} }, isQuiet: false }, claim);
      return null;
    }
    case 'refused': {
      const closed = { outcome: 'refused', httpStatus: 400, errorCode: step.code, reason: null } as const;
      await recordRefused(db, { uuid, n: step.n }, closed, { code: step.code, message: 'no', freesKey: false });
      return null;
    }
    case 'put back': {
      const closed = { outcome: 'not processed', httpStatus: null, errorCode: null, reason: 'no way' } as const;
      await recordPutBack(db, { uuid, n: step.n }, closed, 60_000);
      return null;
    }
    case 'unknown': {
      const closed = { outcome: 'unknown', httpStatus: 500, errorCode: null, reason: 'HTTP status 500' } as const;
      await recordUnknown(db, { uuid, n: step.n }, closed);
      return null;
    }
    case 'settled':
      await recordSettled(db, uuid, { outcome: step.outcome, reach: 'all tenants', author: null });
      return null;
    default:
      return step satisfies never;
  }
}

/** What the tables hold of this world, in the model's shape. */
export type Seen = {
  readonly row: Row;
  readonly seconds: string[];
  readonly callbacks: Kept[];
  readonly told: Told[];
  readonly isUnresolved: boolean;
};

export async function see(db: Db, uuid: string, sids: readonly string[]): Promise<Seen> {
  const { rows } = await db.query<Seen>({
    name: 'see',
    text: `
      SELECT
        json_build_object('uuid', uuid, 'status', status, 'sid', twilio_sid, 'code', error_code, 'dateSent', date_sent,
          'isPlaceholder', placeholder, 'isContested', step IS NOT DISTINCT FROM 'verify') AS row,
        unresolved AS "isUnresolved",
        (SELECT coalesce(json_agg(twilio_sid ORDER BY twilio_sid), '[]') FROM duplicate_handover WHERE message_uuid = $1) AS seconds,
        (SELECT coalesce(json_agg(json_build_object('uuid', message_uuid, 'sid', twilio_sid, 'word', message_status,
           'before', status_before, 'after', status_after) ORDER BY id), '[]') FROM callback WHERE twilio_sid = ANY($2)) AS callbacks,
        (SELECT coalesce(json_agg(json_build_object('kind', kind, 'before', status_before, 'after', status_after) ORDER BY id), '[]')
         FROM event WHERE message_uuid = $1) AS told
      FROM message WHERE uuid = $1`,
    values: [uuid, sids],
  });
  const [seen] = rows;
  if (seen === undefined) throw new Error('the row is gone');
  return seen;
}

export function asSeen({ row, seconds, callbacks, told }: World): Omit<Seen, 'isUnresolved'> {
  return { row, seconds: [...seconds].sort(), callbacks, told };
}
