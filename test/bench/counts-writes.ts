import { randomUUID } from 'node:crypto';
import type pg from 'pg';

/**
 * Takes messages through their life, with the writes to their rows that the service makes: recorded, handed over, sent,
 * delivered, emptied. One statement after another; what else a life costs (Twilio, commits, the history) is left out, so an
 * index weighs more here than it does in the service.
 */
export async function writeLives(client: pg.Client, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const uuid = randomUUID();
    const receiver = `+447700900${String(n % 1000).padStart(3, '0')}`;
    await client.query({ name: 'record', text: record, values: [uuid, receiver] });
    await client.query({ name: 'hand-over', text: handOver, values: [uuid, `SM${uuid.replaceAll('-', '')}`] });
    await client.query({ name: 'status', text: setStatus, values: [uuid, 'sent'] });
    await client.query({ name: 'status', text: setStatus, values: [uuid, 'delivered'] });
    await client.query({ name: 'redacted', text: setRedacted, values: [uuid] });
  }
}

const record = `
  INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, receiver_e164, content, status,
                       trustomer_code, product_name, step, due)
  VALUES ($1, clock_timestamp() AT TIME ZONE 'utc', 'unknown', clock_timestamp() AT TIME ZONE 'utc', 'unknown',
          '+447700900001', $2, $2, 'A text of the usual length of a reminder, for a number that nobody has.', 'accepted',
          'ouh', 'gdm', 'resolve', now())`;
const handOver = `
  UPDATE message SET twilio_sid = $2, status = 'queued', handed_over = now(), step = NULL, due = NULL, modified = now()
  WHERE uuid = $1`;
const setStatus = 'UPDATE message SET status = $2, modified = now() WHERE uuid = $1';
const setRedacted = 'UPDATE message SET redacted = now(), modified = now() WHERE uuid = $1';
