import type { Db } from '../db/db.ts';
import type { Stored } from './sealing.ts';

/** The texts as they are stored: read here by connections that do not open them. */

export type StoredText = Stored & { readonly uuid: string };

const isOther = (keyId: string) => `content <> '' AND content_key_id IS DISTINCT FROM ${keyId}`;

/** How many are sealed with another key than this one (null = how many are sealed at all), or are not sealed and should be. */
export async function countOthers(db: Db, keyId: string | null): Promise<number> {
  const { rows } = await db.query<{ count: number }>({
    text: `SELECT count(*)::int AS count FROM message WHERE ${isOther('$1')}`,
    values: [keyId],
  });
  return rows[0]?.count ?? 0;
}

/** Some of them, in the order of their ids. */
export async function listOthers(
  db: Db,
  part: { keyId: string | null; after: string; limit: number },
): Promise<StoredText[]> {
  const { rows } = await db.query<StoredText>({
    text: `SELECT uuid, content, content_key_id AS "keyId" FROM message
           WHERE uuid > $2 AND ${isOther('$1')} ORDER BY uuid LIMIT $3`,
    values: [part.keyId, part.after, part.limit],
  });
  return rows;
}

/**
 * Writes them under their new key. A text that is no longer what was read (emptied, or written by somebody else) is left alone, and
 * so is a row that others hold. Answers how many were written.
 */
export async function reseal(db: Db, texts: readonly { before: StoredText; after: Stored }[]): Promise<number> {
  const { rowCount } = await db.query({
    text: `
      WITH asked AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset($1::jsonb) AS asked (uuid varchar, old varchar, old_key varchar, new varchar, new_key varchar)
      ), ready AS MATERIALIZED (
        SELECT asked.* FROM asked JOIN message USING (uuid)
        WHERE content = old AND content_key_id IS NOT DISTINCT FROM old_key
        ORDER BY uuid FOR UPDATE OF message SKIP LOCKED
      )
      UPDATE message m SET content = new, content_key_id = new_key FROM ready WHERE m.uuid = ready.uuid`,
    values: [
      JSON.stringify(
        texts.map(({ before, after }) => ({
          uuid: before.uuid,
          old: before.content,
          old_key: before.keyId,
          new: after.content,
          new_key: after.keyId,
        })),
      ),
    ],
  });
  return rowCount;
}
