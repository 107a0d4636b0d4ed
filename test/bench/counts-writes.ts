import { randomUUID } from 'node:crypto';
import type pg from 'pg';

/**
 * Takes messages through their life with what the service writes for one: recorded with its attempt, handed over, called back
 * twice, emptied at Twilio with the event of it. One statement after another and without commits, which cost the same with any
 * index.
 */
export async function writeLives(client: pg.Client, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const uuid = randomUUID();
    const sid = `SM${uuid.replaceAll('-', '')}`;
    const write = (name: keyof typeof statements, ...values: string[]) =>
      client.query({ name, text: statements[name], values: [uuid, ...values] });
    await write('record', `+447700900${String(n % 1000).padStart(3, '0')}`);
    await write('attempt');
    await write('handOver', sid);
    await write('closeAttempt', sid);
    for (const status of ['sent', 'delivered']) {
      await write('callback', sid, status);
      await write('status', status);
    }
    await write('redacted');
    await write('event');
  }
}

const statements = {
  record: `
    INSERT INTO message (uuid, created, created_by_, modified, modified_by_, sender, receiver, receiver_e164, content, status,
                         trustomer_code, product_name, step, due)
    VALUES ($1, clock_timestamp() AT TIME ZONE 'utc', 'unknown', clock_timestamp() AT TIME ZONE 'utc', 'unknown',
            '+447700900001', $2, $2, 'A text of the usual length of a reminder, for a number that nobody has.', 'accepted',
            'ouh', 'gdm', 'resolve', now())`,
  attempt: 'INSERT INTO attempt (message_uuid, n, started, deadline) VALUES ($1, 1, now(), now())',
  handOver: `
    UPDATE message SET twilio_sid = $2, status = 'queued', handed_over = now(), step = NULL, due = NULL, modified = now()
    WHERE uuid = $1`,
  closeAttempt: `
    UPDATE attempt SET closed = now(), outcome = 'accepted', http_status = 201, twilio_sid = $2 WHERE message_uuid = $1`,
  callback: `
    INSERT INTO callback (received, message_uuid, twilio_sid, message_status, parameters, claimed_uuid, claimed_attempt)
    VALUES (now(), $1, $2, $3, jsonb_build_object('MessageSid', $2::varchar, 'MessageStatus', $3::varchar), $1, 1)`,
  status: 'UPDATE message SET status = $2, modified = now() WHERE uuid = $1',
  redacted: 'UPDATE message SET redacted = now(), modified = now() WHERE uuid = $1',
  event: "INSERT INTO event (message_uuid, at, kind, actor) VALUES ($1, now(), 'redacted', 'service')",
};
