import pg from 'pg';
import { seedPast } from '../browser/seed.ts';

/** A service of some size: 20 tenants, 90 days, each message with its attempt and its callbacks. */

const DAYS = 90;
/** Ten trusts, one of them thrice as large, with two products each. */
const trusts = ['ouh', 'ouh', 'ouh', 'tvh', 'rbh', 'kch', 'gst', 'uhb', 'lth', 'ruh', 'nbt', 'rch'];
/** Weekends have fewer messages, so that some of those that are drawn are left out. */
const DRAWN_FOR_ONE = 1.234;

/** About so many messages. Indexes are made afterwards, which is faster; so is what they look like after years of VACUUM. */
export async function writePast(databaseUrl: string, messages: number): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows: indexes } = await client.query<{ name: string; definition: string }>(
      `SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
       WHERE indrelid IN ('message'::regclass, 'callback'::regclass, 'attempt'::regclass) AND NOT indisprimary`,
    );
    await client.query(`DROP INDEX ${indexes.map(({ name }) => name).join(', ')}`);
    const query = (text: string, values?: unknown[]) => client.query(text, values);
    await seedPast(query, { messages: Math.round(messages * DRAWN_FOR_ONE), days: DAYS, trusts });
    await client.query(attempts);
    await client.query(callbacks);
    for (const { definition } of indexes) await client.query(definition);
    await client.query('VACUUM (ANALYZE) message, attempt, callback');
    const { rows } = await client.query<{ count: number }>('SELECT count(*)::int AS count FROM message');
    return rows[0]?.count ?? 0;
  } finally {
    await client.end();
  }
}

const attempts = `
  INSERT INTO attempt (message_uuid, n, started, deadline, closed, outcome, http_status, error_code, twilio_sid)
  SELECT uuid, 1, created, created + interval '14 seconds', coalesce(handed_over, created + interval '0.2 seconds'),
         CASE status WHEN 'error' THEN 'refused' WHEN 'unconfirmed' THEN 'unknown' ELSE 'accepted' END,
         CASE status WHEN 'error' THEN 400 WHEN 'unconfirmed' THEN NULL ELSE 201 END,
         CASE status WHEN 'error' THEN error_code END, twilio_sid
  FROM message ORDER BY created`;

/** Of what reached the carrier, and of how it ended. */
const callbacks = `
  INSERT INTO callback (received, message_uuid, twilio_sid, message_status, error_code, parameters)
  SELECT received, uuid, twilio_sid, word, CASE WHEN word = status THEN error_code END,
         jsonb_build_object('MessageSid', twilio_sid, 'MessageStatus', word)
  FROM message, LATERAL (VALUES ('sent', created + interval '1 second'), (status, ended)) came (word, received)
  WHERE twilio_sid IS NOT NULL AND received IS NOT NULL ORDER BY created`;

/** Of the largest trust: a message that failed, and whom it was for. */
export async function findSubject(databaseUrl: string): Promise<{ uuid: string; number: string }> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ uuid: string; number: string }>(
      `SELECT uuid, receiver AS number FROM message
       WHERE trustomer_code = 'ouh' AND product_name = 'gdm' AND status = 'undelivered' ORDER BY created DESC LIMIT 1`,
    );
    return rows[0] ?? { uuid: '', number: '' };
  } finally {
    await client.end();
  }
}
