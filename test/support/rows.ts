import { randomUUID } from 'node:crypto';
import type { TestService } from './service.ts';
import { newSid } from './twilio.ts';

/** A row as the platform's own SQL writes it: the original's columns and no other. Answers the row's uuid and SID. */
export async function insertOriginalRow(
  service: Pick<TestService, 'query'>,
  changes: Record<string, string | null> = {},
): Promise<{ uuid: string; sid: string }> {
  const now = new Date().toISOString().slice(0, -1);
  const row: Record<string, string | null> = {
    uuid: randomUUID(),
    created: now,
    created_by_: 'static_message_bot',
    modified: now,
    modified_by_: 'static_message_bot',
    sender: '+447700900001',
    receiver: '+447700900123',
    content: 'Inserted by SQL.',
    status: 'sent',
    twilio_sid: newSid(),
    date_sent: null,
    trustomer_code: 'ouh',
    product_name: 'gdm',
    error_code: null,
    error_message: null,
    deleted: null,
    redacted: null,
    ...changes,
  };
  const names = Object.keys(row);
  await service.query(
    `INSERT INTO message (${names.join(', ')}) VALUES (${names.map((_, n) => `$${n + 1}`).join(', ')})`,
    Object.values(row),
  );
  return { uuid: String(row.uuid), sid: String(row.twilio_sid) };
}
