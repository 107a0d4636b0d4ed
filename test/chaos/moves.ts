import { asStatus, type Status, statuses } from '../../src/message/status.ts';
import type { Stage } from './stage.ts';

/** A status took the place of another one. */
export type Move = {
  readonly uuid: string;
  readonly sid: string | null;
  readonly before: string | null;
  readonly after: string | null;
  /** where it is on record */
  readonly source: 'message' | 'callback' | 'event';
};

/**
 * From now on the database itself keeps every change of a message's status, in the transaction that makes it: whoever only
 * looked now and then would miss what is put right again in between.
 */
export async function keepMoves(stage: Pick<Stage, 'query'>): Promise<void> {
  await stage.query(`
    CREATE TABLE drill_move (
      id bigint GENERATED ALWAYS AS IDENTITY, uuid varchar, sid varchar, before varchar, after varchar
    )`);
  await stage.query(`
    CREATE FUNCTION drill_keep_move() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO drill_move (uuid, sid, before, after) VALUES (NEW.uuid, NEW.twilio_sid, OLD.status, NEW.status);
      RETURN NULL;
    END $$`);
  await stage.query(`
    CREATE TRIGGER drill_keep_move AFTER UPDATE ON message FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION drill_keep_move()`);
}

/** Every move so far, and what the service itself has kept in its histories. */
export async function listMoves(stage: Pick<Stage, 'query'>): Promise<Move[]> {
  return stage.query<Move>(`
    SELECT uuid, sid, before, after, 'message' AS source FROM drill_move
    UNION ALL
    SELECT message_uuid, twilio_sid, status_before, status_after, 'callback' FROM callback WHERE status_after IS NOT NULL
    UNION ALL
    SELECT message_uuid, NULL, status_before, status_after, 'event' FROM event WHERE status_after IS NOT NULL`);
}

/**
 * Down in rank (G5), or from one end to another. `accepted` is our own word for "on record", so an attempt of which Twilio has
 * nothing may end it as `error` or `unconfirmed`.
 */
export function isBackward({ before, after }: Pick<Move, 'before' | 'after'>): boolean {
  const [from, to] = [asStatus(before), asStatus(after)];
  if (from === null || from === to) return false;
  // A status that was there and is gone, or has become a word that nobody knows.
  if (to === null) return true;
  if (from === 'accepted' && isOurs(to)) return false;
  const isOtherEnd = isTerminal(from) && statuses[from].rank === statuses[to].rank;
  return isOtherEnd || statuses[to].rank < statuses[from].rank;
}

export function isTerminal(status: string | null): boolean {
  const known = asStatus(status);
  return known !== null && statuses[known].rank >= statuses.delivered.rank;
}

/** An end that only this service knows: Twilio has never had it, or we could not find out. */
export function isOurs(status: string | null): status is Extract<Status, 'error' | 'unconfirmed'> {
  return status === 'error' || status === 'unconfirmed';
}
