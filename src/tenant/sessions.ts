import { type Db, utcNow } from '../db/db.ts';

/** Sessions of the console: rows of the table of keys that are good for half a day, and only as long as their key is. */

const HOURS = 12;
/** Of one key; the next one takes the place of the oldest. */
const MOST_OF_A_KEY = 20;
/** Of all keys: replicas read them every other second. */
const MOST = 2_000;

export type NewSession = { readonly id: string; readonly hash: Buffer; readonly keyId: string };
export type OpenedSession = { readonly expires: Date; readonly leftS: number };

type OpenedRow = { readonly expires: Date | null; readonly left_s: number | null };

/** With its entry in the audit, under the name of the key. */
export async function openSession(db: Db, session: NewSession): Promise<OpenedSession | 'no such key' | 'too many'> {
  const { rows } = await db.query<OpenedRow>({
    name: 'open-session',
    text: `
      WITH key AS (
        SELECT * FROM api_key
        WHERE id = $3 AND session_of IS NULL AND revoked IS NULL AND (expires IS NULL OR expires > ${utcNow})
      ), oldest AS (
        DELETE FROM api_key WHERE id IN (
          SELECT id FROM api_key WHERE session_of = $3 ORDER BY created DESC, id OFFSET ${MOST_OF_A_KEY - 1})
      ), made AS (
        INSERT INTO api_key (id, hash, session_of, name, trustomer_code, product_name, scopes, created, expires)
        SELECT $1, $2, id, name, trustomer_code, product_name, scopes, ${utcNow},
               least(${utcNow} + interval '${HOURS} hours', expires)
        FROM key
        WHERE (SELECT count(*) FROM api_key WHERE session_of IS NOT NULL AND expires > ${utcNow}) < ${MOST} RETURNING *
      ), noted AS (
        ${noteOfSession('made', 'signed in')}
      )
      SELECT made.expires, extract(epoch FROM made.expires - ${utcNow})::float8 AS left_s FROM key LEFT JOIN made ON true`,
    values: [session.id, session.hash, session.keyId],
  });
  const [row] = rows;
  if (row === undefined) return 'no such key';
  return row.expires === null || row.left_s === null ? 'too many' : { expires: row.expires, leftS: row.left_s };
}

/** From now on it opens nothing; replicas know within 5 s. With its entry in the audit. */
export async function endSession(db: Db, id: string): Promise<void> {
  await db.query({
    name: 'end-session',
    text: `
      WITH ended AS (
        DELETE FROM api_key WHERE id = $1 AND session_of IS NOT NULL RETURNING *
      )
      ${noteOfSession('ended', 'signed out')}`,
    values: [id],
  });
}

function noteOfSession(rows: string, action: string): string {
  return `
    INSERT INTO audit (at, actor, actor_name, action, trustomer_code, product_name, details)
    SELECT ${utcNow}, session_of, name, '${action}', trustomer_code, product_name, jsonb_build_object('session', id)
    FROM ${rows}`;
}

/** Sessions that open nothing any more. Answers how many went. */
export async function purgeSessions(db: Db): Promise<number> {
  const { rowCount } = await db.query({
    text: `
      DELETE FROM api_key session WHERE session_of IS NOT NULL AND (expires <= ${utcNow} OR NOT EXISTS (
        SELECT FROM api_key key
        WHERE key.id = session.session_of AND revoked IS NULL AND (expires IS NULL OR expires > ${utcNow})))`,
  });
  return rowCount;
}
