import { type Db, utcNow } from '../db/db.ts';
import { terminal } from './forward-only.ts';
import type { Reach } from './message.ts';
import { isWithin, only, reachValues } from './messages.ts';

/**
 * What the checks count. Each statement looks at so many rows at most, which an index finds: asked often, by many, and above all
 * when there is too much of everything.
 */

/** More are not counted. */
export const MOST_COUNTED = 1_000;
/** Rows of others, or that are none of what is counted, may lie between. */
const MOST_READ = 5_000;
/** Of a queue that everybody's messages share. */
export const MOST_WAITING = 10_000;

const ofReach = isWithin('$1', '$2');

export type Silence = {
  /** When the newest callback came; of a tenant, among those about its messages of the last hour. */
  readonly lastCallback: Date | null;
  readonly sinceS: number | null;
  /** Messages of the last hour, up to 1,001, that Twilio got after that and of which no callback has come. */
  readonly handedOver: number;
  /** How long the first of them has waited. */
  readonly waitedS: number;
  /** Was anything handed to Twilio in the last hour? */
  readonly isInUse: boolean;
};

const recent = `created > ${utcNow} - interval '1 hour'`;
const atTwilio = 'handed_over IS NOT NULL AND NOT placeholder';

/** Are callbacks missing? The quiet simulator's messages have none to come. */
export async function measureSilence(db: Db, reach: Reach): Promise<Silence> {
  const last =
    reach === 'all tenants'
      ? 'SELECT received FROM callback ORDER BY id DESC LIMIT 1'
      : `SELECT max(callback.received) AS received FROM (
           SELECT uuid FROM message WHERE ${ofTenant} AND ${recent} ORDER BY created DESC LIMIT ${MOST_COUNTED * 2}
         ) latest JOIN callback ON message_uuid = latest.uuid`;
  const within = reach === 'all tenants' ? '$1::varchar IS NULL AND $2::varchar IS NULL' : ofTenant;
  const { rows } = await db.query<Silence>({
    name: reach === 'all tenants' ? 'measure-silence' : 'measure-silence-of-tenant',
    text: `
      WITH last AS MATERIALIZED (${last}), silent AS (
        SELECT handed_over FROM (
          SELECT * FROM message
          WHERE ${within} AND created > greatest(${utcNow} - interval '1 hour', (SELECT received FROM last))
          ORDER BY created LIMIT ${MOST_READ}
        ) since
        WHERE ${atTwilio} AND NOT EXISTS (SELECT FROM callback WHERE message_uuid = since.uuid) LIMIT ${MOST_COUNTED + 1}
      )
      SELECT (SELECT received FROM last) AS "lastCallback",
             (SELECT extract(epoch FROM ${utcNow} - received)::float8 FROM last) AS "sinceS",
             count(*)::int AS "handedOver",
             coalesce(extract(epoch FROM ${utcNow} - min(handed_over)), 0)::float8 AS "waitedS",
             EXISTS (SELECT FROM (
               SELECT * FROM message WHERE ${within} AND ${recent} ORDER BY created DESC LIMIT ${MOST_READ}
             ) latest WHERE ${atTwilio}) AS "isInUse"
      FROM silent`,
    values: reachValues(reach),
  });
  return only(rows);
}

const ofTenant = 'trustomer_code = $1 AND product_name = $2';

export type Waiting = { readonly count: number; readonly oldest: Date | null; readonly ageS: number };

const countWaiting = `count(*)::int AS count, min(since) AS oldest,
  coalesce(extract(epoch FROM ${utcNow} - min(since)), 0)::float8 AS "ageS"`;

/** Messages that Twilio may or may not have, by when their latest attempt began. */
export async function measureUnresolved(db: Db, reach: Reach): Promise<Waiting> {
  const { rows } = await db.query<Waiting>({
    name: 'measure-unresolved',
    text: `
      SELECT ${countWaiting} FROM (
        SELECT coalesce(attempt.started, open.created) AS since
        FROM (SELECT * FROM message WHERE unresolved AND ${ofReach} LIMIT ${MOST_READ}) open
        LEFT JOIN attempt ON message_uuid = open.uuid AND n = open.attempts
      ) waiting`,
    values: reachValues(reach),
  });
  return only(rows);
}

/** Texts of ended messages that Twilio still holds, by when they ended: those recorded first, and so mostly the oldest. */
export async function measureUnredacted(db: Db, reach: Reach): Promise<Waiting> {
  const { rows } = await db.query<Waiting>({
    name: 'measure-unredacted',
    text: `
      SELECT ${countWaiting} FROM (
        SELECT coalesce(ended, modified) AS since, trustomer_code, product_name FROM (
          (SELECT * FROM message WHERE step = 'redact' ORDER BY created LIMIT ${MOST_WAITING})
          UNION ALL
          (SELECT * FROM message
           WHERE step IN ('verify', 'look back') AND redacted IS NULL AND status ${terminal} LIMIT ${MOST_READ})
        ) queue
      ) waiting
      WHERE ${ofReach}`,
    values: reachValues(reach),
  });
  return only(rows);
}

/** How some attempts of the last quarter of an hour ended. */
export type Attempts = {
  readonly outcome: string;
  readonly httpStatus: number | null;
  readonly errorCode: string | null;
  readonly count: number;
  readonly first: Date;
  readonly last: Date;
};

/** Of the newest messages, and of those that wait to be sent: attempts have no other order than their messages'. */
export async function listAttempts(db: Db, reach: Reach): Promise<Attempts[]> {
  const within = reach === 'all tenants' ? '$1::varchar IS NULL AND $2::varchar IS NULL' : ofTenant;
  const { rows } = await db.query<Attempts>({
    name: reach === 'all tenants' ? 'list-attempts' : 'list-attempts-of-tenant',
    text: `
      WITH tried AS (
        (SELECT uuid FROM message WHERE ${within} AND ${recent} ORDER BY created DESC LIMIT ${MOST_COUNTED})
        UNION
        (SELECT uuid FROM message WHERE step IN ('send', 'resolve') AND attempts > 0 AND ${ofReach} LIMIT ${MOST_COUNTED})
      )
      SELECT outcome, http_status AS "httpStatus", error_code AS "errorCode", count(*)::int AS count,
             min(started) AS first, max(started) AS last
      FROM tried JOIN attempt ON message_uuid = tried.uuid
      WHERE started > ${utcNow} - interval '15 minutes' AND outcome IS NOT NULL
      GROUP BY outcome, http_status, error_code`,
    values: reachValues(reach),
  });
  return rows;
}
